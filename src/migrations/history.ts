import { HeadgateError } from "../errors.ts";
import {
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

export type History = {
  /** Schema and table, as the server resolved them; absent schema = there is nowhere to create it. */
  readonly schema: string | null;
  readonly table: string;
  readonly exists: boolean;
  readonly rows: readonly AppliedRow[];
};

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
 * @param names the history table as configured: table, or schema and table
 * @throws HeadgateError when the table is another tool's (65) or may not be read (77)
 */
export async function lookAtHistory(
  session: Session,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Look> {
  const table = quoteTable(names);
  const schema = `(select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.oid = to_regclass(${quoteLiteral(table)})) as history_schema`;
  const rows = `(select coalesce(json_agg(json_build_array(id, name, hash, executed_at) order by id), '[]')::text
    from ${table}) as history`;
  try {
    const [result] = await session.query(`select ${factColumns}, ${schema}, ${rows}`, signal);
    return toLook(result?.rows[0] ?? {}, names);
  } catch (error) {
    const code = sqlState(error);
    if (code === "42P01" || code === "3F000") {
      // No history table: only then is a second query needed, and then there is work to do anyway.
      const [result] = await session.query(`select ${factColumns}`, signal);
      return toLook(result?.rows[0] ?? {}, names);
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

function toLook(row: Record<string, unknown>, names: readonly string[]): Look {
  const facts = readFacts(row);
  const [schema, table = names[0] ?? ""] = names.length === 2 ? names : [undefined, names[0]];
  const found = row["history_schema"];
  const exists = typeof found === "string";
  const list = exists ? (JSON.parse(String(row["history"])) as unknown[][]) : [];
  return {
    facts,
    history: {
      schema: exists ? found : (schema ?? facts.currentSchema),
      table,
      exists,
      rows: list.map(([id, name, hash, executedAt]) => ({
        id: Number(id),
        name: String(name),
        hash: String(hash),
        executedAt: typeof executedAt === "string" ? executedAt : null,
      })),
    },
  };
}

function foreignTable(names: readonly string[], cause: unknown): HeadgateError {
  return new HeadgateError(
    "history_mismatch",
    `the table ${names.join(".")} exists, but it is not a migration history: it lacks the columns id, name, hash, executed_at`,
    { fix: "another tool owns it; choose another name with --history-table", cause },
  );
}
