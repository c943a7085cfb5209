import type { Readable } from "../apply/refuse.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { readIndexBuild } from "../sql/index-build.ts";
import type { Name } from "../sql/reader.ts";
import type { Statement } from "../sql/statements.ts";
import { createdTable, strongLocksOf } from "../sql/strong-locks.ts";
import type { Finder } from "./describe-file.ts";
import { knownLocks } from "./known.ts";
import { type Lock, lockModes } from "./observe.ts";
import type { Traced } from "./trace.ts";

const exclusive = "AccessExclusiveLock";

/** Makes or removes something that locks no table which is there, or changes rows only. */
const harmless =
  /^(CREATE (TABLE|TYPE|SCHEMA|SEQUENCE|(OR REPLACE )?(FUNCTION|PROCEDURE)|EXTENSION|DOMAIN|VIEW|ROLE)|INSERT|UPDATE|DELETE|MERGE|SELECT|SET|RESET|COMMENT|GRANT|REVOKE|ANALYZE|ALTER (TYPE|SEQUENCE|FUNCTION))\b/;

/**
 * What the text of a file tells of its locks, where there is no copy to try it on. Whether a strong lock lasts for a
 * moment or for hours is then not known.
 */
export async function readFromText(
  target: Session,
  { migration, statements }: Readable,
  from: number,
  finder: Finder,
  signal: AbortSignal,
): Promise<{ names: Finder["names"]; traced: readonly Traced[] }> {
  const { sql, directives } = migration;
  const made = new Set<string>();
  const traced: Traced[] = [];
  let held: readonly Lock[] = [];
  for (const statement of statements.slice(directives.isTransactional ? 0 : from)) {
    const { isStrong, wanted } = wantedBy(sql, statement);
    const locks: Lock[] = [];
    for (const { relation, mode } of wanted) {
      const oid = made.has(JSON.stringify(relation))
        ? undefined
        : await findIndex(target, relation, finder, signal);
      if (oid !== undefined) locks.push({ oid, mode });
    }
    const table = createdTable(sql, statement);
    if (table !== undefined) made.add(JSON.stringify(table));
    const build = readIndexBuild(sql, statement);
    const oids = locks.map(({ oid }) => oid);
    const builds = build === undefined ? [] : oids;
    // FULL, as one tells from its lock.
    const isFull =
      statement.opening.startsWith("VACUUM") && locks.some(({ mode }) => mode === exclusive);
    const isKnown =
      build !== undefined ||
      (isStrong ? wanted.length > 0 && locks.length === 0 : harmless.test(statement.opening)) ||
      knownLocks(sql, statement) !== undefined;
    traced.push({
      ...{ statement, locks, held, builds, scans: [], locksAre: "known" },
      rewrites: isFull ? oids : [],
      ...(isKnown ? {} : { unknown: "its text does not tell how long it holds its locks" }),
    });
    if (directives.isTransactional) held = strongest([...held, ...locks]);
  }
  return { names: finder.names, traced };
}

/** One lock a relation. */
function strongest(locks: readonly Lock[]): Lock[] {
  const found = new Map<number, Lock>();
  for (const lock of locks) {
    const other = found.get(lock.oid);
    const isStronger =
      other === undefined ||
      lockModes.indexOf(lock.mode as never) > lockModes.indexOf(other.mode as never);
    if (isStronger) found.set(lock.oid, lock);
  }
  return [...found.values()];
}

function wantedBy(
  sql: string,
  statement: Statement,
): { isStrong: boolean; wanted: readonly { relation: Name; mode: string }[] } {
  const known = knownLocks(sql, statement);
  if (known !== undefined) return { isStrong: false, wanted: known };
  const { isStrong, relations } = strongLocksOf(sql, statement);
  return { isStrong, wanted: relations };
}

/** The number that `finder.names` knows it by. */
async function findIndex(
  target: Session,
  names: Name,
  { sizes }: Finder,
  signal: AbortSignal,
): Promise<number | undefined> {
  const [result] = await target.query(
    `select n.nspname as schema, c.relname as name from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.oid = pg_catalog.to_regclass(${quoteLiteral(quoteTable(names))})`,
    signal,
  );
  const row = result?.rows[0];
  const index = sizes.findIndex(
    ({ schema, name }) => schema === row?.["schema"] && name === row["name"],
  );
  return index === -1 ? undefined : index;
}
