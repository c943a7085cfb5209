import type { Readable } from "../apply/refuse.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import { type IndexBuild, readIndexBuild } from "../sql/index-build.ts";
import type { Statement } from "../sql/statements.ts";
import type { Tracer } from "./trace.ts";

/**
 * Does on the copy what `migrate` does before it builds indexes: those that a failed build left INVALID go first. Their
 * copies are valid, so that they would be in the way, or pass for the ones wanted.
 * @param statements a step, or all of a file that is run in a transaction
 */
export async function clearInvalid(
  tracer: Tracer,
  { migration: { sql, directives } }: Pick<Readable, "migration">,
  statements: readonly Statement[],
): Promise<void> {
  if (tracer.invalid.size === 0) return;
  for (const statement of statements) {
    const build = readIndexBuild(sql, statement);
    if (build === undefined || (directives.isTransactional && !build.ifNotExists)) continue;
    const index = await findIndex(tracer, build);
    if (index !== undefined && tracer.invalid.has(index))
      await tracer.session.query(`drop index ${index}`, tracer.signal);
  }
}

/** The index of this name, as it is written in SQL. */
async function findIndex(
  { session, signal }: Tracer,
  { table, name }: IndexBuild,
): Promise<string | undefined> {
  if (name === undefined) return undefined;
  const [result] = await session.query(
    `select pg_catalog.format('%I.%I', n.nspname, c.relname) as ident from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace join pg_catalog.pg_class t on t.relnamespace = n.oid
    where t.oid = pg_catalog.to_regclass(${quoteLiteral(quoteTable(table))}) and c.relname = ${quoteLiteral(name)}`,
    signal,
  );
  const ident = result?.rows[0]?.["ident"];
  return typeof ident === "string" ? ident : undefined;
}
