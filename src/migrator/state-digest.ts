import { quoteTable } from "../postgres/facts.ts";

/** The rows of a table in an order of their own, whatever order the server keeps them in. */
const digestOf = (table: readonly string[]): string =>
  `coalesce((select pg_catalog.string_agg(t::text, chr(30) order by t::text collate "C") from ${quoteTable(table)} t), '')`;

/** An expression: one hash of all rows of these tables. */
export const digestOfAll = (tables: readonly (readonly string[])[]): string =>
  `pg_catalog.md5(${tables.map(digestOf).join(" || chr(29) || ")})`;

/** An expression: how many rows they have together. */
export const rowsOfAll = (tables: readonly (readonly string[])[]): string =>
  `(${tables.map((table) => `(select count(*) from ${quoteTable(table)})`).join(" + ")})`;

/** An expression: one column of a table as a JSON array, of nulls where there is no such column. */
export const columnOf = (table: readonly string[], column: string): string =>
  `(select pg_catalog.json_agg(pg_catalog.to_jsonb(t)->>'${column}') from ${quoteTable(table)} t)`;
