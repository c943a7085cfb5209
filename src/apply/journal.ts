import { hostname } from "node:os";
import { mayOnTable, quoteLiteral, quoteTable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { version } from "../version.ts";
import { beside } from "./beside.ts";
import type { Target } from "./target.ts";

/**
 * Beside the history table, under its name with `_journal`: who did what, when, from where, and how long it took. It is
 * for people; nothing is decided by it. Written in the transaction of the history row, so it knows of killed runs too.
 */
export const journalTable = ([schema, table]: readonly [string, string]) =>
  [schema, beside(table, "_journal")] as const;

/** What can happen to a migration. */
export type JournalEvent = "applied" | "undone" | "stamped";

export type JournalRow = {
  readonly migration: number;
  readonly name: string;
  readonly event: JournalEvent;
  /** As the server prints it: with its time zone. */
  readonly at: string;
  /** The time its statements took; of a file without a transaction, its steps'. Null when none were run. */
  readonly ms: number | null;
  readonly host: string;
  readonly headgate: string;
  readonly dbUser: string;
};

/** The journal's key. Rows are told apart by nothing else. */
export const journalKey = "id bigint generated always as identity primary key";

export const createJournal = (historyTable: readonly [string, string]): string =>
  `create table if not exists ${quoteTable(journalTable(historyTable))} (
  ${journalKey},
  migration integer,
  name text not null,
  event text not null,
  at timestamptz not null default pg_catalog.clock_timestamp(),
  ms double precision,
  host text not null,
  headgate text not null,
  db_user text not null default session_user,
  objects jsonb,
  server_major integer
)`;

/**
 * A part of a `with` clause that notes what is done to a migration; undefined without a journal.
 * @param ms SQL for the milliseconds it took
 */
export function noting(
  { historyTable, hasJournal }: Target,
  { id, name }: { readonly id: number; readonly name: string },
  event: JournalEvent,
  ms: string,
): string | undefined {
  if (!hasJournal) return undefined;
  const values = [name, event, hostname(), version].map(quoteLiteral);
  return `noted as (insert into ${quoteTable(journalTable(historyTable))} (migration, name, event, host, headgate, ms)
    values (${id}, ${values.join(", ")}, ${ms}))`;
}

/** SQL for the milliseconds since the transaction began. */
export const msSinceBegin = toMs("pg_catalog.clock_timestamp() - pg_catalog.now()");

/** SQL: an interval in milliseconds. */
export function toMs(interval: string): string {
  return `extract(epoch from ${interval}) * 1000`;
}

/** Whether there is a table, and it may be read. */
export async function mayRead(
  session: Session,
  table: readonly [string, string],
  signal: AbortSignal,
): Promise<boolean> {
  // Asked first, because an error of a query that was not needed would stand in the server's log.
  const [answer] = await session.query(`select ${mayOnTable(table, "select")} as readable`, signal);
  return answer?.rows[0]?.["readable"] === true;
}

/** Reads what is known of the migrations' latest events; empty where there is no journal, or none that may be read. */
export async function readJournal(
  session: Session,
  historyTable: readonly [string, string],
  signal: AbortSignal,
): Promise<ReadonlyMap<number, JournalRow>> {
  if (!(await mayRead(session, journalTable(historyTable), signal))) return new Map();
  const [result] = await session.query(
    `select distinct on (migration) migration, name, event, at::text, ms::float8, host, headgate, db_user as "dbUser"
      from ${quoteTable(journalTable(historyTable))} as journal
      where migration is not null order by migration, journal.at desc`,
    signal,
  );
  return new Map((result?.rows as JournalRow[] | undefined)?.map((row) => [row.migration, row]));
}
