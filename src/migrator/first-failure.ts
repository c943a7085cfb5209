import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import type { RecordPlace } from "./records.ts";

/** What of a message is kept; the log has the whole. */
const longest = 2000;

/**
 * Sees to the column for it in a table of an older headgate's, and writes there what is known from an earlier run, so
 * that a run that is killed does not lose it.
 * @param carried of an earlier run of the same files
 */
export async function carryFirstFailure(
  session: Session,
  { table }: RecordPlace,
  id: number,
  carried: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const own = quoteTable(table);
  try {
    const [answer] = await session.query(
      `select pg_catalog.to_jsonb(t) ? 'first_failure' as known from ${own} t where id = ${id}`,
      signal,
    );
    if (answer?.rows[0]?.["known"] !== true)
      await session.query(`alter table ${own} add column first_failure text`, signal);
    if (carried === undefined) return;
    const text = quoteLiteral(carried);
    await session.query(`update ${own} set first_failure = ${text} where id = ${id}`, signal);
  } catch (error) {
    // A role that may write to the table and does not own it: then nothing is kept.
    if (!["42501", "42703"].includes(sqlState(error))) throw error;
  }
}

/** Notes how a run failed, unless the same files have failed before. Never throws: what it follows is worse. */
export async function noteFailure(
  session: Session,
  { table }: RecordPlace,
  run: { readonly id: number; readonly by: string; readonly error: unknown },
  redact: (text: string) => string,
): Promise<void> {
  const { id, by, error } = run;
  if (!isMigrators(error)) return;
  const text = quoteLiteral(redact(error.message).slice(0, longest));
  const at = `to_char(pg_catalog.clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')`;
  await session.afterwards(
    `update ${quoteTable(table)} set first_failure = coalesce(first_failure,
      ${at} || ${quoteLiteral(` UTC, run by ${by}: `)} || ${text}) where id = ${id}`,
  );
}

/** The failure with how the same files failed first, which may be the true cause of this one. */
export function withFirstFailure(error: unknown, first: string | undefined): unknown {
  if (first === undefined || !isMigrators(error)) return error;
  const { code, message, fix, details, cause } = error;
  const isSame = first.endsWith(`: ${message.slice(0, longest)}`);
  const told = isSame ? first.slice(0, -message.length - 2) : first;
  const how = isSame ? "these files first failed in the same way" : "these files first failed";
  const problems = [...error.problems, `${how} at ${told}`];
  return new HeadgateError(code, message, { problems, fix, details, cause });
}

/** Not a hook's, which says nothing of the files. */
const isMigrators = (error: unknown): error is HeadgateError =>
  error instanceof HeadgateError &&
  error.code === "sql_failed" &&
  error.details["phase"] === "migrator";
