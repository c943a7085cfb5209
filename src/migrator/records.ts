import { HeadgateError } from "../errors.ts";
import {
  askFacts,
  factColumns,
  mayOnTable,
  quoteLiteral,
  quoteTable,
  readFacts,
  type SessionFacts,
} from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";

/** One run of a migrator, as it is recorded. */
export type RunRecord = {
  readonly id: number;
  /** The fingerprint of its inputs. */
  readonly inputs: string;
  /** The digest of the migrator's own tables when it had succeeded; null when there was none to be had. */
  readonly state: string | null;
  readonly outcome: "started" | "succeeded" | "failed";
  readonly command?: string;
  /** The application name of its sessions. */
  readonly application: string;
  /** How long it may live after it was told to stop, in milliseconds. */
  readonly graceMs: number;
  readonly by: string;
  readonly startedAt: string;
  readonly ms: number | null;
  /** Of a run that did not succeed: how these files failed first since they last succeeded, when and by whom. */
  readonly firstFailure?: string;
};

/** What one look at the database shows of a migrator. */
export type RunLook = {
  readonly facts: SessionFacts;
  /** Whether there is a table of records. */
  readonly exists: boolean;
  /** Oldest first; at most one that did not succeed. */
  readonly runs: readonly RunRecord[];
  /** The digest of the migrator's own tables now. */
  readonly state?: string;
  /** Why there is none. */
  readonly stateMissing?: string;
};

