import { setConfigCalls } from "../postgres/session-settings.ts";
import type { Migration } from "../migrations/folder.ts";
import type { StrongLock } from "../sql/strong-locks.ts";
import { strongLocksOf } from "../sql/strong-locks.ts";
import type { Statement } from "../sql/statements.ts";
import { withPatience } from "../table-locks/patience.ts";
import { record, recording } from "./record.ts";
import { compose, type Part } from "./sent.ts";
import { explainSqlError } from "./sql-failure.ts";
import type { Target } from "./target.ts";

/**
 * Undoes whatever a file set for the session. Without it a `set role`, or the `search_path = ''` that pg_dump
 * writes, would break the bookkeeping and the next file (https://github.com/thomwright/postgres-migrations/issues/59).
 */
export const restoreSession = "reset session authorization; reset role; reset all";
const restoreStatements = 3;

/**
 * Applies one file in one round trip: the file, its bookkeeping and the commit travel as one simple query.
 * @throws HeadgateError sql_failed (1) that names the place; lock_timeout (75) when the lock was lost, or table locks
 * could not be had
 */
export async function applyInTransaction(
  target: Target,
  migration: Migration,
  statements: readonly Statement[],
  signal: AbortSignal,
): Promise<void> {
  const { sql, path } = migration;
  const row = { id: migration.id, name: migration.name, hash: migration.checksum };
  const work = { statements, from: 0, to: sql.length, record: record(target, row) };
  await transact(target, migration, work, path, signal, {
    state: "the file was rolled back; the database is as it was before it",
  });
}

/** What one transaction holds of a file, and what records it. */
export type Work = {
  readonly statements: readonly Statement[];
  readonly from: number;
  readonly to: number;
  /** SQL that is put before it, with its number of statements. */
  readonly before?: Part;
  readonly record: string;
};

/**
 * Runs a part of a file and what records it in one transaction; all of it again when a table lock could not be had.
 * @param subject for the log: what is applied
 */
export async function transact(
  target: Target,
  migration: Migration,
  { statements, from, to, before, record: recordSql }: Work,
  subject: string,
  signal: AbortSignal,
  { state }: { state: string },
): Promise<void> {
  const { session } = target;
  const { sql } = migration;
  const { strongAt, wanted } = findStrongLocks(sql, statements, from, to);
  const manners = lockManners(target, migration);

  const attempt = async (lockTimeoutMs: number): Promise<void> => {
    const limit = `set local lock_timeout = ${Number.isFinite(lockTimeoutMs) ? Math.ceil(lockTimeoutMs) : 0};\n`;
    const settings = settingsFor(target, migration);
    const parts: Part[] = [
      { own: `begin; select ${setConfigCalls(settings, true)};\n`, statements: 2 },
      ...(before === undefined ? [] : [before]),
      // Not for the statements before it: an UPDATE may wait for a row without anybody waiting behind it.
      ...(strongAt === undefined
        ? [{ from, to }]
        : [
            ...(strongAt === from ? [] : [{ from, to: strongAt }]),
            { own: limit, statements: 1 },
            { from: strongAt, to },
          ]),
      { own: `${restoreSession}; ${recordSql}; commit`, statements: restoreStatements + 2 },
    ];
    await recording(target, subject, async () => {
      try {
        await session.query(compose(sql, parts), signal);
      } catch (error) {
        const completed = session.completed();
        // A failed transaction stays open until it is told to end.
        if (session.failed()) await session.afterwards("rollback");
        throw explainSqlError(error, { migration, statements, parts, completed, state });
      }
    });
  };
  await withPatience(session, subject, wanted, manners, target.log, signal, attempt);
}

/** The locks that are known beforehand, and where the first statement stands that wants any. */
export function findStrongLocks(
  sql: string,
  statements: readonly Statement[],
  from: number,
  to: number,
): { strongAt: number | undefined; wanted: readonly StrongLock[] } {
  let strongAt: number | undefined;
  const wanted = new Map<string, StrongLock>();
  for (const statement of statements) {
    if (statement.start < from || statement.end > to) continue;
    const { isStrong, relations } = strongLocksOf(sql, statement);
    if (isStrong) strongAt ??= statement.start;
    for (const lock of relations) wanted.set(JSON.stringify(lock), lock);
  }
  return { strongAt, wanted: [...wanted.values()] };
}

/** The configured manners, unless the file has its own. */
export function lockManners(target: Target, { directives }: Migration): Target["lockManners"] {
  return {
    ...target.lockManners,
    ...(directives.lockTimeoutMs === undefined ? {} : { lockTimeoutMs: directives.lockTimeoutMs }),
    ...(directives.ddlLockBudgetMs === undefined ? {} : { budgetMs: directives.ddlLockBudgetMs }),
  };
}

/** What the session sets for itself while a file runs. */
export function settingsFor(
  target: Target,
  migration: Migration,
): Readonly<Record<string, string>> {
  const { statementTimeoutMs } = migration.directives;
  return {
    ...target.settings,
    ...(statementTimeoutMs === undefined
      ? {}
      : {
          statement_timeout: Number.isFinite(statementTimeoutMs)
            ? String(Math.ceil(statementTimeoutMs))
            : "0",
        }),
    application_name: target.applicationName(migration),
  };
}
