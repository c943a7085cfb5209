import { readStatement } from "./reader.ts";
import type { Statement } from "./statements.ts";

/**
 * How a statement gets on with a transaction:
 * `inside`: it can run in one, and is undone with it;
 * `outside`: the server refuses it in one (25001);
 * `setting`: it changes nothing but the session;
 * `unknown`: it may commit by itself (DO, CALL), or it is none that is known here.
 */
export type Manner = "inside" | "outside" | "setting" | "unknown";

const always = [
  ["outside", /^(VACUUM|(CREATE|DROP) (DATABASE|TABLESPACE)|ALTER SYSTEM|DISCARD ALL|CLUSTER$)/],
  // With LOCAL, TRANSACTION or CONSTRAINTS it lasts no longer than the transaction.
  ["setting", /^(SET (?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)|RESET\b)/],
  ["unknown", /^(DO|CALL)\b/],
] as const;
const perhapsOutside =
  /^((CREATE|DROP)( UNIQUE)? INDEX|REINDEX|ALTER TABLE|ALTER DATABASE|(CREATE|DROP|ALTER) SUBSCRIPTION)\b/;
const inside =
  /^(ALTER|ANALY[SZ]E|CHECKPOINT|CLUSTER|COMMENT|COPY|CREATE|DEALLOCATE|DELETE|DISCARD|DROP|EXECUTE|EXPLAIN|GRANT|IMPORT|INSERT|LISTEN|LOAD|LOCK|MERGE|NOTIFY|PREPARE|REASSIGN|REFRESH|REINDEX|REVOKE|SECURITY|SELECT|SET|SHOW|TABLE|TRUNCATE|UNLISTEN|UPDATE|VALUES|WITH)\b/;
/** `SELECT pg_catalog.set_config('search_path', '', false);` is how pg_dump writes SET. */
const setConfig = /^select\s+(?:pg_catalog\s*\.\s*)?set_config\s*\(/i;

/** Tells it from the statement's text alone (PostgreSQL, "SQL Commands": "cannot be executed inside a transaction block"). */
export function mannerOf(sql: string, statement: Statement): Manner {
  const { opening, start } = statement;
  for (const [manner, pattern] of always) if (pattern.test(opening)) return manner;
  if (perhapsOutside.test(opening) && isOutside(sql, statement)) return "outside";
  if (opening.startsWith("SELECT") && setConfig.test(sql.slice(start, start + 200))) {
    return "setting";
  }
  return inside.test(opening) || opening === "" ? "inside" : "unknown";
}

/** `opening` holds bare words only, so a quoted name or a list of options in it needs a closer look. */
function isOutside(sql: string, { start, end }: Statement): boolean {
  const reader = readStatement(sql, start, end);
  if (reader.take("CREATE") || reader.take("DROP")) {
    if (reader.take("SUBSCRIPTION")) {
      // Unless it is told to leave the other server alone.
      return !/\b(create_slot|connect)\s*=\s*('?(false|off|no)\b|0)/i.test(sql.slice(start, end));
    }
    reader.take("UNIQUE");
    return reader.take("INDEX CONCURRENTLY");
  }
  if (reader.take("REINDEX")) {
    const options = reader.offset();
    if (reader.take("(")) reader.skipPast(")");
    const list = sql.slice(options, reader.offset());
    if (/\bconcurrently\b(?!\s+(false|off|0)\b)/i.test(list)) return true;
    if (reader.take("SCHEMA") || reader.take("DATABASE") || reader.take("SYSTEM")) return true;
    return (reader.take("INDEX") || reader.take("TABLE")) && reader.take("CONCURRENTLY");
  }
  if (reader.take("ALTER DATABASE")) return reader.skipPast("SET TABLESPACE");
  if (reader.take("ALTER SUBSCRIPTION")) {
    return (
      reader.skipPast("REFRESH PUBLICATION") ||
      (reader.skipPast("PUBLICATION") &&
        !/\brefresh\s*=\s*'?(false|off)\b/i.test(sql.slice(start, end)))
    );
  }
  return (
    reader.take("ALTER TABLE") &&
    reader.skipPast("DETACH PARTITION") &&
    reader.name() !== undefined &&
    reader.take("CONCURRENTLY")
  );
}
