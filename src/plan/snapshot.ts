import type { Session } from "../postgres/session.ts";

/** A relation as the catalog has it at one moment. */
export type Relation = {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** As in pg_class.relkind. */
  readonly kind: string;
  /** The file that holds its rows; changes when they are written anew. Null when it has none. */
  readonly file: number | null;
  /** How many scans of it this transaction has begun. */
  readonly scans: number;
  /** Of an index: its table. */
  readonly indexOf: number | null;
};

/** What a session sees of the database and of itself between two statements. */
export type Snapshot = {
  readonly relations: ReadonlyMap<number, Relation>;
  /** The lock modes that it holds, by relation. */
  readonly locks: ReadonlyMap<number, ReadonlySet<string>>;
  /** Whether it has written to catalogs that all databases of the server share: roles, databases, tablespaces. */
  readonly changesServer: boolean;
};

/** Catalogs that CREATE ROLE, ALTER DATABASE and their kin write; these keep the lock until the transaction ends. */
const sharedCatalogs = [
  ...["pg_authid", "pg_auth_members", "pg_database", "pg_db_role_setting", "pg_tablespace"],
  ...["pg_shdescription", "pg_shseclabel", "pg_replication_origin", "pg_subscription"],
].map((name) => `'pg_catalog.${name}'::pg_catalog.regclass`);

/** Rows of those that every role may read. GRANT ON DATABASE and its kin write them and keep no lock. */
const sharedRows = [
  ...["pg_database", "pg_tablespace", "pg_auth_members", "pg_db_role_setting", "pg_shdescription"],
].map(
  // A row that is visible and whose transaction is in progress was written by this one, or by a part of it.
  (name) => `exists (select from pg_catalog.${name} r where case
    when pg_catalog.pg_current_xact_id_if_assigned() is null or pg_catalog.age(r.xmin) not between -100000 and 0 then false
    else pg_catalog.pg_xact_status((((pg_catalog.pg_current_xact_id_if_assigned()::text::bigint >> 32) << 32) + r.xmin::text::bigint)::text::pg_catalog.xid8) = 'in progress' end)`,
);

// A migration may set any search_path, so that every name is written in full.
const query = `select (
    select coalesce(json_agg(json_build_array(c.oid::bigint, n.nspname, c.relname, c.relkind, pg_catalog.pg_relation_filenode(c.oid)::bigint,
      pg_catalog.pg_stat_get_xact_numscans(c.oid), i.indrelid::bigint)), '[]')
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace left join pg_catalog.pg_index i on i.indexrelid = c.oid
    where c.oid operator(pg_catalog.>=) 16384::pg_catalog.oid and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'i', 'I') and n.nspname operator(pg_catalog.!~) '^pg_(toast|temp)') as relations,
  (select coalesce(json_agg(json_build_array(l.relation::bigint, l.mode)), '[]') from pg_catalog.pg_locks l
    where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.relation operator(pg_catalog.>=) 16384::pg_catalog.oid) as locks,
  exists (select from pg_catalog.pg_locks l where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation'
    and l.mode = 'RowExclusiveLock' and l.relation in (${sharedCatalogs.join(", ")})) or ${sharedRows.join(" or ")} as shared`;

type RelationRow = [number, string, string, string, number | null, number, number | null];

/** Looks, in the session's own transaction if it is in one. */
export async function takeSnapshot(session: Session, signal: AbortSignal): Promise<Snapshot> {
  const [result] = await session.query(query, signal);
  const row = result?.rows[0] ?? {};
  const relations = (row["relations"] as RelationRow[]).map(
    ([oid, schema, name, kind, file, scans, indexOf]): [number, Relation] => [
      oid,
      { oid, schema, name, kind, file, scans, indexOf },
    ],
  );
  const locks = new Map<number, Set<string>>();
  for (const [oid, mode] of row["locks"] as [number, string][]) {
    locks.set(oid, (locks.get(oid) ?? new Set()).add(mode));
  }
  return { relations: new Map(relations), locks, changesServer: row["shared"] === true };
}
