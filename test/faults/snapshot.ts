import type pg from "pg";

/** Everything of a database that two runs must agree on, by name. */
export type Snapshot = { readonly [what: string]: readonly object[] };

const isUsers = `n.nspname <> 'information_schema' and n.nspname !~ '^pg_'`;
const named = "format('%I.%I', n.nspname, c.relname) as relation";
const classes = `pg_class c join pg_namespace n on n.oid = c.relnamespace and ${isUsers}`;

const queries = {
  schemas: `select nspname from pg_namespace n where ${isUsers} order by 1`,
  relations: `select ${named}, relkind, relpersistence, relispartition, reloptions,
      pg_get_expr(relpartbound, c.oid) as bound, pg_get_partkeydef(c.oid) as key,
      pg_get_userbyid(relowner) as owner
    from ${classes} order by 1`,
  columns: `select ${named}, attnum, attname, format_type(atttypid, atttypmod) as type, attnotnull,
      pg_get_expr(adbin, adrelid) as default
    from ${classes} join pg_attribute a on attrelid = c.oid and attnum > 0
      left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relkind in ('r', 'p') order by 1, 2`,
  constraints: `select ${named}, conname, contype, convalidated, conislocal,
      pg_get_constraintdef(o.oid) as definition
    from ${classes} join pg_constraint o on conrelid = c.oid order by 1, 2`,
  indexes: `select ${named}, indisvalid, indisready, indislive, indisunique, indisreplident,
      pg_get_indexdef(indexrelid) as definition
    from ${classes} join pg_index on indexrelid = c.oid order by 1`,
  partitions: `select ${named}, inhparent::regclass::text as parent, inhdetachpending
    from ${classes} join pg_inherits on inhrelid = c.oid order by 1, 2`,
  labels: `select t.typname, enumlabel from pg_enum join pg_type t on t.oid = enumtypid
    order by 1, enumsortorder`,
  history: "select id, name, hash from public.migrations order by id",
  audit: "select what from public.audit order by 1",
  counters: "select name, value from public.counters order by 1",
  contents: `select 'items' as table, count(*), md5(string_agg(i::text, ',' order by id)) from items i
    union all
    select 'orders', count(*), md5(string_agg(o::text, ',' order by id)) from shop.orders o
    union all
    select 'events', count(*), md5(string_agg(e::text, ',' order by e::text)) from events e
    union all
    select 'events_2024', count(*), md5(string_agg(e::text, ',' order by e::text)) from events_2024 e`,
};

/** Takes one. */
export async function takeSnapshot(client: pg.Client): Promise<Snapshot> {
  const snapshot: Record<string, object[]> = {};
  for (const [what, sql] of Object.entries(queries)) {
    snapshot[what] = (await client.query<object>(sql)).rows;
  }
  return snapshot;
}

/** What an interrupted run may leave behind and the last one has to clear. */
export async function findLeftovers(client: pg.Client): Promise<readonly string[]> {
  const { rows: tables } = await client.query(
    "select where to_regclass('public.migrations_steps') is not null",
  );
  const steps =
    tables.length === 0 ? "" : "union all select 'step ' || s::text from migrations_steps s";
  const { rows } = await client.query<{ what: string }>(
    `select 'invalid index ' || indexrelid::regclass as what from pg_index
      where not (indisvalid and indisready and indislive)
    union all
    select 'pending detach of ' || inhrelid::regclass from pg_inherits where inhdetachpending
    union all
    select 'lock ' || l::text from pg_locks l
      where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
    union all
    select 'session ' || pid || ' ' || state from pg_stat_activity
      where datname = current_database() and application_name like 'headgate/%'
    union all
    select 'prepared ' || gid from pg_prepared_xacts where database = current_database()
    ${steps}`,
  );
  return rows.map(({ what }) => what);
}
