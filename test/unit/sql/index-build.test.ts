import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type pg from "pg";
import { type IndexBuild, readIndexBuild } from "../../../src/sql/index-build.ts";
import { splitStatements } from "../../../src/sql/statements.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });
let client: pg.Client;
before(async () => {
  client = await server.connect(await createDatabase(server));
  await client.query(`
    create schema "Sales Data";
    create table orders (id int, name text, tags int[], at timestamptz, place point);
    create table "Sales Data"."Order ""Lines""" (id int, "Name" text);
    create table "on" (id int, "where" text, "using" int);
    create table events (id int, at date) partition by range (at);
    create table größe (id int, "größe" text);`);
});
after(async () => {
  await client.end();
});

function read(sql: string): IndexBuild | undefined {
  const statement = splitStatements(sql).statements.at(-1);
  assert.ok(statement !== undefined, sql);
  return readIndexBuild(sql, statement);
}

const long = "a".repeat(70);

/** The statement, the name and the table that it is read to have, and the first version that knows it. */
const builds: readonly (readonly [
  sql: string,
  name: string | undefined,
  table: readonly string[],
  since?: number,
])[] = [
  ["CREATE INDEX ON orders (id)", undefined, ["orders"]],
  ["create unique index i on ORDERS(id,name)", "i", ["orders"]],
  ["create index concurrently on orders (id)", undefined, ["orders"]],
  ["CREATE UNIQUE INDEX CONCURRENTLY I ON Public.Orders (ID)", "i", ["public", "orders"]],
  ["create index concurrently if not exists i on orders (id);", "i", ["orders"]],
  ["create index if not exists i on only orders (id)", "i", ["orders"]],
  ["create index i on only (orders) (id)", "i", ["orders"]],
  ["create index i on orders * (id)", "i", ["orders"]],
  ["create index i on only events (at)", "i", ["events"]],
  ["create index if on orders (id)", "if", ["orders"]],
  ['create index "unique" on "on" ("where", "using")', "unique", ["on"]],
  [
    'create index "concurrently" on "on" using btree ("using") where "where" > \'on x\'',
    "concurrently",
    ["on"],
  ],
  [
    'create index "My ""Index""" on "Sales Data"."Order ""Lines""" ("Name")',
    'My "Index"',
    ["Sales Data", 'Order "Lines"'],
  ],
  [
    'create index "a.b" on "Sales Data" . /* the */ "Order ""Lines""" -- lines\n (lower("Name"), id)',
    "a.b",
    ["Sales Data", 'Order "Lines"'],
  ],
  ['create index größe_idx on GRößE ("größe")', "größe_idx", ["größe"]],
  ["create index ix$1 on orders(id)", "ix$1", ["orders"]],
  [`create index ${long} on orders (id)`, long.slice(0, 63), ["orders"]],
  ["/* a */ create -- b\n unique/* c */index i/**/on/**/orders/**/(id) -- d", "i", ["orders"]],
  ["select 1; create index i on orders (id) /* unique */; -- concurrently", "i", ["orders"]],
  ["create index i on orders using hash (name)", "i", ["orders"]],
  [
    "create index i on orders USING\n gin (tags array_ops) with (fastupdate = off)",
    "i",
    ["orders"],
  ],
  ["create index i on orders using gist (place)", "i", ["orders"]],
  ["create index i on orders using brin (at) with (pages_per_range = 4)", "i", ["orders"]],
  [
    'create index i on orders (name collate "C" text_pattern_ops desc nulls last, id asc)',
    "i",
    ["orders"],
  ],
  ["create unique index i on orders (id) include (name, at)", "i", ["orders"]],
  [
    "create index i on orders ((coalesce(name, $q$ on ; x$q$) || E'\\'')) where id in (1, 2)",
    "i",
    ["orders"],
  ],
  ["create index i on orders (id) tablespace pg_default where orders.id > 0", "i", ["orders"]],
  ["create unique index i on orders (name) nulls not distinct where id > 0", "i", ["orders"], 15],
];

/** Behind the names, as the server writes it. */
const tail = (definition: string): string => definition.slice(definition.indexOf(" USING "));

const isUnique = (definition: string): boolean => definition.startsWith("CREATE UNIQUE ");

/** Runs SQL that makes one index, and gives its definition. */
async function definitionOf(sql: string, table: string): Promise<string> {
  const existing = `select array_agg(indexrelid) from pg_index where indrelid = '${table}'::regclass`;
  const before = (await client.query(existing)).rows[0]?.["array_agg"] ?? [];
  await client.query(sql);
  const { rows } = await client.query<{ definition: string; name: string }>(
    `select pg_get_indexdef(indexrelid) as definition, indexrelid::regclass::text as name
    from pg_index where indrelid = '${table}'::regclass and indexrelid <> all ($1)`,
    [before],
  );
  assert.equal(rows.length, 1, sql);
  return rows[0]?.definition ?? "";
}

test("M4 an index build is read as the server reads it, and built again the same on a copy of its table", async () => {
  for (const [sql, name, table, since = 0] of builds) {
    if (since > server.major) continue;
    const build = read(sql);
    assert.ok(build !== undefined, sql);
    assert.deepEqual([build.name, build.table], [name, table], sql);
    assert.equal(build.isConcurrent, /index\s+concurrently\b/i.test(sql), sql);
    assert.equal(build.ifNotExists, /if not exists/i.test(sql), sql);

    const quoted = table.map((part) => `"${part.replaceAll('"', '""')}"`).join(".");
    const statement = splitStatements(sql).statements.at(-1);
    const original = await definitionOf(sql.slice(statement?.start, statement?.end), quoted);
    if (name !== undefined) {
      const written = /^CREATE (?:UNIQUE )?INDEX (?:"((?:[^"]|"")+)"|(\S+)) ON /.exec(original);
      assert.equal(written?.[1]?.replaceAll('""', '"') ?? written?.[2], name, sql);
    }

    const copy = quoted.slice(quoted.lastIndexOf(".") + 1);
    await client.query(`begin; create temporary table ${copy} (like ${quoted}) on commit drop`);
    const rebuilt = await definitionOf(
      `${build.create} index headgate_wanted on pg_temp.${copy} ${build.definition}\n;`,
      `pg_temp.${copy}`,
    );
    await client.query("rollback");
    assert.equal(tail(rebuilt), tail(original), sql);
    assert.equal(isUnique(rebuilt), isUnique(original), sql);
    const { rows } = await client.query(
      `select indexrelid::regclass::text as name from pg_index where indrelid = '${quoted}'::regclass`,
    );
    for (const { name: index } of rows) await client.query(`drop index ${index}`);
  }
});

test("M4 what is no index build, or names what cannot be read, is not taken for one", () => {
  for (const sql of [
    "CREATE TABLE index (id int)",
    "create view index as select 1",
    "select 'create index i on t (a)'",
    "drop index i",
    "create unique i on t (a)",
    "create index",
    "create index i",
    "create index i t (a)",
    "createindex i on t (a)",
    'create index U&"i" on t (a)',
    'create index i on U&"t" (a)',
    'create index i on s.U&"t" (a)',
    "create statistics i on a, b from t",
    '"create" index i on t (a)',
  ]) {
    assert.equal(read(sql), undefined, sql);
  }
});
