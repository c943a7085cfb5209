/** What one file of migrations might hold: one statement, or several that share a transaction. */
export type Case = {
  readonly sql: string;
  readonly since: number;
  /**
   * Of a statement that cannot run in a transaction: what others hold, one after the other, so that it stops half-way
   * and its locks can be seen.
   */
  readonly heldBackBy?: readonly string[];
};

const lines = (since: number, text: string): Case[] =>
  text
    .trim()
    .split("\n")
    .map((sql) => ({ sql: sql.trim(), since }));

const snapshot = "begin isolation level repeatable read; select 1; ";

const inside: readonly Case[] = [
  ...lines(
    13,
    `
    create index i on plain (a)
    create unique index i on users (ci)
    create index i on users using hash (email)
    create index i on users (lower(email)) where age > 10
    create index i on events (kind)
    create index i on only events (kind)
    create index if not exists users_age on users (age)
    create index i on totals (total)
    drop index users_age
    drop index users_name, users_age
    reindex index users_age
    reindex table plain
    reindex table users
    alter index users_age rename to age_users
    alter index users_age set (fillfactor = 50)
    alter table plain add column c int
    alter table plain add column c int default 5
    alter table plain add column c timestamptz default now()
    alter table plain add column c timestamptz default stable_now()
    alter table plain add column c int default inlined()
    alter table plain add column c timestamptz default clock_timestamp()
    alter table plain add column c double precision default random()
    alter table plain add column c serial
    alter table plain add column c bigint generated always as identity
    alter table plain add column c int generated always as (a * 2) stored
    alter table plain add column c positive
    alter table plain add column c loose
    alter table plain add column c positive default 3
    alter table plain add column c int check (c > 0)
    alter table plain add column c int default 1 check (c > 0)
    alter table plain add column c int unique
    alter table plain add column c serial primary key
    alter table plain add column c int references users
    alter table plain add column c int default 7 references users
    alter table plain add column c text not null default ''
    alter table plain add column c mood default 'sad'
    alter table plain add column c int, add column d text default 'x'
    alter table plain add column if not exists a int
    alter table parent add column c int default 3
    alter table events add column c int
    alter table plain alter a set not null
    alter table plain alter a set not null, alter b set not null
    alter table checked alter a set not null
    alter table checked alter b set not null
    alter table users alter id set not null
    alter table plain alter a drop not null
    alter table plain alter a set default 5
    alter table plain alter a drop default
    alter table plain add constraint c check (a > 0)
    alter table plain add check (a > 0) not valid
    alter table items add constraint f foreign key (id) references users
    alter table items add constraint f foreign key (id) references users not valid
    alter table users add constraint f foreign key (age) references users
    alter table items validate constraint items_label
    alter table pending_links validate constraint pending_link
    alter table plain add constraint c check (a > 0) not valid; alter table plain validate constraint c
    alter table items add constraint f foreign key (id) references users not valid; alter table items validate constraint f
    alter table plain add unique (a)
    alter table plain add constraint u unique (a, id)
    alter table plain add primary key (id)
    alter table checked add constraint u unique using index checked_a
    alter table checked add primary key using index checked_b
    alter table checked add primary key using index checked_a
    alter table users add constraint e unique using index users_email
    alter table plain add exclude using btree (id with =)
    alter table items drop constraint items_order
    alter table items drop constraint items_id
    alter table users drop constraint users_pkey
    alter table users alter name type varchar(100)
    alter table users alter name type text
    alter table users alter name type varchar
    alter table users alter name type varchar(20)
    alter table users alter email type varchar
    alter table users alter email type varchar(200)
    alter table users alter ci type text
    alter table users alter email type citext
    alter table users alter code type text
    alter table users alter code type char(5)
    alter table users alter amount type numeric(12, 2)
    alter table users alter amount type numeric
    alter table users alter amount type numeric(12, 4)
    alter table users alter amount type numeric(9, 2)
    alter table users alter age type bigint
    alter table users alter id type bigint using id::bigint
    alter table users alter age type int
    alter table users alter seen type timestamptz
    alter table orders alter at type timestamp
    set local timezone = 'Asia/Tokyo'; alter table users alter seen type timestamptz
    alter table users alter doc type jsonb
    alter table users alter ip type cidr using ip::cidr
    alter table users alter net type inet
    alter table orders alter iv type interval(6)
    alter table orders alter iv type interval(0)
    alter table orders alter note type varchar using substr(note, 1, 10)
    alter table orders alter small type int
    alter table items alter label type varchar(100)
    alter table users alter email type text collate "C"
    alter table with_domain alter a type int
    alter table plain alter b type text, alter a type bigint
    alter table plain rename to fancy
    alter table plain rename column a to z
    alter table plain drop column a
    alter table plain drop column a, add column z int
    alter table users rename constraint users_pkey to pk
    alter table plain owner to current_user
    alter table plain set (fillfactor = 70)
    alter table plain alter a set statistics 500
    alter table plain alter b set storage external
    alter table plain alter a set (n_distinct = 10)
    alter table plain set unlogged
    alter table quick set logged
    alter table plain set logged
    alter table plain set without cluster
    alter table plain set tablespace pg_default
    alter table plain enable row level security
    alter table plain force row level security
    alter table plain replica identity full
    alter table users replica identity using index users_email
    alter table users replica identity using index users_pkey
    alter table items disable trigger items_trigger
    alter table items enable trigger all
    alter table child no inherit parent
    alter table plain inherit parent
    alter table clustered cluster on clustered_pkey
    alter table events attach partition events_3 for values from ('2025-01-01') to ('2025-07-01')
    alter table events attach partition events_4 for values from ('2025-07-01') to ('2026-01-01')
    alter table events detach partition events_1
    alter table events add constraint c check (id > 0)
    alter table events alter kind set not null
    create table events_5 partition of events for values from ('2027-01-01') to ('2028-01-01')
    create table t (id int primary key, order_id bigint references orders)
    create table t (like users including all)
    create table t (a int); create index on t (a); alter table t add check (a > 0); alter table t alter a type bigint
    create table t () inherits (parent)
    drop table plain
    drop table items
    drop table orders cascade
    drop table events_1
    drop table events
    drop view names
    drop materialized view sums
    truncate plain
    truncate orders cascade
    truncate events
    cluster users using users_age
    cluster clustered
    refresh materialized view totals
    refresh materialized view concurrently totals
    refresh materialized view sums with no data
    create trigger t after insert on plain for each row execute function note()
    drop trigger items_trigger on items
    create rule r as on insert to plain do instead nothing
    create policy p on plain using (true)
    drop policy items_policy on items
    alter policy items_policy on items using (id > 1)
    create view v as select * from plain
    create or replace view names as select id, a from clustered where a > 3
    alter view names rename to n
    create materialized view m as select * from plain
    create statistics s on a, b from plain
    drop statistics users_statistics
    create sequence s owned by plain.a
    alter sequence counter restart
    alter sequence counter increment 5
    alter type mood add value 'angry'
    alter type mood rename value 'sad' to 'blue'
    alter domain loose add constraint c check (value > 0)
    alter domain loose add constraint c check (value > 0) not valid
    alter domain loose set not null
    comment on table plain is 'x'
    grant select on plain to public
    analyze plain
    lock table plain in share mode
    lock table plain
    insert into plain values (1, 1, 'x')
    update plain set a = 2 where id = 1
    delete from plain where id = 1
    alter table plain add column c int; update plain set c = 1
    alter table plain add column c int; alter table items alter label type varchar(200)
    alter table users add column c int; create index i on plain (a)
    alter table users add column c int; insert into items values (9999, 1, 'x')
    alter table users add column c int; insert into items select 10000 + id, 1, 'x' from plain
    do $$ begin alter table plain alter a type bigint; end $$
    do $$ begin if not exists (select from pg_attribute where attname = 'zzz') then alter table plain add column zzz int; end if; end $$
    alter table if exists missing add column c int
    create schema s; alter table plain set schema s
    alter table "users" alter "limit" type bigint
    create extension hstore
  `,
  ),
  ...lines(
    15,
    `
    alter table plain set access method heap
    alter table plain add constraint u unique nulls not distinct (a)
    merge into plain using items on plain.id = items.id when matched then update set a = 1
  `,
  ),
  ...lines(
    18,
    `
    alter table plain add column v int generated always as (a + 1) virtual
    alter table plain add constraint n not null a not valid
    alter table plain add constraint n not null a not valid; alter table plain validate constraint n
    alter table items add constraint f foreign key (id) references users not enforced
    alter table plain add constraint c check (a > 0) not enforced
  `,
  ),
];

