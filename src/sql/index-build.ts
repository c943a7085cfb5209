import { type Name, readStatement } from "./reader.ts";
import type { Statement } from "./statements.ts";

/** A CREATE INDEX, taken apart. */
export type IndexBuild = {
  /** Undefined when the server is to choose one. Never qualified: an index is where its table is. */
  readonly name: string | undefined;
  readonly table: Name;
  readonly isConcurrent: boolean;
  readonly ifNotExists: boolean;
  /** `create` or `create unique`. */
  readonly create: string;
  /** All that follows the table's name: method, columns, conditions. */
  readonly definition: string;
};

/** @returns undefined for any other statement */
export function readIndexBuild(
  sql: string,
  { start, end }: Pick<Statement, "start" | "end">,
): IndexBuild | undefined {
  if (!/^create\b/i.test(sql.slice(start, start + 7))) return undefined;
  const reader = readStatement(sql, start, end);
  reader.take("CREATE");
  const create = reader.take("UNIQUE") ? "create unique" : "create";
  if (!reader.take("INDEX")) return undefined;
  const isConcurrent = reader.take("CONCURRENTLY");
  const ifNotExists = reader.take("IF NOT EXISTS");
  const name = reader.take("ON") ? undefined : reader.name()?.join(".");
  if (name !== undefined && !reader.take("ON")) return undefined;
  const table = reader.table();
  if (table === undefined) return undefined;
  const definition = sql.slice(reader.offset(), end);
  return { name, table, isConcurrent, ifNotExists, create, definition };
}
