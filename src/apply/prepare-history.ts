import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteName, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { describeSqlState, isServerError, sqlState } from "../postgres/sqlstate.ts";
import { builtIn, createHistoryTable, type History } from "../migrations/history.ts";
import { record, recording } from "./record.ts";
import type { Target } from "./target.ts";

/**
 * Makes sure that files can be recorded before the first of them runs: the schema, the table, the row of migration 0
 * that postgres-migrations expects, and the right to add rows.
 * @param history as it was found under the lock
 * @param rows to add in the same transaction
 * @throws HeadgateError refused (77) when the role lacks a right
 */
export async function prepareHistory(
  target: Target,
  history: History,
  signal: AbortSignal,
  rows: readonly { id: number; name: string; hash: string }[] = [],
): Promise<void> {
  const { session, historyTable } = target;
  try {
    if (!history.exists) await createSchema(session, historyTable[0], signal);
    else await mustBeAllowedTo("insert", session, historyTable, signal);
    const own = history.rows.some(({ id }) => id === builtIn.id) ? [] : [builtIn];
    const records = [...own, ...rows].map((row) => record(target, row));
    if (records.length === 0) return;
    // With IF NOT EXISTS too, the server wants the right to create tables.
    const create = history.exists ? "" : `${createHistoryTable(historyTable)};`;
    const sql = `begin; ${create} ${records.join("; ")}; commit`;
    await recording(target, "the history table", () => session.query(sql, signal));
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

/** @throws HeadgateError refused (77) when the role may not add or remove history rows */
export async function mustBeAllowedTo(
  right: "insert" | "delete",
  session: Session,
  historyTable: Target["historyTable"],
  signal: AbortSignal,
): Promise<void> {
  const table = quoteTable(historyTable);
  const sql = `select pg_catalog.has_table_privilege(${quoteLiteral(table)}, '${right}') as allowed`;
  const [answer] = await session.query(sql, signal);
  if (answer?.rows[0]?.["allowed"] === true) return;
  throw new HeadgateError("refused", `the history table ${table} may not be written`, {
    fix: `grant ${right} on ${table} to the user headgate connects as, or set HEADGATE_DATABASE_URL to the owner's`,
  });
}

function historyFailure(historyTable: Target["historyTable"], error: unknown): unknown {
  if (!isServerError(error)) return error;
  const table = quoteTable(historyTable);
  const what = `the history table ${table} could not be prepared: ${error.message} (${describeSqlState(error.code)})`;
  const details = { phase: "migrate", sqlstate: error.code };
  if (error.code !== "42501")
    return new HeadgateError("sql_failed", what, { details, cause: error });
  const schema = quoteName(historyTable[0]);
  return new HeadgateError("refused", what, {
    fix: `grant create on schema ${schema} (or on the database, if the schema is missing) to the user headgate connects as, or set HEADGATE_DATABASE_URL to the owner's`,
    details,
    cause: error,
  });
}
