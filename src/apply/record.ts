import { HeadgateError } from "../errors.ts";
import type { Migration } from "../migrations/folder.ts";
import type { AppliedRow } from "../migrations/history.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import { stepTable } from "./step-table.ts";
import { msSinceBegin, noting } from "./journal.ts";
import type { Target } from "./target.ts";

/**
 * The INSERT of a history row, and of the journal's. It records a NULL hash, which the table refuses, if the session
 * no longer has the migration lock (a file may have run pg_advisory_unlock_all): then the whole transaction fails.
 * @param ms SQL for the milliseconds it took
 */
export function record(
  target: Target,
  row: { id: number; name: string; hash: string },
  ms: string = msSinceBegin,
  event: "applied" | "stamped" = "applied",
): string {
  const noted = noting(target, row, event, ms);
  return `${noted === undefined ? "" : `with ${noted} `}insert into ${quoteTable(target.historyTable)} (id, name, hash)
    values (${row.id}, ${quoteLiteral(row.name)}, case when ${target.lockIsHeld} then ${quoteLiteral(row.hash)} end)`;
}

/** The removal of a history row. */
function remove(target: Target, row: AppliedRow, ms: string): string {
  return change(
    target,
    row,
    `delete from ${quoteTable(target.historyTable)}`,
    noting(target, row, "undone", ms),
  );
}

/** The removal of a history row alone, of which nothing is undone. @param reason for the journal */
export function forget(target: Target, row: AppliedRow, reason: string): string {
  const noted = noting(target, row, "forgotten", "null", reason);
  return change(target, row, `delete from ${quoteTable(target.historyTable)}`, noted);
}

/** A history row becomes that of the file as it is now; when it was applied stays. @param reason for the journal */
export function accept(
  target: Target,
  row: AppliedRow,
  { id, name, checksum }: Pick<Migration, "id" | "name" | "checksum">,
  reason: string,
): string {
  const set = `update ${quoteTable(target.historyTable)} set name = ${quoteLiteral(name)}, hash = ${quoteLiteral(checksum)}`;
  return change(target, row, set, noting(target, { id, name }, "accepted", "null", reason));
}

/**
 * A change of one history row. Like the INSERT it fails, by a NULL hash, unless the session has the migration lock;
 * and also when the row is not there as it was read.
 */
function change(
  { historyTable, lockIsHeld }: Target,
  { id, name, hash }: AppliedRow,
  statement: string,
  noted: string | undefined,
): string {
  const changed = `changed as (${statement} where id = ${id} and hash = ${quoteLiteral(hash)} and ${lockIsHeld} returning id)`;
  return `with ${[changed, noted].filter((part) => part !== undefined).join(", ")}
    insert into ${quoteTable(historyTable)} (id, name, hash) select ${id}, ${quoteLiteral(name)}, null where not exists (select from changed)`;
}

/**
 * The statement that notes in the history what a file has done: it adds the row of a migration, or removes it.
 * @param ms SQL for the milliseconds it took
 */
export function noteOf(
  target: Target,
  { id, name, checksum, undoes }: Migration,
  ms: string = msSinceBegin,
): string | undefined {
  if (undoes === undefined) return record(target, { id, name, hash: checksum }, ms);
  return undoes === null ? undefined : remove(target, undoes, ms);
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
      const { why, fix } = await target.findLoss();
      throw new HeadgateError(
        "lock_timeout",
        `the migration lock was lost while ${subject} ran, so it was not recorded: ${why}`,
        { fix, details, cause },
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
