import { quoteLiteral } from "../postgres/facts.ts";

/**
 * Queries whose answers are the statements that make a schema anew, from a catalog alone: columns kind, name, sql. They
 * are asked and run in this order; what depends on something later is tried again at the end. They read PostgreSQL 13
 * to 18 with an empty search_path; columns of some versions only are read through to_jsonb.
 */

/** What the queries share: schemas and relations of users, extensions' members left out. */
const shared = `with recursive ext as (select classid, objid from pg_depend where deptype = 'e'),
ns as (select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'),
rel as (select c.*, format('%I.%I', n.nspname, c.relname) as ident from pg_class c join ns n on n.oid = c.relnamespace
  where c.relpersistence <> 't' and not exists (select from ext where classid = 'pg_class'::regclass and objid = c.oid)),
typ as (select t.*, format('%I.%I', n.nspname, t.typname) as ident, to_jsonb(t) as facts from pg_type t join ns n on n.oid = t.typnamespace
  where not exists (select from ext where classid = 'pg_type'::regclass and objid = t.oid)),
proc as (select p.*, p.oid::regprocedure::text as ident from pg_proc p join ns on ns.oid = p.pronamespace
  where not exists (select from ext where classid = 'pg_proc'::regclass and objid = p.oid)),
-- How far below its topmost parent a table is.
depth(oid, level) as (select oid, 0 from pg_class where relkind in ('r', 'p')
  union select i.inhrelid, d.level + 1 from depth d join pg_inherits i on i.inhparent = d.oid)`;

const deepestFirst = "(select max(level) from depth d where d.oid = r.oid) desc, r.oid";
/** As CREATE SEQUENCE and GENERATED AS IDENTITY write it. */
const sequenceOptions = `format('start with %s increment by %s minvalue %s maxvalue %s cache %s %s',
  s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, case when s.seqcycle then 'cycle' else 'no cycle' end)`;
const collation = `case when a.attcollation <> t.typcollation and a.attcollation <> 0 then ' collate ' || a.attcollation::regcollation else '' end`;
const options = `coalesce(' with (' || (select string_agg(format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ')
  from unnest(r.reloptions) o) || ')', '')`;

/** From PostgreSQL 18 on NOT NULL has a name, and can be NOT VALID. */
const notNull = `coalesce((select case when k.convalidated then format(' constraint %I not null', k.conname)
    || case when k.connoinherit then ' no inherit' else '' end else '' end
  from pg_constraint k where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum]), case when a.attnotnull then ' not null' else '' end)`;

const column = `format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) || ${collation}
  || case when a.attgenerated <> '' then format(' generated always as (%s) %s', pg_get_expr(d.adbin, d.adrelid), case a.attgenerated when 'v' then 'virtual' else 'stored' end)
    when a.attidentity <> '' and not r.relispartition then (select format(' generated %s as identity (sequence name %s %s)',
        case a.attidentity when 'a' then 'always' else 'by default' end, s.seqrelid::regclass, ${sequenceOptions})
      from pg_depend p join pg_sequence s on s.seqrelid = p.objid
      where p.classid = 'pg_class'::regclass and p.refclassid = 'pg_class'::regclass and p.refobjid = a.attrelid and p.refobjsubid = a.attnum and p.deptype = 'i')
    when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end || ${notNull}`;

const query = (select: string): string => `${shared} ${select}`;

