import type { Case } from "./alterations.ts";

/** What headgate gets wrong, to the relation. */
export type Exception = Case & {
  /** It looks who holds these although they are not locked: a migration may be delayed for nothing. */
  readonly over?: readonly string[];
  /** It does not look who holds these although they are locked: only the short lock_timeout keeps the queue short. */
  readonly missed?: readonly string[];
};

const partitions = ["events_new", "events_new_1", "events_old", "events_rest"];
const linkedToOrders = ['"Sales Data"."Order Lines"', "customers", "items"];

/** The reader does not tell ONLY, nor the text whether children are partitions or heirs, which go about it differently. */
const parentsAlone: readonly Exception[] = [
  { since: 13, sql: "alter table only events alter id set default 5", over: partitions },
  { since: 13, sql: "create index i on only events (customer)", over: partitions },
  {
    since: 13,
    sql: "create trigger t after insert on events for each statement execute function note()",
    over: partitions,
  },
  { since: 13, sql: "create index i on family (a)", over: ["family_child"] },
  {
    since: 13,
    sql: "create trigger t after insert on family for each row execute function note()",
    over: ["family_child"],
  },
  { since: 13, sql: "truncate only family", over: ["family_child"] },
  { since: 13, sql: "lock table only family in share mode", over: ["family_child"] },
];

/** The text does not tell whether a foreign key goes with it, and which; all of the table's are counted in. */
const foreignKeys: readonly Exception[] = [
  { since: 13, sql: "alter table orders drop column note cascade", over: linkedToOrders },
  { since: 13, sql: "alter table orders drop constraint orders_amount", over: linkedToOrders },
  {
    since: 13,
    sql: "alter table orders drop constraint if exists orders_customer cascade",
    over: linkedToOrders.filter((name) => name !== "customers"),
  },
  { since: 13, sql: 'alter table orders alter "Ship To" type varchar(9)', over: linkedToOrders },
];

/** An index is probed with its table. These lock it harder than the table, and so not those who only copy the table. */
const indexes: readonly Exception[] = [
  { since: 13, sql: "reindex index orders_amount_idx", over: ["orders"] },
  { since: 13, sql: "reindex table orders", over: ["orders"] },
  {
    since: 13,
    sql: 'reindex (verbose) table "Sales Data"."Order Lines"',
    over: ['"Sales Data"."Order Lines"'],
  },
  { since: 13, sql: "alter table orders_amount_idx rename to i", over: ["orders"] },
  { since: 13, sql: "alter index orders_gin set (fastupdate = off)", over: ["orders"] },
  { since: 13, sql: "alter index orders_amount_idx set tablespace pg_default", over: ["orders"] },
  { since: 13, sql: "alter index orders_note_key depends on extension plpgsql", over: ["orders"] },
  {
    since: 13,
    sql: "alter index events_loose attach partition events_old_loose",
    over: ["events_old"],
  },
];

/** The text does not name these, and `findBlockers` does not reach them. */
const unreached: readonly Exception[] = [
  // The default partition, and the other ends of the whole's foreign keys.
  {
    since: 13,
    sql: "alter table events attach partition events_next for values from ('2022-01-01') to ('2023-01-01')",
    missed: ["customers", "events_rest"],
  },
  {
    since: 15,
    sql: "alter table parts detach partition parts_1",
    missed: ["uses_parts"],
  },
  // What goes with CASCADE, and is no table.
  { since: 13, sql: "drop sequence owned cascade", missed: ["orders"] },
  { since: 13, sql: "drop table orders cascade", missed: ["owned", "totals"] },
  // The sequence of a column, which only those hold who call nextval by themselves.
  { since: 13, sql: "drop table items", missed: ["items_id_seq"] },
  { since: 13, sql: "truncate items restart identity", missed: ["items_id_seq"] },
  { since: 13, sql: "alter table items alter id drop identity", missed: ["items_id_seq"] },
  { since: 13, sql: "alter table orders owner to somebody", missed: ["owned"] },
  { since: 13, sql: "alter table orders set schema crowded", missed: ["owned"] },
  // The tables of a view.
  { since: 13, sql: "lock notes_again in share mode", missed: ["orders"] },
];

export const exceptions: readonly Exception[] = [
  ...parentsAlone,
  ...foreignKeys,
  ...indexes,
  ...unreached,
];

/** Nothing is there to be locked, which the text does not tell: a file with these alone is tried with a short lock_timeout. */
export const idle: readonly Case[] = [
  "alter table if exists missing add column c int",
  "alter table all in tablespace pg_default set tablespace pg_default",
  "alter index all in tablespace pg_default set tablespace pg_default",
  "alter materialized view all in tablespace pg_default set tablespace pg_default",
  "alter domain lonely set not null",
  "create or replace view v as select 1",
  "create or replace recursive view v (n) as values (1) union all select n + 1 from v where n < 5",
  "drop table if exists missing",
  "drop schema empty cascade",
].map((sql) => ({ sql, since: 13 }));
