import { setStatements } from "../postgres/session-settings.ts";
import type { Migration } from "../migrations/folder.ts";
import { isServerError } from "../postgres/sqlstate.ts";
import type { Statement } from "../sql/statements.ts";
import { aloneQuery } from "../table-locks/blockers.ts";
import { withPatience } from "../table-locks/patience.ts";
import { findStrongLocks, lockManners, settingsFor, undoSession } from "./manners.ts";
import { holdHistory } from "./lost.ts";
import { noteOf, recording } from "./record.ts";
import type { Readable } from "./refuse.ts";
import { compose, countStatements, type Part } from "./sent.ts";
import { explainSqlError } from "./sql-failure.ts";
import type { Target } from "./target.ts";

/**
 * Applies one file in one round trip: the file, its bookkeeping and the commit travel as one simple query, and with
 * them the question whether anybody could block the next file.
 * @param isAlone whether a moment ago nobody else held a lock on any table
 * @param next the file after it
 * @returns whether that is so now; false when it was not asked
 * @throws HeadgateError sql_failed (1) that names the place; lock_timeout (75) when the lock was lost, or table locks
 * could not be had
 */
export async function applyInTransaction(
  target: Target,
  { migration, statements }: Readable,
  isAlone: boolean,
  next: Readable | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const { sql, path } = migration;
  const note = noteOf(target, migration) ?? "";
  const state = "the file was rolled back; the database is as it was before it";
  const asksForNext = next !== undefined && wantsLocks(next);
  return transact(
    target,
    migration,
    {
      ...{ statements, from: 0, to: sql.length, record: note, subject: path, state },
      ...{ isAlone, asksForNext },
    },
    signal,
  );
}

function wantsLocks({ migration, statements }: Readable): boolean {
  const { sql } = migration;
  return findStrongLocks(sql, statements, 0, sql.length).wanted.length > 0;
}

/** What one transaction holds of a file, and what records it. */
export type Work = {
  readonly statements: readonly Statement[];
  readonly from: number;
  readonly to: number;
  /** SQL that is put before it. */
  readonly before?: Part;
  readonly record: string;
  /** For the log: what is applied. */
  readonly subject: string;
  /** For errors: what the database is like after a failure. */
  readonly state: string;
  readonly isAlone?: boolean;
  readonly asksForNext?: boolean;
};

/** Runs a part of a file and what records it in one transaction; all of it again when a table lock could not be had. */
export async function transact(
  target: Target,
  migration: Migration,
  work: Work,
  signal: AbortSignal,
): Promise<boolean> {
  const { statements, from, to, before, record: recordSql, subject, state } = work;
  const { isAlone = false, asksForNext = false } = work;
  const { session, log } = target;
  const { sql } = migration;
  const { strongAt, wanted } = findStrongLocks(sql, statements, from, to);
  const undo = undoSession(target, from === 0 && to === sql.length ? sql : "");

  const attempt = async (lockTimeoutMs: number): Promise<boolean> => {
    const limit = Number.isFinite(lockTimeoutMs) ? Math.ceil(lockTimeoutMs) : 0;
    const settings = settingsFor(target, migration);
    const parts: Part[] = [
      // No query, because a file may begin with SET TRANSACTION, which must come before any.
      {
        own: `begin; ${setStatements(settings, true)};\n`,
        statements: 1 + Object.keys(settings).length,
      },
      ...(target.isPooled ? [{ own: `${holdHistory(target)};\n`, statements: 1 }] : []),
      ...(before === undefined ? [] : [before]),
      // Not for the statements before it: an UPDATE may wait for a row without anybody waiting behind it.
      ...(strongAt === undefined
        ? [{ from, to }]
        : [
            ...(strongAt === from ? [] : [{ from, to: strongAt }]),
            { own: `set local lock_timeout = ${limit};\n`, statements: 1 },
            { from: strongAt, to },
          ]),
      { own: `${undo.text}; ${recordSql}; commit`, statements: undo.statements + 2 },
    ];
    const text = compose(sql, parts) + (asksForNext ? `; ${aloneQuery}` : "");
    return recording(target, subject, async () => {
      try {
        const results = await session.query(text, signal);
        return results.at(-1)?.rows[0]?.["alone"] === true;
      } catch (error) {
        const completed = session.completed();
        // Only the question failed.
        if (isServerError(error) && completed >= countStatements(statements, parts)) return false;
        // A failed transaction stays open until it is told to end.
        if (session.failed()) await session.afterwards("rollback");
        throw explainSqlError(error, { migration, statements, parts, completed, state });
      }
    });
  };
  const manners = lockManners(target, migration);
  return withPatience(
    session,
    subject,
    wanted,
    { ...manners, isAlone, isAtomic: true },
    log,
    signal,
    attempt,
  );
}