export const typesAndRoutines: readonly string[] = [
  `select 'schema', quote_ident(nspname), format('create schema if not exists %I', nspname) from ns
    where not exists (select from ext where classid = 'pg_namespace'::regclass and objid = ns.oid)`,
  `select 'extension', extname::text, format('create extension if not exists %I with schema %s cascade', extname, extnamespace::regnamespace) from pg_extension where extname <> 'plpgsql' order by oid`,
  `select 'collation', format('%I.%I', nspname, collname), format('create collation %I.%I (%s)', nspname, collname, case
      when collprovider = 'c' then format('provider = libc, lc_collate = %L, lc_ctype = %L', collcollate, collctype)
      else format('provider = %s, locale = %L, deterministic = %s', case collprovider when 'i' then 'icu' else 'builtin' end,
        coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', collcollate), collisdeterministic::text) end)
    from pg_collation c join ns on ns.oid = collnamespace where not exists (select from ext where classid = 'pg_collation'::regclass and objid = c.oid)`,
  `select 'type', ident, format('create type %s as enum (%s)', ident, (select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder)
    from pg_enum where enumtypid = typ.oid)) from typ where typtype = 'e'`,
  `select 'domain', ident, format('create domain %s as %s', ident, format_type(typbasetype, typtypmod))
      || case when typcollation <> (select b.typcollation from pg_type b where b.oid = typ.typbasetype) then ' collate ' || typcollation::regcollation else '' end
      || coalesce(' default ' || pg_get_expr(typdefaultbin, 0), '') || case when typnotnull then ' not null' else '' end
    from typ where typtype = 'd'`,
  `select 'domain constraint', quote_ident(conname) || ' of ' || ident, format('alter domain %s add constraint %I %s', ident, conname, pg_get_constraintdef(k.oid))
    from typ join pg_constraint k on k.contypid = typ.oid where k.contype = 'c'`,
  `select 'type', t.ident, format('create type %s as (%s)', t.ident, coalesce((select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) || ${collation.replaceAll("t.typcollation", "(select y.typcollation from pg_type y where y.oid = a.atttypid)")}, ', ' order by a.attnum)
      from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped), ''))
    from typ t join pg_class c on c.oid = t.typrelid where c.relkind = 'c'`,
  `select 'type', t.ident, format('create type %s as range (subtype = %s%s%s%s)', t.ident, format_type(g.rngsubtype, null),
      case when g.rngcollation <> 0 and g.rngcollation <> (select y.typcollation from pg_type y where y.oid = g.rngsubtype) then ', collation = ' || g.rngcollation::regcollation else '' end,
      case when g.rngsubdiff <> 0 then ', subtype_diff = ' || g.rngsubdiff::regproc else '' end,
      coalesce(', multirange_type_name = ' || (to_jsonb(g) ->> 'rngmultitypid')::oid::regtype, ''))
    from typ t join pg_range g on g.rngtypid = t.oid`,
  `select 'sequence', r.ident, format('create %ssequence %s as %s %s', case r.relpersistence when 'u' then 'unlogged ' else '' end, r.ident, format_type(s.seqtypid, null), ${sequenceOptions})
    from rel r join pg_sequence s on s.seqrelid = r.oid where not exists (select from pg_depend p where p.classid = 'pg_class'::regclass and p.objid = r.oid and p.deptype = 'i')`,
  `select 'function', ident, pg_get_functiondef(oid) from proc where prokind <> 'a'`,
  `select 'aggregate', ident, format('create aggregate %s.%I (%s) (sfunc = %s, stype = %s%s%s%s)', p.pronamespace::regnamespace, p.proname, coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*'),
      g.aggtransfn::regproc, format_type(g.aggtranstype, null), case when g.aggfinalfn <> 0 then ', finalfunc = ' || g.aggfinalfn::regproc else '' end,
      case when g.aggcombinefn <> 0 then ', combinefunc = ' || g.aggcombinefn::regproc else '' end, coalesce(', initcond = ' || quote_literal(g.agginitval), ''))
    from proc p join pg_aggregate g on g.aggfnoid = p.oid where g.aggkind = 'n'`,
].map(query);

export const tables: readonly string[] = [
  `select 'table', r.ident, format('create %stable %s (%s)', case r.relpersistence when 'u' then 'unlogged ' else '' end, r.ident,
      coalesce((select string_agg(${column}, ', ' order by a.attnum) from pg_attribute a join pg_type t on t.oid = a.atttypid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped and (a.attislocal or r.relispartition)), ''))
      || case when r.relispartition then '' else coalesce(' inherits (' || (select string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno) from pg_inherits i where i.inhrelid = r.oid) || ')', '') end
      || case when r.relkind = 'p' then ' partition by ' || pg_get_partkeydef(r.oid) else '' end
      || coalesce((select ' using ' || quote_ident(m.amname) from pg_am m where m.oid = r.relam and r.relkind = 'r' and m.amname <> 'heap'), '') || ${options}
    from rel r where r.relkind in ('r', 'p') order by (select max(level) from depth d where d.oid = r.oid), r.oid`,
  `select 'type of table', r.ident, format('alter table only %s of %s', r.ident, r.reloftype::regtype) from rel r where r.reloftype <> 0`,
  // What a child says otherwise than its parent.
  `select 'column', r.ident || '.' || quote_ident(a.attname), format('alter table only %s alter column %I set %s', r.ident, a.attname, x.what)
    from rel r join pg_attribute a on a.attrelid = r.oid left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
      cross join lateral (select 'default ' || pg_get_expr(d.adbin, d.adrelid) as what where d.adbin is not null and a.attgenerated = '' union all select 'not null' where a.attnotnull) x
    where r.relkind = 'r' and not r.relispartition and a.attnum > 0 and not a.attisdropped and not a.attislocal`,
  `select 'storage of column', r.ident || '.' || quote_ident(a.attname), format('alter table only %s alter column %I set %s', r.ident, a.attname, x.what)
    from rel r join pg_attribute a on a.attrelid = r.oid join pg_type t on t.oid = a.atttypid
      cross join lateral (select 'storage ' || case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end as what where a.attstorage <> t.typstorage
        union all select 'compression ' || case to_jsonb(a) ->> 'attcompression' when 'l' then 'lz4' else 'pglz' end where to_jsonb(a) ->> 'attcompression' <> '') x
    where r.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped`,
  `select 'owner of sequence', s.ident, format('alter sequence %s owned by %s.%I', s.ident, r.ident, a.attname)
    from pg_depend p join rel s on s.oid = p.objid join rel r on r.oid = p.refobjid join pg_attribute a on a.attrelid = r.oid and a.attnum = p.refobjsubid
    where s.relkind = 'S' and p.classid = 'pg_class'::regclass and p.refclassid = 'pg_class'::regclass and p.deptype = 'a'`,
  `select 'constraint', quote_ident(k.conname) || ' of ' || r.ident, format('alter table %s add constraint %I %s', r.ident, k.conname, pg_get_constraintdef(k.oid))
    from rel r join pg_constraint k on k.conrelid = r.oid where r.relkind in ('r', 'p')
      and (k.contype = 'c' and (k.conislocal or r.relispartition) or k.contype = 'n' and not k.convalidated) order by ${deepestFirst}`,
  `select 'partition', r.ident, format('alter table only %s attach partition %s %s', i.inhparent::regclass, r.ident, pg_get_expr(r.relpartbound, r.oid))
    from rel r join pg_inherits i on i.inhrelid = r.oid where r.relispartition and r.relkind in ('r', 'p') order by ${deepestFirst}`,
].map(query);

