import { type Name, readStatement } from "../sql/reader.ts";
import type { Statement } from "../sql/statements.ts";
import { readIndexBuild } from "../sql/index-build.ts";

/** The locks of a statement that gives them back before they can be seen. */
export type KnownLock = { readonly relation: Name; readonly mode: string };

const gentle = "ShareUpdateExclusiveLock";

/**
 * The locks of the statements that run outside transactions: each is a transaction of its own, or several, and holds
 * nothing when it is done. `npm run compare:squawk` watches them from another session, on PostgreSQL 15 and 18.
 * @returns undefined for any other statement, and for those that go through many tables
 */
export function knownLocks(sql: string, statement: Statement): readonly KnownLock[] | undefined {
  const build = readIndexBuild(sql, statement);
  if (build !== undefined) return build.isConcurrent ? on([build.table]) : undefined;
  const reader = readStatement(sql, statement.start, statement.end);
  if (reader.take("DROP INDEX CONCURRENTLY")) {
    reader.take("IF EXISTS");
    return on([reader.name()]);
  }
  if (reader.take("REINDEX")) {
    const isOption = reader.options().get("concurrently") === true;
    if (!reader.take("INDEX") && !reader.take("TABLE")) return undefined;
    return reader.take("CONCURRENTLY") || isOption ? on([reader.name()]) : undefined;
  }
  if (reader.take("ALTER TABLE")) {
    reader.take("IF EXISTS");
    const table = reader.table();
    if (!reader.skipPast("DETACH PARTITION")) return undefined;
    const partition = reader.name();
    if (!reader.take("CONCURRENTLY") || table === undefined || partition === undefined) {
      return undefined;
    }
    return [...on([table]), { relation: partition, mode: "AccessExclusiveLock" }];
  }
  if (reader.take("VACUUM")) {
    const isFull = reader.options().get("full") === true || reader.take("FULL");
    while (["FREEZE", "VERBOSE", "ANALYZE", "ANALYSE"].some(reader.take));
    const tables: Name[] = [];
    do {
      const table = reader.name();
      if (table !== undefined) tables.push(table);
      // Its columns.
      reader.options();
    } while (reader.take(","));
    if (tables.length === 0) return undefined;
    return on(tables, isFull ? "AccessExclusiveLock" : gentle);
  }
  return undefined;
}

const on = (relations: readonly (Name | undefined)[], mode = gentle): KnownLock[] =>
  relations.flatMap((relation) => (relation === undefined ? [] : [{ relation, mode }]));

const beyond =
  /^((CREATE|DROP|ALTER) (DATABASE|TABLESPACE|SUBSCRIPTION|ROLE|USER(?! MAPPING)|GROUP)|ALTER SYSTEM|(COMMIT|ROLLBACK) PREPARED|CHECKPOINT|LOAD)\b/;

const grantsBeyond = /\bon\s+(database|tablespace|parameter)\b/i;

/** Statements that run functions, rather than make or name them. */
const runs = /^(SELECT|WITH|VALUES|DO|CALL|INSERT|UPDATE|DELETE|MERGE|COPY|CREATE TABLE|DECLARE)\b/;

/** Functions that reach other sessions, the server or another one, from whichever database they are called. */
const functionsBeyond =
  /\b(pg_(terminate|cancel)_backend|pg_(create|copy)_(logical|physical)_replication_slot|pg_drop_replication_slot|pg_replication_(slot_advance|origin_(create|drop|advance))|pg_reload_conf|pg_rotate_logfile|pg_switch_wal|pg_promote|pg_wal_replay_(pause|resume)|pg_(backup_(start|stop)|(start|stop)_backup)|pg_file_\w+|lo_export|dblink\w*)"?\s*\(/i;

/** Why a statement is not tried out: it would act on more than the copy. */
export function reachesBeyond(sql: string, { start, end, opening }: Statement): string | undefined {
  if (beyond.test(opening)) return "it acts on the whole server, so it was not tried out";
  if (/^(GRANT|REVOKE)\b/.test(opening) && grantsBeyond.test(sql.slice(start, end))) {
    return "it acts on the whole server, so it was not tried out";
  }
  if (runs.test(opening) && functionsBeyond.test(sql.slice(start, end))) {
    return "it calls a function that acts on more than its database, so it was not tried out";
  }
  const isCopy = opening.startsWith("COPY");
  return isCopy && /\b(from|to)\s+(program\b|e?')/i.test(sql.slice(start, end))
    ? "it uses files or programs of the server, so it was not tried out"
    : undefined;
}
