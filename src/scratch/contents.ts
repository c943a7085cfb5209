import type { Session } from "../postgres/session.ts";

/** Something in a database that its template did not bring, and how to remove it. */
export type Content = { readonly kind: string; readonly name: string; readonly drop: string };

/** The catalogs of all that a database holds, with the objects of each that stand for others left out. */
const catalogs: readonly (readonly [catalog: string, condition: string])[] = [
  ["pg_publication", "true"],
  ["pg_event_trigger", "true"],
  ["pg_namespace", "nspname !~ '^pg_' and nspname not in ('information_schema', 'public')"],
  // Indexes, toast tables and the types of rows go with their tables.
  ["pg_class", "relkind in ('r', 'p', 'v', 'm', 'S', 'f')"],
  ["pg_proc", "true"],
  [
    "pg_type",
    "typelem = 0 and (typtype in ('e', 'd', 'r', 'b', 'p') or (select relkind from pg_catalog.pg_class c where c.oid = typrelid) = 'c')",
  ],
  ["pg_operator", "true"],
  ["pg_opfamily", "true"],
  ["pg_collation", "true"],
  ["pg_conversion", "true"],
  ["pg_ts_config", "true"],
  ["pg_ts_dict", "true"],
  ["pg_ts_parser", "true"],
  ["pg_ts_template", "true"],
  ["pg_cast", "true"],
  ["pg_foreign_server", "true"],
  ["pg_foreign_data_wrapper", "true"],
  ["pg_language", "true"],
  ["pg_am", "true"],
  ["pg_extension", "true"],
];

/** Below it are the objects that every database is born with (src/include/access/transam.h, FirstNormalObjectId). */
const firstOwnOid = 16384;

/**
 * Lists what users have put into a database. Extensions that are there belong to the place, as far as they are among
 * those that were `found` before: providers and images put some into every new database.
 * @param found names of extensions to leave out, all that are there when it is left out
 */
export async function listContents(
  session: Session,
  signal: AbortSignal,
  found?: readonly string[],
): Promise<readonly Content[]> {
  const isOld =
    found === undefined
      ? "true"
      : `e.extname = any (pg_catalog.string_to_array(pg_catalog.convert_from('\\x${hexOf(found.join("\n"))}', 'UTF8'), E'\\n'))`;
  const objects = catalogs.map(
    ([catalog, condition]) =>
      `select '${catalog}'::regclass as class, oid from pg_catalog.${catalog} where oid >= ${firstOwnOid} and ${condition}`,
  );
  const [result] = await session.query(
    `with object as (${objects.join(" union all ")})
    select i.type as kind, i.identity as name from object o, pg_catalog.pg_identify_object(o.class, o.oid, 0) i
    where not exists (select from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.refobjid
        where d.classid = o.class and d.objid = o.oid and d.deptype = 'e' and (${isOld}))
      and not exists (select from pg_catalog.pg_extension e where o.class = 'pg_extension'::regclass and e.oid = o.oid and (${isOld}))
      -- What a column makes for itself, and the types of ranges of ranges.
      and not exists (select from pg_catalog.pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'i'
        and o.class in ('pg_class'::regclass, 'pg_type'::regclass))
      and i.type is not null
    union all select 'large object', oid::text from pg_catalog.pg_largeobject_metadata where oid >= ${firstOwnOid}`,
    signal,
  );
  return (result?.rows ?? []).map((row) => toContent(String(row["kind"]), String(row["name"])));
}

/** The extensions that are there, by name. */
export async function listExtensions(session: Session, signal: AbortSignal): Promise<string[]> {
  const [result] = await session.query("select extname from pg_catalog.pg_extension", signal);
  return (result?.rows ?? []).map((row) => String(row["extname"]));
}

/** The server's words for kinds, where DROP has others. */
const dropWords: { readonly [kind: string]: string } = {
  "foreign-data wrapper": "foreign data wrapper",
};

function toContent(kind: string, name: string): Content {
  const drop =
    kind === "large object"
      ? `select pg_catalog.lo_unlink(${name})`
      : `drop ${dropWords[kind] ?? kind} if exists ${name} cascade`;
  return { kind, name, drop };
}

const hexOf = (text: string): string => Buffer.from(text).toString("hex");
