import type { Exception } from "./exceptions.ts";

/**
 * Statements that cannot run in a transaction, held back by an index whose function waits.
 * Left out: VACUUM without FULL, which calls no function (it takes a strong lock to give back space, but never waits for it); VACUUM FULL of
 * all tables, REINDEX DATABASE and SYSTEM, which do to each in turn what is seen here of one; those about databases, tablespaces,
 * subscriptions and settings, which lock no relation.
 */
export const outside: readonly Exception[] = [
  { since: 13, sql: "create index concurrently fresh on slow.held (slow.wait(id))" },
  {
    since: 13,
    sql: 'create unique index concurrently if not exists "fresh" on slow.held (slow.wait(id))',
  },
  { since: 13, sql: "reindex index concurrently slow.held_a" },
  { since: 14, sql: "reindex (verbose, concurrently) table slow.held" },
  { since: 13, sql: "vacuum analyze slow.held" },
  { since: 13, sql: "vacuum (full off, analyze) slow.held" },
  { since: 13, sql: "vacuum full slow.held" },
  { since: 13, sql: "vacuum full freeze verbose analyze slow.held (a)" },
  { since: 13, sql: 'VACUUM (VERBOSE, FULL) "slow" . "held"' },
  // A partition at a time; headgate probes the whole, which stays readable.
  { since: 14, sql: "reindex table slow.parts", over: ["slow.parts", "slow.parts_1"] },
];

/** Statements that wait for a transaction which reads the table. */
export const waiting: readonly Exception[] = [
  { since: 13, sql: "drop index concurrently if exists waited.dropped_a" },
  // On purpose: what waits for old transactions by itself must not be cut short.
  {
    since: 14,
    sql: "alter table waited.halves detach partition waited.halves_1 concurrently",
    missed: ["waited.halves_1"],
  },
];

/** The text does not name what these lock. */
export const outsideUnnamed: readonly Exception[] = [
  { since: 13, sql: "reindex schema slow" },
  { since: 13, sql: "reindex (verbose) schema slow" },
  { since: 13, sql: "cluster" },
  { since: 13, sql: "cluster verbose" },
];
