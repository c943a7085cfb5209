import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type pg from "pg";
import { type Manner, mannerOf } from "../../../src/sql/manner.ts";
import { splitStatements } from "../../../src/sql/statements.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";
import { commands, lasting, passing, untold } from "./manner/commands.ts";
import { schema } from "./strong-locks/schema.ts";

const server = await useServer({ settings: { max_prepared_transactions: "1" } });
let database: string;
let client: pg.Client;

/** One of each that DDL about locks needs none of. */
const others = `
  create aggregate total (int) (sfunc = int4pl, stype = int);
  create collation somewhere from "C";
  create conversion myself for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1;
  create function listed() returns int language sql as 'select 1';
  create function for_events() returns event_trigger language plpgsql as 'begin end';
  create event trigger nothing on ddl_command_start execute function for_events();
  create operator class slow.order_of_ints for type int using btree as operator 1 <;
  create operator slow.=== (leftarg = int, rightarg = int, function = int4eq);
  create text search configuration words (copy = simple);
  create user mapping for postgres server elsewhere;
  select lo_create(1);
`;

/** A subscription with a slot that is switched on, one that is switched off, and one without a slot; their server is nowhere. */
const subscriptions = ["running", "stopped", "slotless"].map(
  (name) =>
    `create subscription ${name} connection 'host=127.0.0.1 port=1 dbname=d' publication p with (connect = false)`,
);

before(async () => {
  database = await createDatabase(server);
  for (const sql of [
    schema,
    others,
    ...subscriptions,
    "alter subscription slotless set (slot_name = none)",
    "alter subscription running enable",
  ]) {
    await server.psql(database, sql);
  }
  client = await server.connect(database);
});
after(async () => {
  await client.end();
});

const known = (byVersion: { readonly [since: number]: string }): string[] =>
  Object.entries(byVersion)
    .filter(([since]) => Number(since) <= server.major)
    .flatMap(([, lines]) => lines.trim().split("\n"))
    .map((sql) => sql.trim().replaceAll(":database", database));

/** Of the last statement; those before it only make it possible. */
function mannerOfLast(sql: string): Manner {
  const statement = splitStatements(sql).statements.at(-1);
  assert.ok(statement !== undefined, sql);
  return mannerOf(sql, statement);
}

/** @returns `inside`, or `outside` when the server says that it cannot be in a transaction */
async function askServer(sql: string): Promise<"inside" | "outside"> {
  try {
    await client.query("begin");
    await client.query(sql);
    return "inside";
  } catch (error) {
    assert.equal((error as { code?: string }).code, "25001", `${sql}: ${String(error)}`);
    return "outside";
  } finally {
    await client.query("rollback");
    if (/^prepare transaction/i.test(sql)) await client.query("rollback prepared 'p'");
  }
}

for (const manner of ["inside", "outside", "setting", "unknown"] as const) {
  test(`M10 ${manner}: what the server refuses in a transaction is known, and nothing else is refused`, async () => {
    for (const sql of known(commands[manner])) {
      assert.equal(mannerOfLast(sql), manner, sql);
      assert.equal(await askServer(sql), manner === "outside" ? "outside" : "inside", sql);
    }
  });
}

test("M10 where only the catalog tells, it may still run: alone when unknown, in a file of its own when outside", async () => {
  for (const line of known(untold)) {
    const [manner, isRefused, sql = ""] = line.split(/\s*\|\s*/);
    assert.equal(mannerOfLast(sql), manner, sql);
    assert.equal(await askServer(sql), isRefused === "refused" ? "outside" : "inside", sql);
  }
});

/** All that a later statement of the session would notice. */
async function readSession(): Promise<unknown> {
  const { rows } = await client.query(
    `select name, setting from pg_settings where name not like 'transaction_%' union all
    select * from (values ('user', current_user::text), ('session', session_user::text),
      ('tenant', coalesce(current_setting('app.tenant', true), ''))) as own order by 1`,
  );
  return rows;
}

const unusual = `set work_mem = '9MB'; set "application_name" = 'x'; set role somebody`;
const usual = "reset session authorization; reset role; reset all";

test("M9 a setting changes the session for good, and nothing in the database", async () => {
  for (const sql of known(lasting)) {
    assert.equal(mannerOfLast(sql), "setting", sql);
    await client.query(`${usual}; ${unusual}`);
    const before = await readSession();
    await client.query("begin");
    await client.query(sql);
    const { rows } = await client.query("select pg_current_xact_id_if_assigned() as id");
    await client.query("commit");
    assert.equal(rows[0]?.["id"], null, sql);
    assert.notDeepEqual(await readSession(), before, sql);
  }
  await client.query(usual);
});

test("M9 what lasts no longer than its transaction is no setting", async () => {
  for (const sql of known(passing)) {
    assert.equal(mannerOfLast(sql), "inside", sql);
    const before = await readSession();
    await client.query("begin");
    await client.query(sql);
    await client.query("commit");
    assert.deepEqual(await readSession(), before, sql);
  }
});

test("M3 a block or procedure may commit half of what it does", async () => {
  await client.query(
    `create table half (a int); create procedure halfway() language plpgsql as
      'begin insert into half values (1); commit; raise ''no further''; end'`,
  );
  for (const sql of [
    "do $$ begin insert into half values (1); commit; raise 'no further'; end $$",
    "call halfway()",
  ]) {
    assert.equal(mannerOfLast(sql), "unknown", sql);
    await assert.rejects(client.query(sql), /no further/);
  }
  assert.equal((await client.query("select from half")).rowCount, 2);
});

test("a SELECT is a setting only when set_config is all of it", () => {
  for (const [manner, sql] of [
    ["setting", "SELECT pg_catalog.set_config('search_path', '', false);"],
    ["setting", "select\n  pg_catalog . SET_CONFIG($$a.b$$, E'c', FALSE) as set;"],
    ["setting", "select set_config('a.b', '1', false), set_config('a.c', '2', false) c"],
    ["setting", "select set_config('search_path', current_setting('search_path') || ', x', false)"],
    ["inside", "select set_config('a.b', '1', true)"],
    ["inside", "select set_config('a.b', '1', false), set_config('a.c', '2', true)"],
    ["inside", "select set_config('a.b', '1', false), count(*) from t"],
    ["inside", "select set_config('a.b', '1', false) from t"],
    ["inside", "select set_config('a.b', (select f()), false)"],
    ["inside", "select set_config('a.b', '1', f())"],
    ["inside", "select other.set_config('a.b', '1', false)"],
    ["inside", "select 'set_config(''a'', ''b'', false)'"],
  ] as const) {
    assert.equal(mannerOfLast(sql), manner, sql);
  }
});
