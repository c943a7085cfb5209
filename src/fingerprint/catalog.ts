import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import { setConfigCalls } from "../postgres/session-settings.ts";

/**
 * What a schema consists of: one row per object, its definition in words that are the same in two databases with the
 * same schema. Left out on purpose: the order of columns (a column that was dropped and added again is the same
 * column), privileges, owners, comments and tablespaces (they differ between environments), what belongs to an
 * extension (its version stands for it), temporary objects, statistics targets.
 */
const kinds: Readonly<Record<string, string>> = {
  schema: `select nspname, '' from space
    where not exists (select from member where classid = 'pg_namespace'::regclass and objid = space.oid)`,

  extension: `select extname, extversion from pg_extension`,

  relation: `select relation_name(r.oid), concat_ws(' ',
      case r.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view' when 'm' then 'materialized view'
        when 'f' then 'foreign table' when 'S' then 'sequence' when 'c' then 'composite type' end,
      case r.relpersistence when 'u' then 'unlogged' end,
      case when r.relrowsecurity then 'row security' end, case when r.relforcerowsecurity then 'forced row security' end,
      case when r.relreplident not in ('d', 'n') or (r.relreplident = 'n' and r.relkind in ('r', 'p')) then 'replica identity ' || r.relreplident::text end,
      'partition by ' || case when r.relkind = 'p' then pg_get_partkeydef(r.oid) end, pg_get_expr(r.relpartbound, r.oid),
      'with (' || (select string_agg(o, ', ' order by o) from unnest(r.reloptions) o) || ')')
    from relation r where r.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')`,

  inheritance: `select relation_name(r.oid) || ' of ' || relation_name(i.inhparent), ''
    from pg_inherits i join relation r on r.oid = i.inhrelid`,

  column: `select relation_name(r.oid) || '.' || quote_ident(a.attname), concat_ws(' ', format_type(a.atttypid, a.atttypmod),
      case when a.attcollation <> t.typcollation then 'collate ' || a.attcollation::regcollation::text end,
      case when a.attnotnull then 'not null' end,
      case when a.attidentity <> '' then 'identity ' || a.attidentity::text end,
      case when a.attgenerated <> '' then 'generated ' || a.attgenerated::text end,
      case when a.attstorage <> t.typstorage then 'storage ' || a.attstorage::text end,
      'default ' || pg_get_expr(d.adbin, d.adrelid))
    from relation r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
    where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c')`,

  // NOT NULL is said of the column; PostgreSQL 18 alone has it as a constraint too, which counts while it is not valid.
  constraint: `select quote_ident(c.conname) || ' on ' || case when c.conrelid <> 0 then relation_name(c.conrelid) else c.contypid::regtype::text end,
      pg_get_constraintdef(c.oid) || case when c.convalidated or pg_get_constraintdef(c.oid) ~ ' NOT VALID$' then '' else ' NOT VALID' end
    from pg_constraint c where (c.contype <> 'n' or not c.convalidated) and case when c.conrelid <> 0
      then exists (select from relation where oid = c.conrelid)
      else exists (select from own_type t where t.oid = c.contypid) end`,

  index: `select relation_name(r.oid), concat_ws(' ', pg_get_indexdef(r.oid), case when not i.indisvalid then 'INVALID' end,
      case when i.indisclustered then 'clustered' end, case when i.indisreplident then 'replica identity' end)
    from relation r join pg_index i on i.indexrelid = r.oid where exists (select from relation where oid = i.indrelid)`,

  view: `select relation_name(oid), pg_get_viewdef(oid) from relation where relkind in ('v', 'm')`,

  sequence: `select relation_name(r.oid), concat_ws(' ', 'as', format_type(s.seqtypid, null), 'start', s.seqstart, 'increment', s.seqincrement,
      'minvalue', s.seqmin, 'maxvalue', s.seqmax, 'cache', s.seqcache, case when s.seqcycle then 'cycle' end,
      (select 'owned by ' || relation_name(d.refobjid) || '.' || quote_ident(a.attname)
        from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass))
    from relation r join pg_sequence s on s.seqrelid = r.oid`,

  function: `select p.oid::regprocedure::text, case when p.prokind <> 'a' then pg_get_functiondef(p.oid)
      else concat_ws(' ', 'aggregate', a.aggtransfn, a.aggtranstype::regtype, nullif(a.aggfinalfn::oid, 0)::regproc, a.agginitval) end
    from pg_proc p join space on space.oid = p.pronamespace left join pg_aggregate a on a.aggfnoid = p.oid
    where not exists (select from member where classid = 'pg_proc'::regclass and objid = p.oid)
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')`,

  trigger: `select quote_ident(t.tgname) || ' on ' || relation_name(r.oid), concat_ws(' ', pg_get_triggerdef(t.oid),
      case t.tgenabled when 'O' then null when 'D' then 'disabled' else 'enabled ' || t.tgenabled::text end)
    from pg_trigger t join relation r on r.oid = t.tgrelid where not t.tgisinternal`,

  rule: `select quote_ident(w.rulename) || ' on ' || relation_name(r.oid), pg_get_ruledef(w.oid)
    from pg_rewrite w join relation r on r.oid = w.ev_class where w.rulename <> '_RETURN'`,

  policy: `select quote_ident(p.polname) || ' on ' || relation_name(r.oid), concat_ws(' ',
      case when p.polpermissive then 'permissive' else 'restrictive' end, p.polcmd::text, 'to',
      (select string_agg(case when role = 0 then 'public' else pg_get_userbyid(role)::text end, ', ' order by role = 0, pg_get_userbyid(role))
        from unnest(p.polroles) role),
      'using ' || pg_get_expr(p.polqual, p.polrelid), 'with check ' || pg_get_expr(p.polwithcheck, p.polrelid))
    from pg_policy p join relation r on r.oid = p.polrelid`,

  type: `select t.oid::regtype::text, concat_ws(' ', case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'r' then 'range'
        when 'm' then 'multirange' else 'base type' end,
      case when t.typtype = 'd' then concat_ws(' ', format_type(t.typbasetype, t.typtypmod), case when t.typnotnull then 'not null' end,
        'default ' || pg_get_expr(t.typdefaultbin, 0)) end,
      (select format_type(rngsubtype, null) from pg_range where rngtypid = t.oid),
      (select '(' || string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder) || ')' from pg_enum e where e.enumtypid = t.oid))
    from own_type t`,

  statistics: `select quote_ident(space.nspname) || '.' || quote_ident(s.stxname), pg_get_statisticsobjdef(s.oid)
    from pg_statistic_ext s join space on space.oid = s.stxnamespace`,
};

