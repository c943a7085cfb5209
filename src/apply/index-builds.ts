import { sleep } from "../deadline.ts";
import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteName, quoteTable, thisDatabase } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { isServerError } from "../postgres/sqlstate.ts";
import type { Log } from "../report/log.ts";
import type { Migration } from "../migrations/folder.ts";
import { type IndexBuild, readIndexBuild } from "../sql/index-build.ts";
import type { Statement } from "../sql/statements.ts";
import type { Target } from "./target.ts";
import type { Name } from "../sql/reader.ts";

/** An index of a table. */
type Index = {
  readonly schema: string;
  readonly name: string;
  readonly isValid: boolean;
  /** `UNIQUE USING btree (a)`: all of its definition but the names. */
  readonly definition: string;
  /** Whether somebody builds an index on its table right now. */
  readonly isBeingBuilt: boolean;
};

const lookEveryMs = 500;
/** As the server would write it, behind the names; of the alias `i` of pg_index. */
const definitionColumn = `case when i.indisunique then 'UNIQUE ' else '' end ||
  pg_catalog.substr(pg_catalog.pg_get_indexdef(i.indexrelid), pg_catalog.strpos(pg_catalog.pg_get_indexdef(i.indexrelid), ' USING ') + 1) as definition`;
/**
 * Whether another session builds an index on the table of `i`; its process id is all that everybody may see. In
 * databases that are copies of one another, tables have the same numbers.
 */
const beingBuilt = `exists (select from pg_catalog.pg_stat_progress_create_index p join pg_catalog.pg_locks l on l.pid = p.pid
  where l.relation = i.indrelid and l.database = ${thisDatabase} and l.granted and p.pid <> pg_catalog.pg_backend_pid())`;

/**
 * Reads the indexes of a table, and one of the given name on another table of its schema. An index that is left of a
 * partitioned table until all of its parts are attached (relkind I) is invalid on purpose, and left out.
 */
async function readIndexes(
  session: Session,
  table: Name,
  name: string | undefined,
  signal: AbortSignal,
): Promise<Index[]> {
  const oid = `pg_catalog.to_regclass(${quoteLiteral(quoteTable(table.slice(-2)))})`;
  const sameName =
    name === undefined
      ? ""
      : `or c.relname = ${quoteLiteral(name)} and c.relnamespace = (select relnamespace from pg_catalog.pg_class where oid = ${oid})`;
  const [result] = await session.query(
    `select n.nspname as schema, c.relname as name, i.indisvalid as valid, ${definitionColumn}, ${beingBuilt} as being_built
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid and c.relkind = 'i'
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where i.indrelid = ${oid} ${sameName} order by c.relname`,
    signal,
  );
  return (result?.rows ?? []).map((row) => ({
    schema: String(row["schema"]),
    name: String(row["name"]),
    isValid: row["valid"] === true,
    definition: String(row["definition"]),
    isBeingBuilt: row["being_built"] === true,
  }));
}

/** Whether any index of the table, or of the name that is wanted, is invalid. Takes no lock. */
async function hasInvalid(
  session: Session,
  { table, name }: IndexBuild,
  signal: AbortSignal,
): Promise<boolean> {
  const oid = `pg_catalog.to_regclass(${quoteLiteral(quoteTable(table.slice(-2)))})`;
  const sameName = name === undefined ? "" : `or c.relname = ${quoteLiteral(name)}`;
  const [result] = await session.query(
    `select exists (select from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
      where not i.indisvalid and (i.indrelid = ${oid} ${sameName})) as found`,
    signal,
  );
  return result?.rows[0]?.["found"] === true;
}

/**
 * Learns the definition of an index as the server would write it, by building it on an empty copy of the table that
 * is rolled back.
 * @returns undefined where that is not possible: without the table, or without the right to make temporary tables
 */
async function wantedDefinition(
  session: Session,
  { create, table, definition }: IndexBuild,
  signal: AbortSignal,
): Promise<string | undefined> {
  // Under its own name, because the definition may refer to it.
  const copy = quoteName(table.at(-1) ?? "");
  try {
    const results = await session.query(
      `begin; create temporary table ${copy} (like ${quoteTable(table.slice(-2))}) on commit drop;
      ${create} index headgate_wanted on pg_temp.${copy} ${definition}\n;
      select ${definitionColumn} from pg_catalog.pg_index i
        where i.indexrelid = 'pg_temp.headgate_wanted'::pg_catalog.regclass; rollback`,
      signal,
    );
    return results.flatMap(({ rows }) => rows).map((row) => String(row["definition"]))[0];
  } catch (error) {
    if (!isServerError(error)) throw error;
    await session.query("rollback", signal);
    return undefined;
  }
}

/** Those that a build is about: of its name, or without one, of its definition; and what REINDEX left of it. */
function concerned(
  { name }: IndexBuild,
  all: readonly Index[],
  wanted: string | undefined,
): readonly Index[] {
  const isLeftOfReindex = (index: Index): boolean =>
    !index.isValid && index.definition === wanted && /_cc(new|old)\d*$/.test(index.name);
  return all.filter(
    (index) =>
      (name === undefined ? index.definition === wanted : index.name === name) ||
      isLeftOfReindex(index),
  );
}

