import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { readIndexBuild } from "../sql/index-build.ts";
import { mannerOf } from "../sql/manner.ts";
import { type Name, readStatement, type Reader } from "../sql/reader.ts";
import { splitStatements } from "../sql/statements.ts";
import { isBuilt } from "./index-builds.ts";

/** What became of a step that never reported: it took effect, it may be run (again), or it cannot be told. */
export type Settlement = "done" | "redo" | "unknown";

/**
 * Settles a step in doubt by what the catalog shows of its effect.
 * @param text the statement as it was started
 * @returns also SQL to run instead of the statement, where half of it is done
 */
export async function settle(
  session: Session,
  text: string,
  signal: AbortSignal,
): Promise<{ readonly is: Settlement; readonly instead?: string }> {
  const [statement] = splitStatements(text).statements;
  if (statement === undefined) return { is: "unknown" };
  const manner = mannerOf(text, statement);
  // Its effect and the note that it is done are committed together: without the note there is no effect.
  if (manner === "inside" || manner === "setting") return { is: "redo" };
  // On a partitioned table these work in several transactions.
  const isAsGoodTwice = /^(REINDEX|CLUSTER)\b/.test(statement.opening);
  if (manner === "unknown") return { is: isAsGoodTwice ? "redo" : "unknown" };

  const exists = async (sql: string): Promise<boolean> => {
    const [result] = await session.query(`select exists (${sql}) as found`, signal);
    return result?.rows[0]?.["found"] === true;
  };
  const found = async (sql: string, whenFound: Settlement): Promise<{ is: Settlement }> => {
    const otherwise = whenFound === "done" ? "redo" : "done";
    return { is: (await exists(sql)) ? whenFound : otherwise };
  };

  const build = readIndexBuild(text, statement);
  if (build !== undefined) return { is: (await isBuilt(session, build, signal)) ? "done" : "redo" };

  const reader = readStatement(text, statement.start, statement.end);
  const whenFound = reader.take("CREATE") ? "done" : reader.take("DROP") ? "redo" : undefined;
  if (whenFound !== undefined) {
    if (reader.take("INDEX CONCURRENTLY")) {
      return found(`select where ${oidOf(nameIn(reader))} is not null`, whenFound);
    }
    for (const [kind, catalog, column] of clusterWide) {
      if (!reader.take(kind)) continue;
      const name = quoteLiteral(nameIn(reader).at(-1) ?? "");
      return found(`select from pg_catalog.${catalog} where ${column} = ${name}`, whenFound);
    }
    return { is: "unknown" };
  }
  if (reader.take("ALTER TABLE")) return settleDetach(reader, exists);
  if (reader.take("ALTER SUBSCRIPTION")) return { is: "unknown" };
  // VACUUM, REINDEX CONCURRENTLY, CLUSTER of all tables, ALTER SYSTEM, ALTER DATABASE … SET TABLESPACE, DISCARD ALL: as good the second time.
  return { is: "redo" };
}

const clusterWide = [
  ["DATABASE", "pg_database", "datname"],
  ["TABLESPACE", "pg_tablespace", "spcname"],
  ["SUBSCRIPTION", "pg_subscription", "subname"],
] as const;

/** DETACH PARTITION … CONCURRENTLY works in two transactions; after the first it has to be finished by FINALIZE. */
async function settleDetach(
  reader: Reader,
  exists: (sql: string) => Promise<boolean>,
): Promise<{ is: Settlement; instead?: string }> {
  const parent = nameIn(reader);
  reader.skipPast("DETACH PARTITION");
  const child = nameIn(reader);
  const link = `select from pg_catalog.pg_inherits h where inhparent = ${oidOf(parent)} and inhrelid = ${oidOf(child)}`;
  if (!(await exists(link))) return { is: "done" };
  // PostgreSQL 13 has no such column.
  if (!(await exists(`${link} and pg_catalog.to_jsonb(h) @> '{"inhdetachpending": true}'`)))
    return { is: "redo" };
  const instead = `alter table ${quoteTable(parent)} detach partition ${quoteTable(child)} finalize`;
  return { is: "redo", instead };
}

/** `[IF EXISTS | IF NOT EXISTS] [ONLY] name`. */
function nameIn(reader: Reader): Name {
  if (!reader.take("IF NOT EXISTS")) reader.take("IF EXISTS");
  reader.take("ONLY");
  return reader.name() ?? [];
}

function oidOf(name: Name): string {
  return `pg_catalog.to_regclass(${quoteLiteral(quoteTable(name.slice(-2)))})`;
}

/** A condition on `i` and `c` (pg_index, pg_class) and n (pg_namespace), for the indexes that a REINDEX is for. */
export function reindexed(text: string): string | undefined {
  const reader = readStatement(text, 0, text.length);
  if (!reader.take("REINDEX")) return undefined;
  if (reader.take("(")) reader.skipPast(")");
  const kind = ["INDEX", "TABLE", "SCHEMA", "DATABASE", "SYSTEM"].find(reader.take);
  reader.take("CONCURRENTLY");
  if (kind === "DATABASE" || kind === "SYSTEM" || kind === undefined) return "true";
  const name = nameIn(reader);
  if (kind === "SCHEMA") return `n.nspname = ${quoteLiteral(name.at(-1) ?? "")}`;
  if (kind === "TABLE") return `i.indrelid = ${oidOf(name)}`;
  return `i.indrelid = (select indrelid from pg_catalog.pg_index where indexrelid = ${oidOf(name)})`;
}