const outside: readonly Case[] = [
  { sql: "create index concurrently i on plain (a)", since: 13, heldBackBy: [snapshot] },
  { sql: "create unique index concurrently i on users (ci)", since: 13, heldBackBy: [snapshot] },
  {
    sql: "drop index concurrently users_age",
    since: 13,
    heldBackBy: ["begin; lock table users in access share mode"],
  },
  { sql: "reindex index concurrently users_age", since: 13, heldBackBy: [snapshot] },
  { sql: "reindex table concurrently plain", since: 13, heldBackBy: [snapshot] },
  { sql: "reindex table concurrently users", since: 13, heldBackBy: [snapshot] },
  {
    sql: "vacuum plain",
    since: 13,
    heldBackBy: ["begin; lock table plain in share update exclusive mode"],
  },
  {
    sql: "vacuum (analyze) plain",
    since: 13,
    heldBackBy: ["begin; lock table plain in share update exclusive mode"],
  },
  {
    sql: "vacuum full plain",
    since: 13,
    heldBackBy: ["begin; lock table plain in access share mode"],
  },
  {
    sql: "alter table events detach partition events_1 concurrently",
    since: 14,
    heldBackBy: [
      "begin; lock table only events in access share mode",
      "begin; lock table events_1 in access share mode",
    ],
  },
];

export const corpus: readonly Case[] = [...inside, ...outside];
