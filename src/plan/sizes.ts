import type { Session } from "../postgres/session.ts";

/** A relation of the target, and how large it is as far as the catalog knows without touching it. */
export type Sized = {
  readonly schema: string;
  readonly name: string;
  /** As in pg_class.relkind. */
  readonly kind: string;
  /** Since the last VACUUM or ANALYZE; of a partitioned table those of its partitions. Null when there was none. */
  readonly rows: number | null;
  /** With indexes and what is stored out of line. */
  readonly bytes: number | null;
};

/**
 * Reads the sizes of all relations. The functions that measure files would lock each relation; what the catalog
 * remembers since the last VACUUM or ANALYZE costs nothing, and the statistics know the rows since then.
 */
export async function readSizes(session: Session, signal: AbortSignal): Promise<readonly Sized[]> {
  const [result] = await session.query(
    `with recursive tree(root, oid) as (select oid, oid from pg_catalog.pg_class where relkind in ('r', 'p', 'm')
      union all select t.root, i.inhrelid from tree t join pg_catalog.pg_inherits i on i.inhparent = t.oid
        join pg_catalog.pg_class c on c.oid = i.inhrelid where c.relispartition),
    own as (select c.oid, case when c.relkind = 'p' then 0 when c.reltuples >= 0 and c.relpages > 0 then c.reltuples
          when pg_catalog.pg_stat_get_live_tuples(c.oid) > 0 then pg_catalog.pg_stat_get_live_tuples(c.oid)
          -- An empty table that was looked at: before PostgreSQL 14 that was not told from one that never was.
          when c.reltuples = 0 and pg_catalog.current_setting('server_version_num')::int >= 140000 then 0 end as rows,
        c.relpages + coalesce((select relpages from pg_catalog.pg_class t where t.oid = c.reltoastrelid), 0)
          + coalesce((select sum(i.relpages) from pg_catalog.pg_index x join pg_catalog.pg_class i on i.oid = x.indexrelid where x.indrelid in (c.oid, c.reltoastrelid)), 0) as pages
      from pg_catalog.pg_class c where c.relkind in ('r', 'p', 'm')),
    total as (select root, case when pg_catalog.bool_or(rows is null) then null else sum(rows) end as rows, sum(pages) as pages
      from tree join own using (oid) group by root)
    select n.nspname as schema, c.relname as name, c.relkind as kind, t.rows::float8 as rows,
      (case when t.rows is null and t.pages = 0 then null else t.pages * pg_catalog.current_setting('block_size')::int end)::float8 as bytes
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace left join total t on t.root = c.oid
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'i', 'I')`,
    signal,
  );
  return (result?.rows ?? []).map(({ schema, name, kind, rows, bytes }) => ({
    ...{ schema: String(schema), name: String(name), kind: String(kind) },
    rows: typeof rows === "number" ? Math.round(rows) : null,
    bytes: typeof bytes === "number" ? bytes : null,
  }));
}
