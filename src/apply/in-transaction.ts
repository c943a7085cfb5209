import { setConfigCalls } from "../postgres/session-settings.ts";
import type { Migration } from "../migrations/folder.ts";
import { isServerError } from "../postgres/sqlstate.ts";
import type { Statement } from "../sql/statements.ts";
import { type Blocker, blockersQuery, readBlockers } from "../table-locks/blockers.ts";
import { withPatience } from "../table-locks/patience.ts";
import { findStrongLocks, lockManners, settingsFor, undoSession } from "./manners.ts";
import { record, recording } from "./record.ts";
import type { Readable } from "./refuse.ts";
import { compose, countStatements, type Part } from "./sent.ts";
import { explainSqlError } from "./sql-failure.ts";
import type { Target } from "./target.ts";

/**
 * Applies one file in one round trip: the file, its bookkeeping and the commit travel as one simple query, and with
 * them the look who would block the next file.
 * @param look who blocks this file, as seen a moment ago; undefined when nobody has looked yet
 * @param next the file after it, if it is one with a transaction
 * @returns the look for the next file
 * @throws HeadgateError sql_failed (1) that names the place; lock_timeout (75) when the lock was lost, or table locks
 * could not be had
 */
export async function applyInTransaction(
  target: Target,
  { migration, statements }: Readable,
  look: readonly Blocker[] | undefined,
  next: Readable | undefined,
  signal: AbortSignal,
): Promise<readonly Blocker[] | undefined> {
  const { sql, path } = migration;
  const row = { id: migration.id, name: migration.name, hash: migration.checksum };
  const state = "the file was rolled back; the database is as it was before it";
  const work = { statements, from: 0, to: sql.length, record: record(target, row), state };
  return transact(
    target,
    migration,
    { ...work, subject: path, look, next: lookFor(target, next) },
    signal,
  );
}

/** The query that looks for a file's blockers; undefined when there is nothing to look for. */
function lookFor(target: Target, file: Readable | undefined): string | undefined {
  if (file?.migration.directives.isTransactional !== true) return undefined;
  const { migration, statements } = file;
  const { wanted } = findStrongLocks(migration.sql, statements, 0, migration.sql.length);
  if (wanted.length === 0 || lockManners(target, migration).lockTimeoutMs === Infinity)
    return undefined;
  return blockersQuery(wanted, target.lockManners.showQueries);
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
  readonly look?: readonly Blocker[] | undefined;
  /** A query to look with for what comes next. */
  readonly next?: string | undefined;
};

/** Runs a part of a file and what records it in one transaction; all of it again when a table lock could not be had. */
export async function transact(
  target: Target,
  migration: Migration,
  { statements, from, to, before, record: recordSql, subject, state, look, next }: Work,
  signal: AbortSignal,
): Promise<readonly Blocker[] | undefined> {
  const { session, log } = target;
  const { sql } = migration;
  const { strongAt, wanted } = findStrongLocks(sql, statements, from, to);
  const undo = undoSession(target, from === 0 && to === sql.length ? sql : "");

  const attempt = async (lockTimeoutMs: number): Promise<readonly Blocker[] | undefined> => {
    const limit = Number.isFinite(lockTimeoutMs) ? Math.ceil(lockTimeoutMs) : 0;
    const settings = setConfigCalls(settingsFor(target, migration), true);
    const parts: Part[] = [
      { own: `begin; select ${settings};\n`, statements: 2 },
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
    const text = compose(sql, parts) + (next === undefined ? "" : `; ${next}`);
    return recording(target, subject, async () => {
      try {
        const results = await session.query(text, signal);
        return next === undefined ? undefined : readBlockers(results.at(-1)?.rows ?? []);
      } catch (error) {
        const completed = session.completed();
        // Only the look failed; it will be made again.
        if (isServerError(error) && completed >= countStatements(statements, parts))
          return undefined;
        // A failed transaction stays open until it is told to end.
        if (session.failed()) await session.afterwards("rollback");
        throw explainSqlError(error, { migration, statements, parts, completed, state });
      }
    });
  };
  const manners = lockManners(target, migration);
  return withPatience(session, subject, wanted, { ...manners, look }, log, signal, attempt);
}
