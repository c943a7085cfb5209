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
export type JournalEvent = "applied" | "undone" | "stamped" | Repair;

/** What `headgate repair` can do to a history row. */
export type Repair = "accepted" | "forgotten";

/** SQL: events of the history alone, which leave the schema as it was. */
export const repairs = `('accepted', 'forgotten')`;

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

/** A repair, with the reason that was given for it. */
export type RepairRow = Pick<JournalRow, "migration" | "at" | "host" | "dbUser"> & {
  readonly event: Repair;
  readonly reason: string;
};

/** The latest events of each migration. */
export type Journal = {
  /** Without repairs, which apply nothing. */
  readonly runs: ReadonlyMap<number, JournalRow>;
  /** Those after which nothing else happened to the migration. */
  readonly repairs: ReadonlyMap<number, RepairRow>;
};
/**
 * The journal's key. Rows are told apart by nothing else. No sequence: in a database that was made as a copy, a crash of
 * the server takes one back to where it was copied, and the next line would meet a key that is there.
 */
export const journalKey = "id uuid primary key default pg_catalog.gen_random_uuid()";

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
  server_major integer,
  reason text
)`;

/** A journal of an older headgate keeps no reasons. */
export const addReason = (historyTable: readonly [string, string]): string =>
  `alter table ${quoteTable(journalTable(historyTable))} add column if not exists reason text`;

/**
 * A part of a `with` clause that notes what is done to a migration; undefined without a journal.
 * @param ms SQL for the milliseconds it took
 * @param reason why, of a repair
 */
export function noting(
  { historyTable, hasJournal }: Target,
  { id, name }: { readonly id: number; readonly name: string },
  event: JournalEvent,
  ms: string,
  reason?: string,
): string | undefined {
  if (!hasJournal) return undefined;
  const values = [name, event, hostname(), version].map(quoteLiteral);
  const [column, value] =
    reason === undefined ? ["", ""] : [", reason", `, ${quoteLiteral(reason)}`];
  return `noted as (insert into ${quoteTable(journalTable(historyTable))} (migration, name, event, host, headgate, ms${column})
    values (${id}, ${values.join(", ")}, ${ms}${value}))`;
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
): Promise<Journal> {
  if (!(await mayRead(session, journalTable(historyTable), signal)))
    return { runs: new Map(), repairs: new Map() };
  // By way of JSON, because the journal of an older headgate has no such column.
  const [result] = await session.query(
    `select distinct on (migration, event in ${repairs}) migration, name, event, at::text, ms::float8, host, headgate,
      db_user as "dbUser", pg_catalog.to_jsonb(journal) ->> 'reason' as reason,
      row_number() over (partition by migration order by journal.at desc) = 1 as latest
      from ${quoteTable(journalTable(historyTable))} as journal
      where migration is not null order by migration, event in ${repairs}, journal.at desc`,
    signal,
  );
  const runs = new Map<number, JournalRow>();
  const repaired = new Map<number, RepairRow>();
  for (const row of result?.rows ?? []) {
    const migration = Number(row["migration"]);
    const isRepair = row["event"] === "accepted" || row["event"] === "forgotten";
    if (!isRepair) runs.set(migration, row as JournalRow);
    else if (row["latest"] === true) repaired.set(migration, row as RepairRow);
  }
  return { runs, repairs: repaired };
}
