import type { Migration } from "../migrations/folder.ts";
import { setStatements } from "../postgres/session-settings.ts";
import { createdTable, type StrongLock, strongLocksOf } from "../sql/strong-locks.ts";
import type { Statement } from "../sql/statements.ts";
import type { Target } from "./target.ts";

/**
 * Undoes whatever a file set for the session. Without it a `set role`, or the `search_path = ''` that pg_dump
 * writes, would break the bookkeeping and the next file (https://github.com/thomwright/postgres-migrations/issues/59).
 */
export function restoreSession({ settings, isPooled }: Target): string {
  // "reset all" takes headgate's own settings with it, and the bookkeeping needs them too: against a role's limits, and
  // so that the session of a killed headgate does not wait for a lock with the migration lock in its hands.
  return `reset session authorization; reset role; reset all; ${setStatements(settings, isPooled)}`;
}

/** What else a file may leave in its session; looked for in its text, because few files do. */
const leavesMore = /\b(temp|temporary|pg_temp|prepare|listen|hold)\b/i;
const removeMore = "discard temp; deallocate all; unlisten *; close all";

/** SQL that makes the session as it was before the file, and how many statements that is. */
export function undoSession(
  target: Target,
  sql: string,
): { readonly text: string; readonly statements: number } {
  const text = restoreSession(target);
  const statements = 3 + Object.keys(target.settings).length;
  return leavesMore.test(sql)
    ? { text: `${text}; ${removeMore}`, statements: statements + 4 }
    : { text, statements };
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
  // Nobody else can have a lock on a table that the file has made itself.
  const made = new Set<string>();
  for (const statement of statements) {
    if (statement.start < from || statement.end > to) continue;
    const table = createdTable(sql, statement);
    if (table !== undefined) made.add(JSON.stringify(table));
    const { isStrong, relations } = strongLocksOf(sql, statement);
    const foreign = relations.filter(({ relation }) => !made.has(JSON.stringify(relation)));
    if (isStrong && (foreign.length > 0 || relations.length === 0)) strongAt ??= statement.start;
    for (const lock of foreign) wanted.set(JSON.stringify(lock), lock);
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

/** What is set for the time of a file: headgate's own settings, unless the session has them already. */
export function settingsFor(
  { settings, isPooled, applicationName }: Target,
  migration: Migration,
): Readonly<Record<string, string>> {
  const { statementTimeoutMs } = migration.directives;
  const limit =
    statementTimeoutMs === undefined ? {} : { statement_timeout: toSetting(statementTimeoutMs) };
  return {
    ...(isPooled ? settings : {}),
    ...limit,
    application_name: applicationName(migration),
  };
}

const toSetting = (ms: number): string => (Number.isFinite(ms) ? String(Math.ceil(ms)) : "0");
