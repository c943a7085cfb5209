import { quoteTable } from "../postgres/facts.ts";
import type { Name } from "../sql/reader.ts";

/** Put above what cannot run in a transaction. */
export const ownFile = "-- in a file of its own:\n-- headgate: no-transaction\n";

const plain = /^[a-z_][a-z0-9_]*$/;

/** Words that are no names of tables or columns: categories R and T of pg_get_keywords(), PostgreSQL 13 to 18. */
const reserved = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check
    collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign freeze from full grant group having ilike in
    initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table tablesample
    then to trailing true union unique user using variadic verbose when where window with`.split(
    /\s+/,
  ),
);

/** Quoted only where it has to be, because it is read by people. */
export const quote = (names: Name): string =>
  names
    .map((name) => (plain.test(name) && !reserved.has(name) ? name : quoteTable([name])))
    .join(".");