/** Names are those of a search path without the user's schemas; a value's text depends on these settings, too. */
const settings: Readonly<Record<string, string>> = {
  search_path: "pg_catalog, pg_temp",
  timezone: "UTC",
  datestyle: "ISO, MDY",
  intervalstyle: "postgres",
  extra_float_digits: "1",
  quote_all_identifiers: "off",
  bytea_output: "hex",
  // Compiling a query of so many parts takes longer than running it: 330 ms against 185 with 2,000 tables (17).
  jit: "off",
};

/**
 * What has to come before `catalogQuery` in its transaction: two statements.
 * @param ownTables tables that do not count, with all that belongs to them; as they are configured, in the search path
 * of the session
 */
export function beforeCatalogQuery(ownTables: readonly (readonly string[])[]): string {
  const found = ownTables.map(
    (names) => `pg_catalog.to_regclass(${quoteLiteral(quoteTable(names))})::oid`,
  );
  // Before the search path is another, and where the next statement finds it.
  return `select pg_catalog.set_config('headgate.own', pg_catalog.concat_ws(',', ${["0", ...found].join(", ")}), true);
    select ${setConfigCalls(settings, true)}`;
}

/** One query for one JSON value: all objects of the database as `[kind, name, definition]`, sorted. */
export const catalogQuery = composeQuery();

function composeQuery(): string {
  const objects = Object.entries(kinds).map(
    ([kind, select]) => `select '${kind}' as kind, o.* from (${select}) as o(name, definition)`,
  );
  const sql = `with space as (select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'),
    member as (select classid, objid from pg_depend where deptype = 'e'),
    hidden as (select unnest(string_to_array(current_setting('headgate.own'), ','))::oid as oid),
    relation as (select c.* from pg_class c join space on space.oid = c.relnamespace
      where c.relpersistence <> 't' and c.oid not in (select oid from hidden)
        and not exists (select from member where classid = 'pg_class'::regclass and objid = c.oid)
        and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
          and d.refclassid = 'pg_class'::regclass and d.refobjid in (select oid from hidden))
        and not exists (select from pg_index i where i.indexrelid = c.oid and i.indrelid in (select oid from hidden))),
    own_type as (select t.* from pg_type t join space on space.oid = t.typnamespace
      where t.typtype in ('e', 'd', 'r', 'm', 'b') and t.typelem = 0
        and not exists (select from member where classid = 'pg_type'::regclass and objid = t.oid)),
    object as (${objects.join(" union all ")})
    select coalesce(jsonb_agg(jsonb_build_array(kind, name, definition)
      order by kind collate "C", name collate "C", definition collate "C"), '[]') as objects from object`;
  // SQL has no functions of one query's own.
  return sql.replaceAll(/relation_name\(([a-z.]+)\)/g, "$1::regclass::text");
}