const plainIndex = `select 'index', r.ident, pg_get_indexdef(r.oid) from rel r join pg_index i on i.indexrelid = r.oid join pg_class o on o.oid = i.indrelid
    where not exists (select from pg_constraint k where k.conindid = r.oid and k.contype in ('p', 'u', 'x'))`;

export const linksAndViews: readonly string[] = [
  `select 'constraint', quote_ident(k.conname) || ' of ' || r.ident, format('alter table only %s add constraint %I %s', r.ident, k.conname, pg_get_constraintdef(k.oid))
    from rel r join pg_constraint k on k.conrelid = r.oid where k.contype in ('p', 'u', 'x') and r.relkind in ('r', 'p')`,
  `${plainIndex} and o.relkind in ('r', 'p')`,
  `select 'partition of index', r.ident, format('alter index %s attach partition %s', i.inhparent::regclass, r.ident)
    from rel r join pg_inherits i on i.inhrelid = r.oid where r.relkind in ('i', 'I') order by ${deepestFirst}`,
  `select 'constraint', quote_ident(k.conname) || ' of ' || r.ident, format('alter table %s%s add constraint %I %s', case when r.relkind = 'p' then '' else 'only ' end, r.ident, k.conname, pg_get_constraintdef(k.oid))
    from rel r join pg_constraint k on k.conrelid = r.oid where k.contype = 'f' and k.conparentid = 0`,
  `select case r.relkind when 'v' then 'view' else 'materialized view' end, r.ident, format('create %s %s%s as %s%s', case r.relkind when 'v' then 'view' else 'materialized view' end, r.ident, ${options},
      rtrim(pg_get_viewdef(r.oid), ';'), case when r.relkind = 'm' and not r.relispopulated then ' with no data' else '' end)
    from rel r where r.relkind in ('v', 'm') order by r.oid`,
  `${plainIndex} and o.relkind = 'm'`,
  `select 'rule', quote_ident(w.rulename) || ' on ' || r.ident, pg_get_ruledef(w.oid) from pg_rewrite w join rel r on r.oid = w.ev_class where w.rulename <> '_RETURN'`,
  `select 'trigger', quote_ident(g.tgname) || ' on ' || r.ident, pg_get_triggerdef(g.oid) from pg_trigger g join rel r on r.oid = g.tgrelid where not g.tgisinternal and g.tgparentid = 0`,
  `select 'state of trigger', quote_ident(g.tgname) || ' on ' || r.ident, format('alter table %s %s trigger %I', r.ident, case g.tgenabled when 'D' then 'disable' when 'R' then 'enable replica' else 'enable always' end, g.tgname)
    from pg_trigger g join rel r on r.oid = g.tgrelid where not g.tgisinternal and g.tgparentid = 0 and g.tgenabled <> 'O'`,
  `select 'policy', quote_ident(y.polname) || ' on ' || r.ident, format('create policy %I on %s as %s for %s to %s', y.polname, r.ident, case when y.polpermissive then 'permissive' else 'restrictive' end,
      case y.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
      (select string_agg(case when o = 0 then 'public' else quote_ident(pg_get_userbyid(o)) end, ', ') from unnest(y.polroles) o))
      || coalesce(' using (' || pg_get_expr(y.polqual, y.polrelid) || ')', '') || coalesce(' with check (' || pg_get_expr(y.polwithcheck, y.polrelid) || ')', '')
    from pg_policy y join rel r on r.oid = y.polrelid`,
  `select 'state of table', r.ident, format('alter table only %s %s', r.ident, x.what) from rel r cross join lateral (
      select 'enable row level security' as what where r.relrowsecurity union all select 'force row level security' where r.relforcerowsecurity
      union all select 'replica identity ' || case r.relreplident when 'f' then 'full' when 'n' then 'nothing' else
        (select 'using index ' || quote_ident(c.relname) from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = r.oid and i.indisreplident) end where r.relreplident <> 'd'
      union all select format('cluster on %I', c.relname) from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = r.oid and i.indisclustered) x
    where r.relkind in ('r', 'p') and x.what is not null`,
  `select 'statistics', format('%I.%I', ns.nspname, s.stxname), pg_get_statisticsobjdef(s.oid) from pg_statistic_ext s join ns on ns.oid = s.stxnamespace
    where not exists (select from ext where classid = 'pg_statistic_ext'::regclass and objid = s.oid)`,
].map(query);

