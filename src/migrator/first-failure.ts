import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import type { RecordPlace } from "./records.ts";

/** What of a message is kept; the log has the whole. */
const longest = 2000;

/**
 * Writes what is known from an earlier run of the same files to the record of a new one, so that a run that is killed
 * does not lose it.
 */
export async function carryFirstFailure(
  session: Session,
  { table }: RecordPlace,
  id: number,
  carried: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (carried === undefined) return;
  const text = quoteLiteral(carried);
  await session.query(
    `update ${quoteTable(table)} set first_failure = ${text} where id = ${id}`,
    signal,
  );
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