/** Where records are kept and what they are about. */
export type RecordPlace = {
  /** Table, or schema and table. */
  readonly table: readonly string[];
  /** Tells the migrators of one table apart. */
  readonly name: string;
  /** The migrator's own tables. */
  readonly state: readonly (readonly string[])[];
};

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
  first_failure text
)`;

/** The rows of a table in an order of their own, whatever order the server keeps them in. */
const digestOf = (table: readonly string[]): string =>
  `coalesce((select pg_catalog.string_agg(t::text, chr(30) order by t::text collate "C") from ${quoteTable(table)} t), '')`;

const digestOfAll = (tables: readonly (readonly string[])[]): string =>
  `pg_catalog.md5(${tables.map(digestOf).join(" || chr(29) || ")})`;

const runsOf = ({ table, name }: RecordPlace): string =>
  `(select pg_catalog.json_agg(r order by r.id) from (select id, inputs, state, outcome, application, grace_ms, command, started_by,
    to_char(started_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as started_at,
    extract(epoch from ended_at - started_at) * 1000 as ms,
    pg_catalog.to_jsonb(t) ->> 'first_failure' as first_failure
    from ${quoteTable(table)} t where name = ${quoteLiteral(name)}) r) as runs`;

/**
 * Reads the session's facts, the records and the digest of the migrator's own tables in one query.
 * @throws HeadgateError when the table of records is another tool's (65) or may not be read (77)
 */
export async function lookAtRuns(
  session: Session,
  place: RecordPlace,
  signal: AbortSignal,
): Promise<RunLook> {
  const digest = place.state.length === 0 ? "null" : digestOfAll(place.state);
  const ask = async (columns: string): Promise<Record<string, unknown>> => {
    const [result] = await session.query(`select ${factColumns}, ${columns}`, signal);
    return result?.rows[0] ?? {};
  };
  try {
    const row = await ask(`${runsOf(place)}, ${digest} as state`);
    return { facts: readFacts(row), exists: true, runs: readRuns(row["runs"]), ...stateOf(row) };
  } catch (error) {
    if (!["42P01", "3F000", "42703", "42501"].includes(sqlState(error))) throw error;
  }
  // One of them is not there, or not for us: each is asked for alone, which happens only where there is work to do.
  const facts = await askFacts(session, signal);
  const columns = [place.table, ...place.state].map(
    (table, index) => `${mayOnTable(table, "select")} as readable${index}`,
  );
  const answers = await ask(columns.join(", "));
  const [own, ...states] = columns.map((_, index) => answers[`readable${index}`] as boolean | null);
  const lacking = place.state.filter((_, index) => states[index] !== true);
  const state =
    lacking.length > 0
      ? { stateMissing: lackOf(lacking, answers, place) }
      : stateOf(await ask(`${digest} as state`));
  if (own === null) return { facts, exists: false, runs: [], ...state };
  const runs = await ask(runsOf(place)).catch((error: unknown) => {
    throw notOurs(place.table, error);
  });
  return { facts, exists: true, runs: readRuns(runs["runs"]), ...state };
}

function lackOf(
  lacking: readonly (readonly string[])[],
  answers: Record<string, unknown>,
  { state }: RecordPlace,
): string {
  return lacking
    .map((table) =>
      answers[`readable${state.indexOf(table) + 1}`] === null
        ? `there is no table ${table.join(".")}`
        : `the table ${table.join(".")} may not be read`,
    )
    .join("; ");
}

function stateOf(row: Record<string, unknown>): Pick<RunLook, "state" | "stateMissing"> {
  const { state } = row;
  return typeof state === "string" ? { state } : { stateMissing: "no --migrator-state is named" };
}

function readRuns(rows: unknown): RunRecord[] {
  if (!Array.isArray(rows)) return []; // the sum of no rows is NULL
  return (rows as Record<string, unknown>[]).map((row) => ({
    id: Number(row["id"]),
    inputs: String(row["inputs"]),
    state: row["state"] as string | null,
    outcome: row["outcome"] as RunRecord["outcome"],
    application: String(row["application"]),
    graceMs: Number(row["grace_ms"]),
    command: String(row["command"]),
    by: String(row["started_by"]),
    startedAt: String(row["started_at"]),
    ms: row["ms"] === null ? null : Math.round(Number(row["ms"])),
    // A table of an older headgate's does not have the column.
    ...(typeof row["first_failure"] === "string" ? { firstFailure: row["first_failure"] } : {}),
  }));
}

function notOurs(table: readonly string[], cause: unknown): unknown {
  const name = table.join(".");
  if (sqlState(cause) === "42501") {
    return new HeadgateError("refused", `the history table ${name} may not be read`, {
      fix: `grant select on ${quoteTable(table)} to the user headgate connects as`,
      cause,
    });
  }
  if (sqlState(cause) !== "42703") return cause;
  return new HeadgateError(
    "history_mismatch",
    `the table ${name} exists, but it does not hold runs of a migrator`,
    { fix: "another tool owns it; choose another name with --history-table", cause },
  );
}

/** What is known of a run when it begins. */
export type NewRun = Pick<RunRecord, "inputs" | "application" | "graceMs" | "by"> & {
  readonly command: string;
  readonly tableExists: boolean;
};

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
  const values = [name, run.inputs, "started", run.application].map(quoteLiteral).join(", ");
  // Sent together they are one transaction.
  const results = await session.query(
    `${create} delete from ${into} where name = ${quoteLiteral(name)} and outcome <> 'succeeded';
    insert into ${into} (name, inputs, outcome, application, grace_ms, command, started_by)
      values (${values}, ${run.graceMs}, ${quoteLiteral(run.command)}, ${quoteLiteral(run.by)}) returning id`,
    signal,
  );
  return Number(results.at(-1)?.rows[0]?.["id"]);
}

/** The statements that record how a run ended. Of those with the same inputs only the latest success is kept. */
export function recordEnd(
  { table, name, state }: RecordPlace,
  id: number,
  outcome: "succeeded" | "failed",
  hasState: boolean,
): string {
  const own = quoteTable(table);
  const digest = outcome === "succeeded" && hasState ? digestOfAll(state) : "null";
  const end = `update ${own} set outcome = '${outcome}', ended_at = clock_timestamp(), state = ${digest} where id = ${id}`;
  if (outcome === "failed") return end;
  const older = `delete from ${own} where name = ${quoteLiteral(name)} and id < ${id} and inputs = (select inputs from ${own} where id = ${id})`;
  return `${end}; ${older}`;
}
