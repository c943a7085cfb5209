import { hostname } from "node:os";
import { beforeCatalogQuery, catalogQuery } from "../fingerprint/catalog.ts";
import { type SchemaObject, toObjects } from "../fingerprint/schema.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { durably } from "../postgres/session-settings.ts";
import { describeSqlState, isServerError } from "../postgres/sqlstate.ts";
import { version } from "../version.ts";
import { journalTable, mayRead, repairs } from "./journal.ts";
import { stepTable } from "./step-table.ts";
import type { Target } from "./target.ts";

/** A schema of ten thousand tables takes longer, and other replicas wait. */
const longestMs = 5000;

/**
 * Notes in the journal what the schema consists of after a run, for `status --drift`. That it cannot is said, and no
 * reason to fail: everything is applied. Takes one query.
 */
export async function noteSchema(target: Target, signal: AbortSignal): Promise<void> {
  const { session, historyTable, hasJournal, ownTables, log } = target;
  if (!hasJournal) return;
  const journal = quoteTable(journalTable(historyTable));
  const [host, headgate] = [hostname(), version].map(quoteLiteral);
  const text = `begin; ${durably(target)}set local statement_timeout = ${longestMs}; ${beforeCatalogQuery(ownTables)};
    with gone as (delete from ${journal} where event = 'schema')
      insert into ${journal} (name, event, host, headgate, server_major, objects)
      select '', 'schema', ${host}, ${headgate}, current_setting('server_version_num')::int / 10000, objects
        from (${catalogQuery}) as schema; commit`;
  try {
    await session.query(text, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (session.failed()) await session.afterwards("rollback");
    const reason = isServerError(error)
      ? `${error.message} (${describeSqlState(error.code)})`
      : String(error);
    log.warn({ phase: "migrate", reason }, "could not note the schema for status --drift");
  }
}

/** What was noted after a run. */
export type NotedSchema = {
  /** As the server prints it, and to compare with others. */
  readonly at: string;
  readonly atMs: number;
  /** Who ran it. */
  readonly by: string;
  readonly objects: readonly SchemaObject[];
  /** The server's major version then, and now. */
  readonly serverMajor: number;
  readonly major: number;
};

/** Reads what was noted; undefined where nothing is, or nothing that may be read. */
export async function readNotedSchema(
  session: Session,
  historyTable: readonly [string, string],
  signal: AbortSignal,
): Promise<NotedSchema | undefined> {
  if (!(await mayRead(session, journalTable(historyTable), signal))) return undefined;
  const journal = quoteTable(journalTable(historyTable));
  const [result] = await session.query(
    `select noted.at::text as at, extract(epoch from noted.at)::float8 * 1000 as at_ms, db_user || ' on ' || host as by,
      objects, server_major, current_setting('server_version_num')::int / 10000 as major
    from ${journal} noted where event = 'schema' order by noted.at desc limit 1`,
    signal,
  );
  const [row] = result?.rows ?? [];
  if (row === undefined) return undefined;
  return {
    at: String(row["at"]),
    atMs: Number(row["at_ms"]),
    by: String(row["by"]),
    objects: toObjects(row["objects"]),
    serverMajor: Number(row["server_major"]),
    major: Number(row["major"]),
  };
}

/**
 * Whether migrations or steps were applied or undone later, in a run that did not come to its end.
 * @param at as the server prints it
 */
export async function hasChangedSince(
  session: Session,
  historyTable: readonly [string, string],
  at: string,
  signal: AbortSignal,
): Promise<boolean> {
  const since = quoteLiteral(at);
  const [journal, steps] = [journalTable(historyTable), stepTable(historyTable)];
  const changes = [
    [
      journal,
      `select from ${quoteTable(journal)} where event not in ${repairs} and event <> 'schema' and at > ${since}`,
    ],
    [steps, `select from ${quoteTable(steps)} where coalesce(ended_at, started_at) > ${since}`],
  ] as const;
  const asked: string[] = [];
  for (const [table, select] of changes) {
    if (await mayRead(session, table, signal)) asked.push(`exists (${select})`);
  }
  if (asked.length === 0) return false;
  const [result] = await session.query(`select ${asked.join(" or ")} as changed`, signal);
  return result?.rows[0]?.["changed"] === true;
}
