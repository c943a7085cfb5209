import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import { setConfigCalls } from "../postgres/session-settings.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import type { Migration } from "./folder.ts";
import { builtIn, createHistoryTable } from "./history.ts";
import { explainSqlError } from "./sql-failure.ts";
import { splitStatements } from "./statements.ts";

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
 * Undoes whatever a file set for the session. Without it a `set role`, or the `search_path = ''` that pg_dump
 * writes, would break the bookkeeping and the next file (https://github.com/thomwright/postgres-migrations/issues/59).
 */
const restoreSession = "reset session authorization; reset role; reset all";

/** Creates the history table and, where it is missing, its schema; records migration 0 as postgres-migrations does. */
export async function createHistory(target: Target, signal: AbortSignal): Promise<void> {
  const [schema] = target.historyTable;
  // Creating a schema needs a right on the database, which an ordinary role lacks when the schema is there already.
  const sql = `select 1 from pg_catalog.pg_namespace where nspname = ${quoteLiteral(schema)}`;
  const [found] = await target.session.query(sql, signal);
  const createSchema =
    found?.rows.length === 0 ? `create schema if not exists ${quoteTable([schema])};` : "";
  await recording(target, () =>
    target.session.query(
      `begin; ${createSchema} ${createHistoryTable(target.historyTable)}; ${record(target, builtIn)}; commit`,
      signal,
    ),
  );
}

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
  await recording(target, () => text(target, migration, signal));
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
  await session.query(`${restoreSession}; ${record(target, row)}`, signal);
}

function setAll(target: Target, migration: Migration, isLocal: boolean): string {
  const applicationName = { application_name: target.applicationName(migration) };
  return `select ${setConfigCalls({ ...target.settings, ...applicationName }, isLocal)}`;
}

/**
 * The INSERT of a history row. It records a NULL hash, which the table refuses, if the session no longer has the
 * migration lock (a file may have run pg_advisory_unlock_all): then the whole transaction fails with it.
 */
function record(target: Target, row: { id: number; name: string; hash: string }): string {
  return `insert into ${quoteTable(target.historyTable)} (id, name, hash) values (${row.id}, ${quoteLiteral(row.name)},
    case when ${target.lockIsHeld} then ${quoteLiteral(row.hash)} end)`;
}

/** Recognises the two ways in which the bookkeeping itself can fail. */
async function recording(target: Target, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const cause = error instanceof HeadgateError ? error.cause : error;
    const table = cause instanceof Error && "table" in cause ? cause.table : undefined;
    const isHistory = table === target.historyTable[1];
    if (isHistory && sqlState(cause) === "23502") {
      throw new HeadgateError(
        "lock_timeout",
        "the migration lock was lost while a file ran, so it was not recorded",
        {
          fix: "remove pg_advisory_unlock_all or DISCARD from the file; then run again",
          cause,
        },
      );
    }
    if (isHistory && sqlState(cause) === "23505") {
      throw new HeadgateError(
        "lock_timeout",
        "another process recorded the same migration without taking the lock",
        {
          fix: "find the process that migrates without the lock; then run again",
          cause,
        },
      );
    }
    throw error;
  }
}
