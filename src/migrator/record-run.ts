import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import {
  newerColumns,
  type RecordPlace,
  type RunLook,
  type RunRecord,
  stateNow,
} from "./records.ts";
import { digestOfAll, rowsOfAll } from "./state-digest.ts";

const createTable = (table: readonly string[]): string =>
  `create table if not exists ${quoteTable(table)} (
  id bigint generated always as identity primary key,
  name text not null,
  inputs text not null,
  state text,
  outcome text not null,
  application text not null,
  grace_ms integer not null,
  command text not null,
  started_by text not null,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  ${Object.entries(newerColumns)
    .map((column) => column.join(" "))
    .join(",\n  ")}
)`;

/**
 * Adds the columns that a table of an older version lacks. Never removes or changes one, so that such a version works
 * beside this one. Waits briefly for whoever reads the table, as a backup does.
 * @throws pg's DatabaseError when the role may not (42501), or the table is in use (55P03)
 */
export async function addColumns(
  session: Session,
  { table }: RecordPlace,
  signal: AbortSignal,
): Promise<void> {
  const columns = Object.entries(newerColumns).map(
    ([name, type]) => `add column if not exists ${name} ${type}`,
  );
  // Sent together they are one transaction, and the setting ends with it.
  await session.query(
    `set local lock_timeout = '1s'; alter table ${quoteTable(table)} ${columns.join(", ")}`,
    signal,
  );
}

/** What is known of a run when it begins. */
export type NewRun = Pick<RunRecord, "inputs" | "application" | "graceMs" | "by"> & {
  readonly command: string;
  readonly tableExists: boolean;
  /** Absent where there is nothing to note, or nowhere. */
  readonly notes?: RunNotes;
};
export type RunNotes = Pick<RunRecord, "stateBefore" | "versions" | "changes">;

/**
 * What is noted of the migrator's own tables when a run begins.
 * @param look as it was under the lock
 * @param run its files, as RunRecord has them
 */
export function notesOf(
  look: RunLook,
  { inputs, versions }: Pick<RunRecord, "inputs" | "versions">,
): RunNotes {
  const { runs } = look;
  const last = runs.at(-1);
  const now = stateNow(look);
  // A run that was killed may have left them in any state.
  const isAsLeft =
    last !== undefined &&
    (last.outcome === "started" || (last.state !== null && last.state === now));
  const latest = Math.max(-1, ...runs.map((run) => run.changes ?? -1));
  // A further try begins where the first one did.
  const isRetry = isAsLeft && last.outcome !== "succeeded" && last.inputs === inputs;
  return {
    stateBefore: isRetry ? last.stateBefore : now,
    versions,
    changes: isAsLeft && last.changes !== null ? last.changes : latest + 1,
  };
}

/**
 * Records that a run begins, in place of those that came to nothing.
 * @returns its id
 * @throws pg's DatabaseError when the role may not
 */
export async function recordStart(
  session: Session,
  { table, name }: RecordPlace,
  run: NewRun,
  signal: AbortSignal,
): Promise<number> {
  const into = quoteTable(table);
  // With IF NOT EXISTS too, the server wants the right to create tables.
  const create = run.tableExists ? "" : `${createTable(table)};`;
  const text = (value: string | null): string => (value === null ? "null" : quoteLiteral(value));
  const { notes } = run;
  const values: readonly (readonly [column: string, value: string])[] = [
    ["name", text(name)],
    ["inputs", text(run.inputs)],
    ["outcome", "'started'"],
    ["application", text(run.application)],
    ["grace_ms", String(run.graceMs)],
    ["command", text(run.command)],
    ["started_by", text(run.by)],
    ...(notes === undefined
      ? []
      : ([
          ["state_before", text(notes.stateBefore)],
          ["versions", text(notes.versions)],
          ["changes", String(notes.changes)],
        ] as const)),
  ];
  // Sent together they are one transaction.
  const results = await session.query(
    `${create} delete from ${into} where name = ${quoteLiteral(name)} and outcome <> 'succeeded';
    insert into ${into} (${values.map(([column]) => column).join(", ")})
      values (${values.map(([, value]) => value).join(", ")}) returning id`,
    signal,
  );
  return Number(results.at(-1)?.rows[0]?.["id"]);
}

/** How a run ended, and whether its own tables and a place for what they hold are there. */
type End = {
  readonly outcome: "succeeded" | "failed";
  readonly hasState: boolean;
  readonly hasNotes: boolean;
};

/** The statements that record how a run ended. Of those with the same inputs only the latest success is kept. */
export function recordEnd(
  { table, name, state }: RecordPlace,
  id: number,
  { outcome, hasState, hasNotes }: End,
): string {
  const own = quoteTable(table);
  const digest = hasState ? digestOfAll(state) : "null";
  const rows = hasNotes && hasState ? `, state_rows = ${rowsOfAll(state)}` : "";
  const end = `update ${own} set outcome = '${outcome}', ended_at = clock_timestamp(), state = ${digest}${rows} where id = ${id}`;
  if (outcome === "failed") return end;
  const older = `delete from ${own} where name = ${quoteLiteral(name)} and id < ${id} and inputs = (select inputs from ${own} where id = ${id})`;
  return `${end}; ${older}`;
}
