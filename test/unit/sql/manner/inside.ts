/** Statements one to a line, by the first version that knows them. */
export type ByVersion = { readonly [since: number]: string };

/** What can run in a transaction, with names and strings that look like what cannot. */
export const inside: ByVersion = {
  13: `
      alter aggregate total(int) rename to t
      alter collation somewhere rename to c
      alter conversion myself rename to c
      alter database :database set work_mem = '1MB'
      alter database :database set app.tablespace = 'pg_default'
      alter database :database connection limit 7
      alter database ":database" set "tablespace.of" = 'pg_default'
      alter default privileges grant select on tables to somebody
      alter domain positive drop not null
      alter event trigger nothing disable
      alter extension plpgsql update
      alter foreign data wrapper nowhere options (add x 'y')
      alter foreign table distant add b int
      alter function note() rename to n
      alter group somebody rename to s
      alter index orders_amount_idx rename to x
      alter language plpgsql owner to postgres
      alter large object 1 owner to somebody
      alter materialized view totals rename to t
      alter operator class slow.order_of_ints using btree rename to o
      alter operator family slow.order_of_ints using btree rename to o
      alter operator slow.=== (int, int) owner to somebody
      alter policy orders_policy on orders rename to p
      alter procedure change() rename to c
      alter publication announcements rename to p
      alter role somebody set work_mem = '1MB'
      alter routine note() rename to n
      alter rule orders_rule on orders rename to r
      alter schema crowded rename to c
      alter sequence counter restart
      alter server elsewhere rename to e
      alter statistics orders_statistics rename to s
      alter subscription running disable
      alter subscription running set publication q with (refresh = false)
      alter subscription running set publication q with (copy_data = off, refresh = off)
      alter subscription stopped set (synchronous_commit = off)
      alter subscription stopped rename to "publication"
      alter subscription stopped connection 'host=127.0.0.1 port=1 dbname=refresh'
      alter table orders add column c int
      alter table events detach partition events_old
      alter table orders rename to "detach partition concurrently"
      alter tablespace pg_default reset (seq_page_cost)
      alter text search configuration words rename to w
      alter text search dictionary simple rename to d
      alter text search parser "default" rename to p
      alter text search template simple rename to t
      alter trigger orders_trigger on orders rename to t
      alter type mood add value 'x'
      alter user somebody login
      alter user mapping for postgres server elsewhere options (add x 'y')
      alter view order_notes rename to x
      analyze
      analyse verbose orders (amount)
      checkpoint
      comment on table orders is 'VACUUM'
      copy orders to program 'true'
      create access method am type table handler heap_tableam_handler
      create aggregate a (int) (sfunc = int4pl, stype = int)
      create cast (mood as int) with inout
      create collation c from "C"
      create conversion c for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1
      create domain d as int
      create event trigger e on ddl_command_start execute function for_events()
      create extension if not exists plpgsql
      create foreign data wrapper f
      create foreign table t (a int) server elsewhere
      create function f() returns int language sql as 'select 1'
      create group g
      create index on orders (amount)
      create unique index "CONCURRENTLY" on orders (id)
      create index "concurrently" on orders (id)
      create language l handler plpgsql_call_handler
      create materialized view m as select 1
      create operator === (leftarg = int, rightarg = int, function = int4eq)
      create operator class o for type int using btree as operator 1 <
      create operator family o using btree
      create policy p on orders using (true)
      create procedure p() language sql as 'select 1'
      create publication p for table orders
      create role r
      create rule r as on insert to orders do also nothing
      create schema s
      create sequence s
      create server s foreign data wrapper nowhere
      create statistics s on customer, amount from orders
      create subscription s connection 'host=127.0.0.1' publication p with (connect = false)
      create subscription s connection 'host=127.0.0.1' publication p with (enabled = off, connect = 'off')
      create subscription s connection 'host=127.0.0.1' publication p with (connect = 0, create_slot = FALSE)
      create table "database" (vacuum int)
      create temp table t (a int)
      create table t as select 1
      create text search configuration t (copy = simple)
      create text search dictionary t (template = simple)
      create text search parser t (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype)
      create text search template t (lexize = dsimple_lexize)
      create transform for int language sql (from sql with function prsd_lextype(internal))
      create trigger t before insert on orders for each row execute function note()
      create type t as enum ('a')
      create user u
      create user mapping for somebody server elsewhere
      create view v as select 1
      prepare p as select 1; deallocate p
      deallocate all
      delete from items
      discard plans
      discard sequences
      discard temp
      drop access method if exists a
      drop aggregate total(int)
      drop cast if exists (int as mood)
      drop collation somewhere
      drop conversion myself
      drop domain lonely
      drop event trigger nothing
      drop extension if exists missing
      drop foreign data wrapper nowhere cascade
      drop foreign table distant
      drop function listed()
    drop group if exists missing
      drop index orders_amount_idx
      drop index if exists "concurrently", orders_amount_idx
      drop language if exists missing
      drop materialized view totals
      drop operator if exists === (int, int)
      drop operator class slow.order_of_ints using btree
      drop operator family slow.order_of_ints using btree
      drop owned by somebody
      drop policy orders_policy on orders
      drop procedure change()
      drop publication announcements
      drop role if exists missing
      drop routine listed
      drop rule orders_rule on orders
      drop schema empty
      drop sequence counter
      drop server elsewhere cascade
      drop statistics orders_statistics
      drop table items
      drop text search configuration words
    drop text search dictionary if exists missing
    drop text search parser if exists missing
    drop text search template if exists missing
      drop transform if exists for int language sql
      drop trigger orders_trigger on orders
      drop type unused
      drop user if exists missing
      drop user mapping for postgres server elsewhere
      drop view notes_again
      prepare q as select 1; execute q; deallocate q
      explain analyze select 1
      grant select on orders to somebody
      insert into alone values (1)
      listen c
      load 'auto_explain'
      lock orders
      notify c, 'vacuum'
      prepare r as select 1
      reassign owned by somebody to postgres
      refresh materialized view concurrently totals
      revoke all on orders from somebody
      select 1
      select 'create database d' into t
      (select 1) union (select 2)
      table orders
      values (1)
      with x as (select 1) table x
      show work_mem
      truncate items
      unlisten *
      update alone set a = 1
      set local work_mem = '1MB'
      set transaction isolation level serializable
      set constraints all deferred
    `,
  14: `
      alter subscription running add publication q with (refresh = false)
      alter table waited.halves detach partition waited.halves_1 /* concurrently */
    `,
  15: `
      alter database :database refresh collation version
      merge into alone using orders on alone.id = orders.id when matched then delete
      alter subscription running skip (lsn = none)
    `,
  18: `
      alter subscription stopped set (two_phase)
    `,
};
