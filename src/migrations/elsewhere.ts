import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteName, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import { checksumsOf } from "./checksum.ts";
import type { Migration } from "./folder.ts";
import { builtIn, type History, locateHistory } from "./history.ts";
import { listNames } from "./plan.ts";

/** What other schemas of the database hold of the same files. */
export type Elsewhere = {
  /** The refusal to begin anew beside a history of the same files. */
  readonly refusal?: HeadgateError;
  /** Tables that look like such histories and may not be read. */
  readonly unread: readonly string[];
};

/** Nothing was looked for, or nothing found. */
const nothing: Elsewhere = { unread: [] };

/** The columns that make a table a history, with their types. */
const columns = [
  ["id", ["int4"]],
  ["name", ["varchar", "text"]],
  ["hash", ["varchar", "text"]],
  ["executed_at", ["timestamp", "timestamptz"]],
] as const;

/**
 * Where nothing is recorded although there are files, a history of theirs may stand in another schema: then the
 * search path is another one than at the last run, and every file would be applied again. Only then it is asked for,
 * and only when no schema was named.
 * @param names the history table as configured: table, or schema and table
 * @param known history tables of other sets
 */
export async function lookElsewhere(
  session: Session,
  names: readonly string[],
  known: readonly (readonly string[])[],
  migrations: readonly Migration[],
  history: History,
  signal: AbortSignal,
): Promise<Elsewhere> {
  const isBegun = history.rows.some(({ id }) => id !== builtIn.id);
  if (isBegun || names.length > 1 || migrations.length === 0) return nothing;
  const [own, table = ""] = (await locateHistory(session, names, signal)) ?? [];
  if (own === undefined) return nothing;
  const isNamesake = ([schema, name]: readonly string[]): boolean =>
    schema !== undefined && name === table;
  const others = [own, ...known.filter(isNamesake).map(([schema = ""]) => schema)];
  const found = await findNamesakes(session, table, others, signal);
  const unread = found
    .filter(({ readable }) => !readable)
    .map(({ schema }) => `${schema}.${table}`);
  const readable = found.flatMap((each) => (each.readable ? [each.schema] : []));
  if (readable.length === 0) return { unread };
  const twins = await findTwins(session, table, readable, migrations, signal).catch(
    (error: unknown) => {
      // Dropped, or taken away, between the two queries.
      if (!["42P01", "3F000", "42501"].includes(sqlState(error) ?? "")) throw error;
      return undefined;
    },
  );
  if (twins === undefined) {
    return lookElsewhere(session, names, known, migrations, history, signal);
  }
  if (twins.length === 0) return { unread };
  return { unread, refusal: refusalOf(own, table, twins) };
}

/**
 * Tables of this name and form in other schemas. One with policies counts as one that may not be read, because they
 * are its owner's code and would run with the rights of this role.
 */
async function findNamesakes(
  session: Session,
  table: string,
  others: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly schema: string; readonly readable: boolean }[]> {
  const hasColumn = columns.map(
    ([
      name,
      types,
    ]) => `exists (select from pg_catalog.pg_attribute where attrelid = c.oid and not attisdropped
      and attname = '${name}' and atttypid in (${types.map((type) => `'pg_catalog.${type}'::regtype`).join(", ")}))`,
  );
  const [result] = await session.query(
    `select n.nspname as schema, not c.relrowsecurity and pg_catalog.has_schema_privilege(n.oid, 'usage')
      and pg_catalog.has_table_privilege(c.oid, 'select') as readable
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relname = ${quoteLiteral(table)}::name and c.relkind = 'r' and c.relpersistence <> 't'
      and n.nspname not in (${others.map(quoteLiteral).join(", ")}) and ${hasColumn.join(" and ")} order by 1`,
    signal,
  );
  return (result?.rows ?? []) as { schema: string; readable: boolean }[];
}

type Twin = { readonly schema: string; readonly same: readonly Migration[] };

/** There may be one for each of a thousand tenants: then a few tell enough, and the rest are not read. */
const mostNamed = 5;
/** Tables read by one query, which keeps them locked: the server has room for some thousands of locks. */
const mostLocked = 100;

/** The first that have rows of these very files, by number and checksum; more than are named only to know that there are. */
async function findTwins(
  session: Session,
  table: string,
  schemas: readonly string[],
  migrations: readonly Migration[],
  signal: AbortSignal,
): Promise<Twin[]> {
  const values = migrations.flatMap(({ id, fileName, text }) =>
    checksumsOf(fileName, text).map((checksum) => `(${id}, '${checksum}')`),
  );
  const twins: Twin[] = [];
  for (let at = 0; at < schemas.length && twins.length <= mostNamed; at += mostLocked) {
    const selects = schemas.slice(at, at + mostLocked).map(
      (schema) => `select ${quoteLiteral(schema)} as schema, array(select distinct theirs.id
        from only ${quoteTable([schema, table])} theirs join files on files.id = theirs.id and files.checksum = theirs.hash) as ids`,
    );
    const [result] = await session.query(
      `with files (id, checksum) as (values ${values.join(", ")})
      select schema, ids from (${selects.join(" union all ")}) as found where ids <> '{}' limit ${mostNamed + 1}`,
      signal,
    );
    const rows = (result?.rows ?? []) as { schema: string; ids: number[] }[];
    for (const { schema, ids } of rows) {
      twins.push({ schema, same: migrations.filter(({ id }) => ids.includes(id)) });
    }
  }
  return twins;
}

function refusalOf(own: string, table: string, twins: readonly Twin[]): HeadgateError {
  const [first] = twins;
  const problems = twins.map(
    ({ schema, same }) =>
      `${schema}.${table} is a history of the same files: it has ${listNames(same)}`,
  );
  if (problems.length > mostNamed) problems.splice(mostNamed, Infinity, "and there are more");
  const name = `${quoteWord(first?.schema ?? "")}.${quoteWord(table)}`;
  return new HeadgateError(
    "history_mismatch",
    `nothing is recorded in ${own}.${table}, but another schema has a history of the same files, which would be applied a second time; nothing was changed`,
    {
      problems,
      fix: `is the search path of the role or the URL another one than before? --history-table ${name} goes on with that history; --new-history begins one here, as for a schema of each tenant`,
    },
  );
}

/** As --history-table takes it. */
const quoteWord = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteName(name);