/** Why an index is named that is in the copy. */
export const isInvalid = "is INVALID, its copy is not";

/** What is not copied, because it reaches out of the database, would act on the migrations, or is beyond this: kind, name, why. */
export const leftOut: string = query(`
  select 'foreign table', ident, 'its server is not copied' from rel where relkind = 'f'
  union all select 'type', ident, 'base types are not copied' from typ where typtype = 'b' and typelem = 0 and not exists (select from pg_type e where e.typarray = typ.oid)
  union all select 'aggregate', p.ident, 'only plain aggregates are copied' from proc p join pg_aggregate g on g.aggfnoid = p.oid where g.aggkind <> 'n'
  union all select 'index', r.ident, ${quoteLiteral(isInvalid)} from rel r join pg_index i on i.indexrelid = r.oid where not i.indisvalid and r.relkind = 'i'
  union all select 'operator', oprname::text, 'operators are not copied' from pg_operator o join ns on ns.oid = o.oprnamespace where not exists (select from ext where classid = 'pg_operator'::regclass and objid = o.oid)
  union all select 'operator class', opcname::text, 'operator classes are not copied' from pg_opclass o join ns on ns.oid = o.opcnamespace where not exists (select from ext where classid = 'pg_opclass'::regclass and objid = o.oid)
  union all select 'cast', format('%s as %s', format_type(castsource, null), format_type(casttarget, null)), 'casts are not copied' from pg_cast c where c.oid >= 16384 and not exists (select from pg_depend d where d.classid = 'pg_cast'::regclass and d.objid = c.oid and d.deptype in ('e', 'i'))
  union all select 'text search configuration', cfgname::text, 'text search configurations are not copied' from pg_ts_config c join ns on ns.oid = c.cfgnamespace where not exists (select from ext where classid = 'pg_ts_config'::regclass and objid = c.oid)
  union all select x.kind, x.name, 'it is not copied' from (
      select 'text search dictionary' as kind, dictname::text as name, 'pg_ts_dict'::regclass as class, oid from pg_ts_dict
      union all select 'text search parser', prsname::text, 'pg_ts_parser'::regclass, oid from pg_ts_parser
      union all select 'text search template', tmplname::text, 'pg_ts_template'::regclass, oid from pg_ts_template
      union all select 'conversion', conname::text, 'pg_conversion'::regclass, oid from pg_conversion
      union all select 'language', lanname::text, 'pg_language'::regclass, oid from pg_language
      union all select 'access method', amname::text, 'pg_am'::regclass, oid from pg_am
      union all select 'foreign-data wrapper', fdwname::text, 'pg_foreign_data_wrapper'::regclass, oid from pg_foreign_data_wrapper
      union all select 'foreign server', srvname::text, 'pg_foreign_server'::regclass, oid from pg_foreign_server) x
    where x.oid >= 16384 and not exists (select from ext where classid = x.class and objid = x.oid)
  union all select 'event trigger', evtname::text, 'event triggers are not copied' from pg_event_trigger t where not exists (select from ext where classid = 'pg_event_trigger'::regclass and objid = t.oid)
  union all select 'publication', pubname::text, 'publications are not copied' from pg_publication`);
