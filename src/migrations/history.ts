import { HeadgateError } from "../errors.ts";
import {
  askFacts,
  factColumns,
  quoteLiteral,
  quoteTable,
  readFacts,
  type SessionFacts,
} from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";

/** One row of the history table. */
export type AppliedRow = {
  readonly id: number;
  readonly name: string;
  readonly hash: string;
  /** As the server prints it: a timestamp without time zone, in the time zone of the session that applied it. */
  readonly executedAt: string | null;
};

/** ASCII's own separators of records and units, which no file name has. */
const rowEnd = 30;
const fieldEnd = 31;

/** The history as it is; `exists` is false where there is no table yet. */
export type History = { readonly exists: boolean; readonly rows: readonly AppliedRow[] };

/** What one look at the database shows. */
export type Look = { readonly facts: SessionFacts; readonly history: History };

/**
 * Migration 0, which postgres-migrations ships with itself and records first
 * (postgres-migrations 5.3.0, dist/migrations/0_create-migrations-table.sql; the hash covers its name and text).
 */
export const builtIn = {
  id: 0,
  name: "create-migrations-table",
  hash: "e18db593bcde2aca2a408c4d1100f6abba2195df",
} as const;

/** The number of the newest migration that is applied; 0 when none is. */
export const newestOf = ({ rows }: History): number =>
  Math.max(builtIn.id, ...rows.map(({ id }) => id));

/** The statement of migration 0, for a table of any name. */
export const createHistoryTable = (names: readonly string[]): string =>
  `create table if not exists ${quoteTable(names)} (
  id integer primary key,
  name varchar(100) unique not null,
  hash varchar(40) not null, -- sha1 hex encoded hash of the file name and contents, to ensure it hasn't been altered since applying the migration
  executed_at timestamp default current_timestamp
)`;

/**
 * Reads the session's facts and the whole history in one query. Takes no lock beyond that of a SELECT.
 * The rows come as one text: measured, that is half the time of JSON on the server, and of a hundred rows here.
 * @param names the history table as configured: table, or schema and table
 * @throws HeadgateError when the table is another tool's (65) or may not be read (77)
 */
export async function lookAtHistory(
  session: Session,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Look> {
  const table = quoteTable(names);
  const row = `concat_ws(chr(${fieldEnd}), id, hash, coalesce(executed_at::text, ''), name)`;
  const rows = `(select string_agg(${row}, chr(${rowEnd})) from ${table}) as history`;
  try {
    const [result] = await session.query(`select ${factColumns}, ${rows}`, signal);
    const [first = {}] = result?.rows ?? [];
    return { facts: readFacts(first), history: { exists: true, rows: readRows(first["history"]) } };
  } catch (error) {
    const code = sqlState(error);
    if (code === "42P01" || code === "3F000") {
      // No history table: only then is a second query needed, and then there is work to do anyway.
      const facts = await askFacts(session, signal);
      return { facts, history: { exists: false, rows: [] } };
    }
    if (code === "42703") throw foreignTable(names, error);
    if (code === "42501") {
      throw new HeadgateError("refused", `the history table ${names.join(".")} may not be read`, {
        fix: `grant select on ${table} to the user headgate connects as`,
        cause: error,
      });
    }
    throw error;
  }
}

function readRows(text: unknown): AppliedRow[] {
  if (typeof text !== "string") return []; // the sum of no rows is NULL
  return text
    .split(String.fromCharCode(rowEnd))
    .map((row) => row.split(String.fromCharCode(fieldEnd)))
    .map(([id, hash = "", executedAt = "", name = ""]) => ({
      ...{ id: Number(id), name, hash },
      executedAt: executedAt === "" ? null : executedAt,
    }))
    .toSorted((a, b) => a.id - b.id);
}

/**
 * Where the history table is, or would be created.
 * @returns schema and table; undefined when no schema of the search path exists
 */
export async function locateHistory(
  session: Session,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly [schema: string, table: string] | undefined> {
  const [first = "", second] = names;
  if (second !== undefined) return [first, second];
  const [result] = await session.query(
    `select coalesce((select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.oid = pg_catalog.to_regclass(${quoteLiteral(quoteTable(names))})), pg_catalog.current_schema()) as schema`,
    signal,
  );
  const schema = result?.rows[0]?.["schema"];
  return typeof schema === "string" ? [schema, first] : undefined;
}

function foreignTable(names: readonly string[], cause: unknown): HeadgateError {
  return new HeadgateError(
    "history_mismatch",
    `the table ${names.join(".")} exists, but it is not a migration history: it lacks the columns id, name, hash, executed_at`,
    { fix: "another tool owns it; choose another name with --history-table", cause },
  );
}
