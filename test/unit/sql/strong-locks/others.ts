import { type Case, cases } from "./alterations.ts";

/** Everything but ALTER. Of these headgate knows every lock, or that there is none. */
export const others: readonly Case[] = cases({
  13: `
    truncate customers cascade
    drop table if exists events_new cascade
    drop table events_old
    truncate items cascade
    truncate orders cascade
    create table t partition of events_new for values from ('2021-06-01') to ('2021-07-01')
    create table t partition of events for values from ('2022-01-01') to ('2023-01-01')
    create policy p on events using (true)
    create table t (a int)
    create table if not exists orders (a int)
    create table t (a int references orders)
    create table t (a int, foreign key (a) references orders (id))
    create table t (a int references orders, b int references customers (id), c text default 'x references y')
    create table "T" (a int check ((a > 0) and (a < 9)), b int /* references items */ references "Sales Data" . "Order Lines")
    create table tree (id int primary key, parent int references tree)
    create temp table t (a int)
    create local temporary table t (a int)
    create unlogged table t (a int references unlogged)
    create table t (like orders including all)
    create table t () inherits (family)
    create table t (a int) partition by range (a)
    create table t of pair
    create table t as select * from orders
    select * into t from orders
    create foreign table t () inherits (family) server elsewhere
    create index on orders (amount)
    create unique index i on only orders (id, amount)
    create index i on only (orders) (id)
    create index i on orders * (id)
    CREATE INDEX IF NOT EXISTS I ON "Sales Data"."Order Lines" USING HASH ("Note")
    create index if not exists orders_amount_idx on orders (amount)
    create index i on totals (total)
    create index i on events (customer)
    create index "on" on /* alone */ orders using btree (amount) where note <> ' on customers'
    create statistics s on customer, amount from orders
    create trigger t before update on orders for each row execute function note()
    create trigger t after update of amount, note on orders for each row when (old.note is distinct from new.note) execute procedure note()
    create constraint trigger t after insert on orders from customers deferrable for each row execute function note()
    create trigger t after insert on events for each row execute function note()
    create trigger t instead of insert on order_notes for each row execute function note()
    create rule r as on insert to orders do also select 1
    create rule r as on insert to orders do also (select 1; select 2)
    create or replace rule orders_rule as on delete to public.orders do instead nothing
    create policy p on orders using (id in (select "order" from items))
    create view v as select * from orders
    create or replace view order_notes as select id, note from orders
    create or replace temp view order_notes as select 1
    create recursive view v (n) as values (1)
    create materialized view m as select * from orders
    create sequence s owned by alone.a
    create type t as enum ('a')
    create domain d as int
    create schema s
    create schema s create table t (a int references public.orders)
    create schema s create table t (a int) create index i on t (a) create view v as select 1
    create or replace function note() returns trigger language plpgsql as 'begin alter table orders drop note; end'
    create publication p for table orders
    create cast (mood as int) with inout
    create collation c from "C"
    create role r
    drop table alone
    drop table customers cascade
    drop table if exists crowded.one, /* and */ crowded . two cascade
    drop table parts cascade
    drop table family cascade
    drop table family_child
    drop view order_notes cascade
    drop view if exists missing, notes_again
    drop materialized view totals
    drop index orders_amount_idx
    drop index if exists "Sales Data"."Line Note", orders_amount_idx
    drop index totals_key
    drop index events_id
    drop sequence counter
    drop foreign table distant
    drop trigger orders_trigger on orders
    drop trigger if exists orders_trigger on public.orders cascade
    drop policy orders_policy on orders
    drop rule orders_rule on orders
    drop schema empty
    drop type unused
    drop domain lonely
    drop function lonely_function(int)
    drop function if exists missing()
    drop statistics orders_statistics
    drop publication announcements
    drop role if exists missing
    drop cast if exists (int as mood)
    truncate alone
    truncate table alone, "Sales Data".plain
    truncate orders, only items, "Sales Data"."Order Lines"
    truncate family *
    truncate events
    truncate customers, events, orders, items, "Sales Data"."Order Lines" cascade
    lock alone
    lock table alone, only orders in share mode
    lock alone in access share mode
    lock alone in row share mode
    lock alone in row exclusive mode
    lock alone in share update exclusive mode
    lock alone in share mode
    lock alone in share row exclusive mode nowait
    lock alone in exclusive mode
    lock alone in access exclusive mode nowait
    lock alone nowait
    lock family in share mode
    LOCK TABLE "Sales Data"."Order Lines" IN /* share mode */ EXCLUSIVE /* lock */ MODE
    cluster orders using orders_amount_idx
    cluster verbose orders using orders_note_key
    cluster "Sales Data"."Order Lines" using "Line Note"
    cluster orders_note_key on orders
    refresh materialized view totals
    refresh materialized view concurrently totals
    refresh materialized view totals with no data
    analyze orders
    analyze
    comment on table orders is 'x'
    comment on trigger orders_trigger on orders is 'x'
    grant select on orders to somebody
    revoke all on all tables in schema public from somebody
    insert into alone values (1)
    update alone set a = 1
    delete from customers
    select * from orders for update
    copy alone to program 'true'
    with x as (delete from alone returning *) select * from x
    do $$ begin update alone set a = 1; perform pg_try_advisory_xact_lock(1); end $$
    explain analyze create table t as select * from orders
    declare c cursor for select * from orders for update
    set constraints all immediate
    discard temp
  `,
  14: `
    create or replace trigger orders_trigger before update on orders for each row execute function note()
    reindex (concurrently off, verbose) table totals
    cluster (verbose) orders using orders_note_key
  `,
  15: `
    create table t partition of parts default
    create table t partition of parts for values from (300) to (400) partition by range (id)
    drop table uses_parts
    merge into alone using orders on alone.id = orders.id when matched then delete
  `,
  18: `
    create table t (a int references orders not enforced)
  `,
});

/** Of these it knows only that there is some strong lock: their text does not name the relations. */
export const unnamed: readonly Case[] = cases({
  13: `
    alter type pair add attribute z int cascade
    alter type pair rename attribute x to xx cascade
    alter domain positive add constraint c check (value < 100)
    alter domain positive set not null
    alter domain positive validate constraint positive_check
    drop schema crowded cascade
    drop type mood cascade
    drop type pair cascade
    drop domain positive cascade
    drop extension plpgsql cascade
    drop function note() cascade
    drop server elsewhere cascade
    drop foreign data wrapper nowhere cascade
    drop owned by somebody
    reassign owned by somebody to postgres
    do $$ begin alter table alone add column c int; end $$
    do $$ begin create table t (a int references customers); end $$
    do language plpgsql 'begin execute ''drop table alone''; end'
    call change()
    alter table U&"\\0061lone" add c int
    alter table events attach partition public.u&"events!005fnext" uescape '!' for values from ('2022-01-01') to ('2023-01-01')
    drop table u&"alone"
    create index on "public" . U&"alone" (a)
    lock U&"alone" in share mode
  `,
});
