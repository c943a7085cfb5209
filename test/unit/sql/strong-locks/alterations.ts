/** A statement, and the first PostgreSQL that knows it or locks for it as told here. */
export type Case = { readonly sql: string; readonly since: number };

/** One statement to a line, by version. */
export function cases(byVersion: { readonly [since: number]: string }): readonly Case[] {
  return Object.entries(byVersion).flatMap(([since, lines]) =>
    lines
      .trim()
      .split("\n")
      .map((sql) => ({ sql: sql.trim(), since: Number(since) })),
  );
}

/** ALTER of every kind. Of these headgate knows every lock, or that there is none. */
export const alterations: readonly Case[] = cases({
  13: `
    alter table events enable row level security
    alter table events set schema crowded
    alter table events owner to somebody
    alter table events rename to e
    alter table alone add column c int
    alter table only alone add c int
    alter table only (alone) add c int
    alter table alone * add c int
    alter table if exists alone add column if not exists a int
    ALTER TABLE ALONE ADD C INT, ADD CONSTRAINT foreign_key CHECK (A > 0), ALTER COLUMN A SET STATISTICS 10
    alter /* orders */ table/**/"Sales Data" . "Order Lines" /* , add foreign key */ add c int -- orders
    alter table "Sales Data"."Order Lines" add constraint "my key" foreign key ("Order") references orders
    alter table alone add c int default 1 check (c > 0)
    alter table alone add c int[] default array[1, 2], add d text default 'references orders'
    alter table alone add customer int references customers
    alter table alone add c int references public.customers (id) on delete cascade, add o int constraint x references "Sales Data"."Order Lines"
    alter table alone add constraint f foreign key (a) references customers
    alter table alone add foreign key (a) references customers (id) not valid
    alter table alone add foreign /* key */ key (a) references/**/customers, add foreign key (id) references orders
    alter table alone add foreign key (a) references customers, add check (a > 0)
    alter table orders validate constraint orders_note
    alter table orders validate constraint orders_note, alter amount set statistics 100, set (fillfactor = 70)
    alter table alone add check (a > 0) not valid
    alter table alone add unique (a)
    alter table alone add primary key (id)
    alter table alone add constraint e exclude using btree (a with =)
    alter table orders add unique using index orders_note_key
    alter table orders rename to orders2
    alter table orders rename column note to n
    alter table orders rename note to n
    alter table orders rename constraint orders_amount to c
    alter table alone drop a
    alter table alone drop column if exists a, drop b
    alter table alone drop constraint if exists missing
    alter table items drop column "order"
    alter table customers drop column id cascade
    alter table customers drop constraint customers_pkey cascade
    alter table events drop constraint events_customer
    alter table alone alter a type bigint
    alter table alone alter column a set data type text using a::text
    alter table customers alter column id type bigint
    alter table alone alter a set default 1
    alter table alone alter a set not null
    alter table alone alter a drop not null
    alter table alone alter a set statistics 5
    alter table "Sales Data"."Order Lines" alter "Note" set statistics 5
    alter table alone alter column a set (n_distinct = 5), alter b reset (n_distinct)
    alter table alone alter b set storage external
    alter table alone alter a set not null, alter a add generated always as identity
    alter table alone set (fillfactor = 50, autovacuum_enabled = off, toast.autovacuum_enabled = off)
    alter table alone set (parallel_workers = 2, toast_tuple_target = 200, log_autovacuum_min_duration = 9)
    alter table alone reset (fillfactor, autovacuum_vacuum_scale_factor)
    alter table alone set (user_catalog_table = true)
    alter table alone set (fillfactor = 50, user_catalog_table)
    alter table alone set without cluster
    alter table alone set without oids
    alter table alone set logged
    alter table alone set unlogged
    alter table unlogged set logged
    alter table alone set tablespace pg_default
    alter table orders cluster on orders_note_key
    alter table orders enable trigger orders_trigger
    alter table orders disable trigger all
    alter table orders disable trigger user
    alter table orders enable always trigger orders_trigger
    alter table orders enable replica trigger orders_trigger
    alter table orders disable rule orders_rule
    alter table orders enable always rule orders_rule
    alter table orders enable row level security
    alter table orders no force row level security
    alter table orders replica identity full
    alter table orders replica identity using index orders_pkey
    alter table alone owner to somebody
    alter table alone set schema crowded
    alter table orders alter constraint orders_customer deferrable
    alter table family_friend inherit family
    alter table family_child no inherit family
    alter table points not of
    alter table alikes of unused
    alter table events add column c int
    alter table events add constraint c check (id > 0)
    alter table events alter id set statistics 5
    alter table events alter id set default 5
    alter table events add foreign key (id) references orders
    alter table family add column c int
    alter table family rename column a to aa
    alter table family add check (a > 0)
    alter table order_notes owner to somebody
    alter table counter rename to c
    alter table distant add column b int
    alter table totals rename to t
    alter index orders_amount_idx rename to x
    alter index if exists orders_amount_idx set (fillfactor = 50)
    alter index orders_amount_idx reset (fillfactor)
    alter index customers_email_lower alter column 1 set statistics 100
    alter view order_notes rename to x
    alter view if exists order_notes rename column id to i
    alter view order_notes alter column id set default 1
    alter view order_notes set (security_barrier)
    alter materialized view totals rename column total to t
    alter materialized view totals set (fillfactor = 50)
    alter materialized view totals cluster on totals_key
    alter materialized view totals alter column total set statistics 5
    alter materialized view totals owner to somebody
    alter materialized view totals depends on extension plpgsql
    alter sequence counter restart
    alter sequence if exists public.counter maxvalue 100 cycle
    alter sequence owned owned by none
    alter sequence counter rename to c
    alter sequence counter owner to somebody
    alter sequence counter set schema crowded
    alter foreign table distant rename to d
    alter foreign table distant options (add x 'y')
    alter foreign table distant alter a set statistics 5
    alter policy orders_policy on orders rename to p
    alter policy orders_policy on orders using (false)
    alter trigger orders_trigger on orders rename to t
    alter trigger orders_trigger on public.orders depends on extension plpgsql
    alter rule orders_rule on orders rename to r
    alter type unused add attribute z int
    alter type unused rename to p
    alter type mood add value 'x'
    alter type mood rename value 'sad' to 'glum'
    alter type mood owner to somebody
    alter domain positive add check (value < 100) not valid
    alter domain positive drop constraint positive_check
    alter domain positive drop not null
    alter domain positive rename to p
    alter schema crowded rename to c
    alter statistics orders_statistics set statistics 5
    alter publication announcements add table orders
    alter publication announcements drop table somebodys
    alter extension plpgsql add table alone
    alter function note() rename to n
    alter default privileges grant select on tables to somebody
    alter role somebody login
    alter database postgres set work_mem = '1MB'
    alter server elsewhere rename to e
  `,
  14: `
    alter table if exists only events detach partition public.events_old
    alter table alone alter b set compression pglz
    alter table waited.halves detach partition waited.halves_1 finalize
  `,
  15: `
    alter table alone set access method heap
    alter table events disable trigger all
    alter sequence counter set unlogged
  `,
  17: `
    alter table computed alter c set expression as (a * 3)
  `,
  18: `
    alter table alone add constraint n not null a not valid
    alter table orders add constraint o foreign key (id) references customers not enforced
    alter table family add check (a > 0) no inherit
  `,
});
