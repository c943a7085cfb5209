import { HeadgateError } from "../errors.ts";
import { mayOnTable, quoteLiteral, quoteName, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { remedyOf } from "../postgres/remedies.ts";
import { describeSqlState, isServerError, mayPass, sqlState } from "../postgres/sqlstate.ts";
import { builtIn, createHistoryTable, type History } from "../migrations/history.ts";
import { durably } from "../postgres/session-settings.ts";
import { createJournal, journalTable } from "./journal.ts";
import { giveKey, lacksKey } from "./journal-key.ts";
import { record, recording } from "./record.ts";
import type { Target } from "./target.ts";

/**
 * Makes sure that files can be recorded before the first of them runs: the schema, the table, the row of migration 0
 * that postgres-migrations expects, and the right to add rows; and the journal, where the role may.
 * @param history as it was found under the lock
 * @param rows to add in the same transaction, of what was applied by others
 * @returns the target, with what is known of its journal
 * @throws HeadgateError refused (77) when the role lacks a right
 */
export async function prepareHistory(
  target: Target,
  history: History,
  signal: AbortSignal,
  rows: readonly { id: number; name: string; hash: string }[] = [],
): Promise<Target> {
  const { session, historyTable } = target;
  try {
    if (!history.exists) await createSchema(session, historyTable[0], signal);
    const rights = await askRights(session, historyTable, signal);
    if (history.exists) mustBeAllowed("insert", rights, historyTable);
    const prepared = { ...target, hasJournal: rights.journal ?? rights.create };
    // With IF NOT EXISTS too, the server wants the right to create tables.
    const missing = [
      ...(history.exists ? [] : [createHistoryTable(historyTable)]),
      ...(rights.journal === null && rights.create ? [createJournal(historyTable)] : []),
      // Without the journal's row: that migration is not the user's.
      ...(history.rows.some(({ id }) => id === builtIn.id) ? [] : [record(target, builtIn)]),
      ...rows.map((row) => record(prepared, row, "null", "stamped")),
    ];
    const sql = `begin; ${durably(target)}${missing.join("; ")}; commit`;
    if (missing.length > 0)
      await recording(target, "the history table", () => session.query(sql, signal));
    if (rights.lacksKey) await giveKey(target, signal);
    return prepared;
  } catch (error) {
    throw historyFailure(historyTable, error);
  }
}

/** Asks first: creating a schema needs a right on the database, which an ordinary role lacks. */
export async function createSchema(
  session: Session,
  schema: string,
  signal: AbortSignal,
): Promise<void> {
  const sql = `select from pg_catalog.pg_namespace where nspname = ${quoteLiteral(schema)}`;
  const [found] = await session.query(sql, signal);
  if (found?.rows.length !== 0) return;
  try {
    await session.query(`create schema if not exists ${quoteName(schema)}`, signal);
  } catch (error) {
    // A headgate with another table in the same schema was faster; only the catalog's unique index notices.
    if (sqlState(error) !== "23505") throw error;
  }
}

/** What the role may do, and where. */
export type Rights = {
  /** History rows. */
  readonly insert: boolean;
  readonly update: boolean;
  readonly delete: boolean;
  /** Tables, in the schema of the history. */
  readonly create: boolean;
  /** Write in the journal; null where there is none yet. */
  readonly journal: boolean | null;
  /** Give the journal the key that it lacks. */
  readonly lacksKey: boolean;
};

/** Asks what the role may do. The schema of the history exists. */
export async function askRights(
  session: Session,
  historyTable: Target["historyTable"],
  signal: AbortSignal,
): Promise<Rights> {
  const journal = journalTable(historyTable);
  const [answer] = await session.query(
    `select ${mayOnTable(historyTable, "insert")} as insert, ${mayOnTable(historyTable, "update")} as update, ${mayOnTable(historyTable, "delete")} as delete,
      ${mayOnTable(journal, "insert")} and ${mayOnTable(journal, "delete")} as journal,
      ${lacksKey(historyTable)} as "lacksKey",
      pg_catalog.has_schema_privilege(${quoteLiteral(historyTable[0])}, 'create') as create`,
    signal,
  );
  return answer?.rows[0] as Rights;
}

/** @throws HeadgateError refused (77) when the role may not add, change or remove history rows */
export function mustBeAllowed(
  right: "insert" | "update" | "delete",
  rights: Rights,
  historyTable: Target["historyTable"],
): void {
  if (rights[right]) return;
  const table = quoteTable(historyTable);
  throw new HeadgateError("refused", `the history table ${table} may not be written`, {
    fix: `grant ${right} on ${table} to the user headgate connects as, or set HEADGATE_DATABASE_URL to the owner's`,
  });
}

function historyFailure(historyTable: Target["historyTable"], error: unknown): unknown {
  if (!isServerError(error)) return error;
  const table = quoteTable(historyTable);
  const what = `the history table ${table} could not be prepared: ${error.message} (${describeSqlState(error.code)})`;
  const details = { phase: "migrate", sqlstate: error.code };
  if (error.code === "42501") {
    const schema = quoteName(historyTable[0]);
    return new HeadgateError("refused", what, {
      fix: `grant create on schema ${schema} (or on the database, if the schema is missing) to the user headgate connects as, or set HEADGATE_DATABASE_URL to the owner's`,
      details,
      cause: error,
    });
  }
  const fix = remedyOf(error);
  return new HeadgateError(mayPass(error) ? "lock_timeout" : "sql_failed", what, {
    ...(fix === undefined ? {} : { fix }),
    details,
    cause: error,
  });
}