/**
 * Clears the way for an index build: drops what a failed one left behind. IF NOT EXISTS would accept an INVALID index
 * as if it were the one wanted; without it the build would fail, or choose another name.
 * @throws HeadgateError history_mismatch (65) when an INVALID index of that name has another definition
 */
export async function clearInvalid(
  session: Session,
  build: IndexBuild,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    // The rest only then: to write a definition the server locks the table, for which it might have to wait.
    if (!(await hasInvalid(session, build, signal))) return;
    const all = await readIndexes(session, build.table, build.name, signal);
    const wanted = await wantedDefinition(session, build, signal);
    const invalid = concerned(build, all, wanted).filter(({ isValid }) => !isValid);
    if (invalid.length === 0) return;
    if (invalid.some(({ isBeingBuilt }) => isBeingBuilt)) {
      log.debug(
        { phase: "migrate", table: build.table.join(".") },
        "waiting for another index build",
      );
      await sleep(lookEveryMs, signal);
      continue;
    }
    const other = invalid.find(({ definition }) => definition !== wanted);
    if (other !== undefined) throw otherDefinition(other, wanted);
    for (const index of invalid) await dropInvalid(session, index, log, signal);
  }
}

/**
 * The same for CREATE INDEX IF NOT EXISTS in a file with a transaction, which cannot drop concurrently itself.
 * @throws as clearInvalid
 */
export async function clearInvalidOfFile(
  { session, log }: Target,
  { sql }: Migration,
  statements: readonly Statement[],
  signal: AbortSignal,
): Promise<void> {
  for (const statement of statements) {
    if (!/^CREATE (UNIQUE )?INDEX IF NOT EXISTS/.test(statement.opening)) continue;
    const build = readIndexBuild(sql, statement);
    if (build !== undefined) await clearInvalid(session, build, log, signal);
  }
}

/**
 * Drops what REINDEX CONCURRENTLY left behind when it failed.
 * @param condition which indexes it was for, of the aliases i, c and n of pg_index, pg_class and pg_namespace
 */
export async function clearReindexed(
  session: Session,
  condition: string,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const [result] = await session.query(
    `select n.nspname as schema, c.relname as name from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where not i.indisvalid and c.relname ~ '_cc(new|old)[0-9]*$' and n.nspname <> 'pg_toast' and (${condition})
      and not ${beingBuilt}`,
    signal,
  );
  for (const row of result?.rows ?? []) {
    const index = { schema: String(row["schema"]), name: String(row["name"]) };
    await dropInvalid(session, index, log, signal);
  }
}

/** Whether a build that never reported has finished. */
export async function isBuilt(
  session: Session,
  build: IndexBuild,
  signal: AbortSignal,
): Promise<boolean> {
  const all = await readIndexes(session, build.table, build.name, signal);
  if (all.length === 0) return false;
  const wanted = await wantedDefinition(session, build, signal);
  return concerned(build, all, wanted).some(
    ({ isValid, definition }) => isValid && (wanted === undefined || definition === wanted),
  );
}

/**
 * Checks every index of the tables that a file has built indexes on.
 * @throws HeadgateError sql_failed (1) when one that the file has built is not valid
 */
export async function checkIndexes(
  session: Session,
  builds: readonly IndexBuild[],
  path: string,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const byTable = Map.groupBy(builds, ({ table }) => table.join("\0"));
  for (const [first, ...others] of byTable.values()) {
    if (first === undefined) continue;
    const ours = [first, ...others].map(({ name }) => name);
    const indexes = await readIndexes(session, first.table, undefined, signal);
    for (const index of indexes.filter(({ isValid }) => !isValid)) {
      const name = quoteTable([index.schema, index.name]);
      const fix = `DROP INDEX CONCURRENTLY ${name}, and build it again if it is needed`;
      if (ours.includes(index.name)) {
        throw new HeadgateError(
          "sql_failed",
          `${path}: the index ${name} is INVALID after it was built`,
          {
            fix: `${fix}; then run again`,
          },
        );
      }
      log.warn(
        { phase: "migrate", index: name, fix },
        "found an INVALID index on a table that was migrated",
      );
    }
  }
}

async function dropInvalid(
  session: Session,
  { schema, name }: Pick<Index, "schema" | "name">,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const index = quoteTable([schema, name]);
  await session.query(`drop index concurrently if exists ${index}`, signal);
  log.warn({ phase: "migrate", index }, "dropped an INVALID index that a failed build left behind");
}

function otherDefinition(
  { schema, name, definition }: Index,
  wanted: string | undefined,
): HeadgateError {
  const index = quoteTable([schema, name]);
  const difference = wanted === undefined ? "" : `: it is ${definition}, the file wants ${wanted}`;
  return new HeadgateError(
    "history_mismatch",
    `an INVALID index ${index} is in the way, and it is not known to be a leftover of this file${difference}`,
    { fix: `if nobody needs it: DROP INDEX CONCURRENTLY ${index}; then run again` },
  );
}
