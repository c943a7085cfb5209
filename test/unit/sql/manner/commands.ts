import { type ByVersion, inside } from "./inside.ts";

/**
 * Every command of PostgreSQL ("SQL Commands" in its reference), most in several forms; one to a line. Left out are
 * SECURITY LABEL and IMPORT FOREIGN SCHEMA, which need a module that is not there.
 */
export const commands: {
  readonly [manner in "inside" | "outside" | "setting" | "unknown"]: ByVersion;
} = {
  inside,
  outside: {
    13: `
      alter database :database set tablespace pg_default
      ALTER DATABASE ":database" SET /* to */ TABLESPACE "pg_default"
      alter system set work_mem = '1MB'
      alter system reset all
      cluster
      cluster verbose
      commit prepared 'p'
      rollback prepared 'p'
      create database d
      create database "d" template template0
      create index concurrently on orders (amount)
      create unique /* now */ index concurrently if not exists "I" on only "Sales Data"."Order Lines" ("Id")
      create subscription s connection 'host=127.0.0.1 connect=false' publication p
      create subscription s connection 'host=127.0.0.1 options=create_slot=false' publication p with (create_slot)
      create subscription s connection 'host=127.0.0.1' publication p with (enabled = false)
      create tablespace t location '/nowhere'
      discard all
      drop database d
      drop database if exists "d" with (force)
      drop index concurrently orders_amount_idx
      drop index concurrently if exists "Sales Data"."Line Note"
      drop subscription running
      drop subscription stopped cascade
      drop tablespace t
      reindex index concurrently orders_amount_idx
      reindex (verbose) table concurrently orders
      reindex schema crowded
      reindex (verbose) schema concurrently "Sales Data"
      reindex database :database
      reindex system :database
      vacuum
      vacuum full orders
      vacuum (analyze) "Sales Data"."Order Lines"
    `,
    14: `
      alter subscription running refresh publication
      alter subscription running refresh publication with (copy_data = false)
      alter subscription running set publication q
      alter subscription running add publication q with (copy_data = false)
      alter subscription running set publication q with (refresh)
      alter table events detach partition events_old concurrently
      alter table if exists only events_new detach /* it */ partition "public" . "events_new_1" concurrently
      reindex (verbose, concurrently) table orders
      reindex (concurrently on) index orders_amount_idx
    `,
    17: `
      cluster (verbose)
      alter subscription stopped set (failover = true)
    `,
    18: `
      alter subscription stopped set (binary, two_phase = off)
    `,
  },
  setting: {
    13: `
      set work_mem = '1MB'
      set seed to 0.5
      reset all
    `,
  },
  unknown: {
    13: `
      do $$ begin perform 1; end $$
      do language plpgsql 'begin perform 1; end'
      call change()
      prepare transaction 'p'
      declare c cursor for select 1
      declare c cursor with hold for select 1
      declare c cursor for select 1; fetch next from c
      declare c cursor for select 1; move next from c
      declare c cursor for select 1; close c
      close all
      begin
      start transaction
      abort
      commit
      commit and chain
      end
      rollback
      savepoint s
      savepoint s; release savepoint s
      savepoint s; rollback to savepoint s
    `,
  },
};

/** What headgate says, whether the server refuses it, and the statement. */
export const untold: ByVersion = {
  13: `
    unknown | taken   | reindex table orders
    unknown | taken   | reindex index orders_amount_idx
    unknown | taken   | cluster orders using orders_amount_idx
    unknown | taken   | cluster "Sales Data"."Order Lines" using "Line Note"
    outside | taken   | drop subscription slotless
    outside | taken   | drop subscription if exists missing
  `,
  14: `
    unknown | refused | reindex table events
    unknown | refused | reindex (verbose) index events_id
    unknown | taken   | reindex (concurrently false) table orders
    unknown | taken   | reindex (verbose, concurrently 'off') index orders_amount_idx
    unknown | taken   | cluster (verbose) orders using orders_amount_idx
  `,
  15: `
    unknown | refused | cluster events using events_id
  `,
};

/** Settings, each of which makes a session another one. */
export const lasting: ByVersion = {
  13: `
    set work_mem = '1MB'
    set work_mem to default
    SET SESSION work_mem = '1MB'
    set "work_mem" = '1MB'
    set session "work_mem" to '1MB'
    set app.tenant = 'x'
    set /* local */ work_mem = '1MB'
    set search_path = ''
    set schema 'crowded'
    set names 'latin1'
    set time zone 'Asia/Tokyo'
    set time zone interval '+02:00' hour to minute
    set xml option document
    set session characteristics as transaction isolation level serializable
    set role postgres
    set role none
    set session authorization somebody
    set default_transaction_read_only = on
    reset work_mem
    reset "application_name"
    reset all
    reset role
    select pg_catalog.set_config('search_path', 'x', false)
    select set_config('app.tenant', 'x', false)
  `,
};

/** What looks like a setting, and is over with its transaction. */
export const passing: ByVersion = {
  13: `
    set local work_mem = '1MB'
    SET LOCAL "work_mem" = '1MB'
    set local role somebody
    set local session authorization somebody
    set transaction isolation level serializable
    set transaction read only
    set constraints all deferred
    select set_config('work_mem', '1MB', true)
  `,
};
