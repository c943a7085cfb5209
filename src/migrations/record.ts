import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import type { Migration } from "./folder.ts";

/** Where and how migrations are applied. */
export type Target = {
  readonly session: Session;
  /** Schema and table of the history, as the server resolved them. */
  readonly historyTable: readonly [string, string];
  /** An SQL condition: this session still has the migration lock. */
  readonly lockIsHeld: string;
  /** Settings for the session while a file runs. */
  readonly settings: Readonly<Record<string, string>>;
  /** Names the session for other replicas and for DBAs. */
  readonly applicationName: (migration: Migration) => string;
};

/**
 * The INSERT of a history row. It records a NULL hash, which the table refuses, if the session no longer has the
 * migration lock (a file may have run pg_advisory_unlock_all): then the whole transaction fails with it.
 */
export function record(target: Target, row: { id: number; name: string; hash: string }): string {
  return `insert into ${quoteTable(target.historyTable)} (id, name, hash) values (${row.id}, ${quoteLiteral(row.name)},
    case when ${target.lockIsHeld} then ${quoteLiteral(row.hash)} end)`;
}

/**
 * Recognises the two ways in which the bookkeeping itself can fail.
 * @param subject what is being recorded, for the message
 * @throws HeadgateError lock_timeout (75) for these two, and whatever else `work` throws
 */
export async function recording(
  target: Target,
  subject: string,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const cause = error instanceof HeadgateError ? error.cause : error;
    const details = error instanceof HeadgateError ? error.details : {};
    const { schema, table } = (cause ?? {}) as { schema?: unknown; table?: unknown };
    const isHistory = schema === target.historyTable[0] && table === target.historyTable[1];
    if (isHistory && sqlState(cause) === "23502") {
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
    if (isHistory && sqlState(cause) === "23505") {
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
