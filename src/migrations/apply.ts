import { setConfigCalls } from "../postgres/session-settings.ts";
import type { Migration } from "./folder.ts";
import { record, recording, type Target } from "./record.ts";
import { explainSqlError } from "./sql-failure.ts";
import { splitStatements } from "./statements.ts";

/**
 * Undoes whatever a file set for the session. Without it a `set role`, or the `search_path = ''` that pg_dump
 * writes, would break the bookkeeping and the next file (https://github.com/thomwright/postgres-migrations/issues/59).
 */
const restoreSession = "reset session authorization; reset role; reset all";

/**
 * Applies one file and records it.
 * @throws HeadgateError sql_failed (1) that names the place; lock_timeout (75) when the lock was lost
 */
export async function applyMigration(
  target: Target,
  migration: Migration,
  signal: AbortSignal,
): Promise<void> {
  const text = migration.isTransactional ? applyInTransaction : applyByStatement;
  await recording(target, migration.path, () => text(target, migration, signal));
}

/** One round trip: the file, its bookkeeping and the commit travel as one simple query. */
async function applyInTransaction(
  target: Target,
  migration: Migration,
  signal: AbortSignal,
): Promise<void> {
  const { session } = target;
  const before = `begin; ${setAll(target, migration, true)};\n`;
  const row = { id: migration.id, name: migration.name, hash: migration.checksum };
  // The line break ends a comment on the file's last line, the semicolon its last statement.
  const after = `\n;${restoreSession}; ${record(target, row)}; commit`;
  try {
    await session.query(before + migration.sql + after, signal);
  } catch (error) {
    const sent = { charactersBefore: before.length, statementsBefore: 2 };
    const state = "the file was rolled back; the database is as it was before it";
    throw explainSqlError(migration, error, sent, session.completed(), state);
  }
}

/** For what cannot run in a transaction: each statement alone, then the record. */
async function applyByStatement(
  target: Target,
  migration: Migration,
  signal: AbortSignal,
): Promise<void> {
  const { session } = target;
  await session.query(setAll(target, migration, false), signal);
  const { statements } = splitStatements(migration.sql);
  for (const [index, { start, end }] of statements.entries()) {
    try {
      await session.query(migration.sql.slice(start, end), signal);
    } catch (error) {
      const charactersBefore = -[...migration.sql.slice(0, start)].length;
      const state =
        index === 0
          ? "nothing of the file was committed, but a failed concurrent index build leaves an INVALID index behind"
          : `the file runs without a transaction: its first ${index} statement(s) are committed, this one is not`;
      throw explainSqlError(
        migration,
        error,
        { charactersBefore, statementsBefore: -index },
        0,
        state,
      );
    }
  }
  const row = { id: migration.id, name: migration.name, hash: migration.checksum };
  try {
    // Apart, because a transaction is read-only from its start if the file has set default_transaction_read_only.
    await session.query(restoreSession, signal);
    await session.query(record(target, row), signal);
  } catch (error) {
    const behindTheFile = {
      charactersBefore: -migration.sql.length - 2,
      statementsBefore: -statements.length,
    };
    const state = "every statement of the file is committed, but the file is not recorded";
    throw explainSqlError(migration, error, behindTheFile, 0, state);
  }
}

function setAll(target: Target, migration: Migration, isLocal: boolean): string {
  const applicationName = { application_name: target.applicationName(migration) };
  return `select ${setConfigCalls({ ...target.settings, ...applicationName }, isLocal)}`;
}
