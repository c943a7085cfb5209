import { hash } from "node:crypto";
import { HeadgateError } from "../errors.ts";
import type { Migration } from "../migrations/folder.ts";
import { mayOnTable, quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import type { Statement } from "../sql/statements.ts";
import { beside } from "./beside.ts";
import { toMs } from "./journal.ts";
import { hideSecrets } from "./sql-failure.ts";
import type { Target } from "./target.ts";

/**
 * What is known of a step, which is one statement of a file without a transaction. `started`: in doubt, unless it is
 * running. `failed`: the server said so.
 */
type StepState = "started" | "failed" | "done";

export type StepRow = {
  /** As `stepsKey` has it. */
  readonly migration: number;
  /** From 1. */
  readonly step: number;
  /** Over this statement and all before it. */
  readonly hash: string;
  /** Its text when it was started, passwords left out; cut when it is very long. */
  readonly statement: string;
  readonly state: StepState;
};

/** A step as it stands in its file. */
export type Step = Statement & {
  readonly number: number;
  readonly text: string;
  readonly hash: string;
};

/** Far longer than any statement that has to be settled from its text. */
const longestStatement = 10_000;

/** Beside the history table, under its name with `_steps`. It holds unfinished files only. */
export const stepTable = ([schema, table]: readonly [string, string]) =>
  [schema, beside(table, "_steps")] as const;

/** Under which number the steps of a file are noted: those of a file that undoes 7 under -7. */
export const stepsKey = ({ id, undoes }: Pick<Migration, "id" | "undoes">): number =>
  undoes === undefined ? id : -id;

/** Numbers the statements of a file. A change of line endings is no edit. */
export function toSteps(sql: string, statements: readonly Statement[]): readonly Step[] {
  let soFar = "";
  return statements.map((statement, index) => {
    const text = sql.slice(statement.start, statement.end);
    soFar = hash("sha256", `${soFar}\n${text.replace(/\r\n?/g, "\n")}`);
    return { ...statement, number: index + 1, text, hash: soFar };
  });
}

/**
 * Reads the steps of all unfinished files; undefined where there is no table.
 * @throws HeadgateError refused (77) when it may not be read
 */
export async function readSteps(
  session: Session,
  historyTable: readonly [string, string],
  signal: AbortSignal,
): Promise<readonly StepRow[] | undefined> {
  const names = stepTable(historyTable);
  const table = quoteTable(names);
  // Asked first, because an error of a query that was not needed would stand in the server's log.
  const sql = `select ${mayOnTable(names, "select")} as readable`;
  const [answer] = await session.query(sql, signal);
  const readable = answer?.rows[0]?.["readable"] ?? undefined;
  if (readable === undefined) return undefined;
  if (readable === false) {
    throw new HeadgateError("refused", `the table of unfinished steps, ${table}, may not be read`, {
      fix: `grant select on ${table} to the user headgate connects as`,
    });
  }
  const [result] = await session.query(
    `select migration, step, hash, statement, state from ${table} order by migration, step`,
    signal,
  );
  return (result?.rows ?? []) as unknown as StepRow[];
}

export function createStepTable(historyTable: readonly [string, string]): string {
  return `create table if not exists ${quoteTable(stepTable(historyTable))} (
  migration integer not null,
  step integer not null,
  hash varchar(64) not null,
  statement text not null,
  state varchar(10) not null check (state in ('started', 'failed', 'done')),
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (migration, step)
)`;
}

/** One statement that notes a step as started. Like the history row, it fails unless the migration lock is held. */
export function markStarted(target: Target, key: number, step: Step): string {
  const text = hideSecrets(step.text).slice(0, longestStatement);
  return `insert into ${quoteTable(stepTable(target.historyTable))} as steps (migration, step, hash, statement, state)
    values (${key}, ${step.number}, case when ${target.lockIsHeld} then ${quoteLiteral(step.hash)} end, ${quoteLiteral(text)}, 'started')
    on conflict (migration, step) do update set hash = excluded.hash, statement = excluded.statement,
      state = excluded.state, started_at = excluded.started_at, ended_at = null`;
}

/** One statement that notes how a step ended. */
export function markEnded(
  target: Target,
  key: number,
  step: number,
  state: "done" | "failed",
): string {
  return `update ${quoteTable(stepTable(target.historyTable))} set state = '${state}', ended_at = pg_catalog.clock_timestamp(),
    hash = case when ${target.lockIsHeld} then hash end where migration = ${key} and step = ${step}`;
}

/** Forgets the steps behind this one: all those of a finished file, or those a file no longer has. */
export function forgetSteps(target: Target, key: number, behind = 0): string {
  return `delete from ${quoteTable(stepTable(target.historyTable))} where migration = ${key} and step > ${behind}`;
}

/** SQL for the milliseconds that the steps of a file took, also those of earlier runs. */
export function msOfSteps({ historyTable }: Target, migration: number): string {
  const total = `select sum(ended_at - started_at) from ${quoteTable(stepTable(historyTable))} where migration = ${migration}`;
  return toMs(`(${total})`);
}
