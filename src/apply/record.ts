import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import { stepTable } from "./step-table.ts";
import { noting } from "./journal.ts";
import type { Target } from "./target.ts";

/**
 * The INSERT of a history row, and of the journal's. It records a NULL hash, which the table refuses, if the session no longer has the
 * migration lock (a file may have run pg_advisory_unlock_all): then the whole transaction fails with it.
 * @param ms SQL for the milliseconds it took; without it, the time since the transaction began
 */
export function record(
  target: Target,
  row: { id: number; name: string; hash: string },
  ms?: string,
): string {
  return `${noting(target, row, "applied", ms)}insert into ${quoteTable(target.historyTable)} (id, name, hash) values (${row.id}, ${quoteLiteral(row.name)},
    case when ${target.lockIsHeld} then ${quoteLiteral(row.hash)} end)`;
}

/**
 * Recognises the two ways in which the bookkeeping itself can fail.
 * @param subject what is being recorded, for the message
 * @throws HeadgateError lock_timeout (75) for these two, and whatever else `work` throws
 */
export async function recording<T>(
  target: Target,
  subject: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const cause = error instanceof HeadgateError ? error.cause : error;
    const details = error instanceof HeadgateError ? error.details : {};
    const { schema, table } = (cause ?? {}) as { schema?: unknown; table?: unknown };
    const isOurs =
      schema === target.historyTable[0] &&
      (table === target.historyTable[1] || table === stepTable(target.historyTable)[1]);
    if (isOurs && sqlState(cause) === "23502") {
      throw new HeadgateError(
        "lock_timeout",
        `the migration lock was lost while ${subject} ran, so it was not recorded`,
        {
          fix: "remove pg_advisory_unlock_all or DISCARD from the file; then run again",
          details,
          cause,
        },
      );
    }
    if (isOurs && sqlState(cause) === "23505") {
      throw new HeadgateError(
        "lock_timeout",
        `another process recorded ${subject} at the same time, without taking the lock`,
        {
          fix: "find the process that migrates without the lock; then run again",
          details,
          cause,
        },
      );
    }
    throw error;
  }
}
