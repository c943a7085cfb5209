import { readStatement, type Reader } from "./reader.ts";
import type { Statement } from "./statements.ts";

/**
 * How a statement gets on with a transaction:
 * `inside`: it can run in one, and is undone with it;
 * `outside`: the server refuses it in one (25001);
 * `setting`: it changes nothing but the settings of the session;
 * `unknown`: its text does not tell, or it is none that is known here.
 */
export type Manner = "inside" | "outside" | "setting" | "unknown";

const outside =
  /^(VACUUM|(CREATE|DROP) (DATABASE|TABLESPACE)|ALTER SYSTEM|DISCARD ALL|(COMMIT|ROLLBACK) PREPARED)\b/;
// With LOCAL, TRANSACTION or CONSTRAINTS it lasts no longer than the transaction.
const setting = /^(SET(?! (LOCAL|TRANSACTION|CONSTRAINTS)\b)|RESET)\b/;
const inside =
  /^(ALTER|ANALY[SZ]E|CHECKPOINT|COMMENT|COPY|CREATE|DEALLOCATE|DELETE|DISCARD|DROP|EXECUTE|EXPLAIN|GRANT|IMPORT|INSERT|LISTEN|LOAD|LOCK|MERGE|NOTIFY|PREPARE(?! TRANSACTION\b)|REASSIGN|REFRESH|REVOKE|SECURITY|SELECT|SET|SHOW|TABLE|TRUNCATE|UNLISTEN|UPDATE|VALUES|WITH)\b/;
/** Those that need a closer look: `opening` ends at the first quoted name or list of options. */
const depends =
  /^((CREATE|DROP)( UNIQUE)? INDEX|ALTER (TABLE|DATABASE)|(CREATE|DROP|ALTER) SUBSCRIPTION|REINDEX|CLUSTER)\b/;
const setConfig = /^select\s+(?:pg_catalog\s*\.\s*)?set_config\s*\(/i;

/** Tells it from the statement's text alone. Each command of PostgreSQL 13 to 18 was tried. */
export function mannerOf(sql: string, { start, end, opening }: Statement): Manner {
  if (outside.test(opening)) return "outside";
  if (setting.test(opening)) return "setting";
  if (depends.test(opening)) return look(readStatement(sql, start, end));
  if (opening.startsWith("SELECT") && setConfig.test(sql.slice(start, start + 200))) {
    return isOnlySetConfig(readStatement(sql, start, end)) ? "setting" : "inside";
  }
  return inside.test(opening) || opening === "" ? "inside" : "unknown";
}

function look(reader: Reader): Manner {
  if (reader.take("REINDEX")) return lookAtReindex(reader);
  if (reader.take("CLUSTER")) {
    reader.options();
    reader.take("VERBOSE");
    // Of a partitioned table it must be outside, of any other it may be inside; of all tables it must be outside.
    return reader.isAtEnd() ? "outside" : "unknown";
  }
  if (reader.take("ALTER TABLE")) {
    const isDetached = reader.skipPast("DETACH PARTITION") && reader.skipPast("CONCURRENTLY");
    return isDetached ? "outside" : "inside";
  }
  if (reader.take("ALTER DATABASE")) {
    reader.name();
    return reader.take("SET TABLESPACE") ? "outside" : "inside";
  }
  const isCreate = reader.take("CREATE");
  const isDrop = !isCreate && reader.take("DROP");
  reader.take("ALTER");
  reader.take("UNIQUE");
  if (reader.take("INDEX")) return reader.take("CONCURRENTLY") ? "outside" : "inside";
  reader.take("SUBSCRIPTION");
  // As long as it has a slot on the other server, which its text does not tell.
  if (isDrop) return "outside";
  reader.name();
  return (isCreate ? isRemote(reader) : isRemoteChange(reader)) ? "outside" : "inside";
}

function lookAtReindex(reader: Reader): Manner {
  if (reader.options().get("concurrently")) return "outside";
  if (["SCHEMA", "DATABASE", "SYSTEM"].some(reader.take)) return "outside";
  if (!reader.take("INDEX")) reader.take("TABLE");
  // Of something partitioned it must be outside, of anything else it may be inside.
  return reader.take("CONCURRENTLY") ? "outside" : "unknown";
}

/** Whether CREATE SUBSCRIPTION creates a slot on the other server. */
function isRemote(reader: Reader): boolean {
  const options = reader.skipPast("WITH") ? reader.options() : new Map<string, boolean>();
  return options.get("connect") !== false && options.get("create_slot") !== false;
}

/** Whether ALTER SUBSCRIPTION changes something on the other server, or copies tables. */
function isRemoteChange(reader: Reader): boolean {
  if (reader.take("REFRESH")) return true;
  if (["SET PUBLICATION", "ADD PUBLICATION", "DROP PUBLICATION"].some(reader.take)) {
    return !reader.skipPast("WITH") || reader.options().get("refresh") !== false;
  }
  if (!reader.take("SET")) return false;
  const options = reader.options();
  return options.has("failover") || options.get("two_phase") === false;
}

/** `SELECT pg_catalog.set_config('search_path', '', false);` is how pg_dump writes SET. */
function isOnlySetConfig(reader: Reader): boolean {
  reader.take("SELECT");
  do {
    reader.take("PG_CATALOG .");
    if (!reader.take("SET_CONFIG ( '' ,")) return false;
    if (/\bselect\b/i.test(reader.text(","))) return false;
    // With true it lasts no longer than the transaction.
    if (!reader.take("FALSE )")) return false;
    if (reader.take("AS") || !reader.isAtEnd()) reader.name();
  } while (reader.take(","));
  return reader.isAtEnd();
}
