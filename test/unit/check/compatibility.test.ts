import assert from "node:assert/strict";
import { test } from "node:test";
import { readStatements } from "../../../src/apply/refuse.ts";
import { findIncompatibilities, type Made } from "../../../src/check/compatibility.ts";
import { readFolder } from "../../../src/migrations/folder.ts";
import { makeMigrations } from "../../helpers/migrations.ts";

/** What old replicas cannot live with, as `rule: what`, over all files of one deployment. */
async function find(...texts: string[]): Promise<string[]> {
  const files = Object.fromEntries(
    texts.map((text, index) => [`${index + 1}_f${index}.sql`, text]),
  );
  const made: Made = { objects: [], columns: [] };
  return (await readFolder(makeMigrations(files)))
    .flatMap((migration) => findIncompatibilities(readStatements(migration), made))
    .map(({ rule, what }) => `${rule}: ${what}`);
}

const harmful: readonly (readonly [sql: string, ...found: string[]])[] = [
  ["DROP TABLE users", "drop-table: drops the table users"],
  [
    'drop table if exists "Users", billing . bills cascade',
    "drop-table: drops the table Users",
    "drop-table: drops the table billing.bills",
  ],
  ["DROP FOREIGN TABLE far", "drop-table: drops the foreign table far"],
  ["DROP MATERIALIZED VIEW v", "drop-object: drops the materialized view v"],
  ["DROP SCHEMA app CASCADE", "drop-object: drops the schema app"],
  [
    "DROP FUNCTION f(int, text), g",
    "drop-object: drops the function f",
    "drop-object: drops the function g",
  ],
  ["DROP TYPE mood", "drop-object: drops the type mood"],
  ["ALTER TYPE pair DROP ATTRIBUTE a", "drop-object: drops an attribute of the type pair"],
  ["ALTER TABLE users DROP name", "drop-column: drops the column users.name"],
  [
    "ALTER TABLE IF EXISTS ONLY app.users DROP COLUMN IF EXISTS name CASCADE, ADD x int, DROP COLUMN y",
    "drop-column: drops the column app.users.name",
    "drop-column: drops the column app.users.y",
  ],
  ["ALTER TABLE a RENAME TO b", "rename-table: renames a to b"],
  ["ALTER VIEW a RENAME TO b", "rename-table: renames a to b"],
  ["ALTER TABLE a SET SCHEMA s", "rename-table: moves a to another schema"],
  ["ALTER TABLE a RENAME b TO c", "rename-column: renames the column a.b to c"],
  ["ALTER TABLE a RENAME COLUMN b TO c", "rename-column: renames the column a.b to c"],
  ["ALTER TYPE mood RENAME VALUE 'a' TO 'b'", "rename-object: renames a part of the type mood"],
  ["ALTER SCHEMA a RENAME TO b", "rename-object: renames the schema a"],
  ["ALTER FUNCTION f(int) RENAME TO g", "rename-object: renames the function f"],
  ["ALTER FUNCTION f(int) SET SCHEMA s", "rename-object: moves the function f to another schema"],
  ["ALTER TABLE a ALTER b SET NOT NULL", "set-not-null: makes the column a.b NOT NULL"],
  ["ALTER TABLE a ALTER COLUMN b TYPE text", "change-type: changes the type of the column a.b"],
  ["ALTER TABLE a ALTER b SET DATA TYPE text", "change-type: changes the type of the column a.b"],
  ["ALTER TABLE a ALTER b DROP DEFAULT", "drop-default: drops the default of the column a.b"],
  ["ALTER TABLE a ALTER b DROP IDENTITY", "drop-default: drops the default of the column a.b"],
  [
    "ALTER TABLE a ADD COLUMN b int NOT NULL",
    "add-required-column: adds the column a.b, NOT NULL and without a default",
  ],
  [
    "ALTER TABLE a ADD b numeric(3, 2) CHECK (b > 0) NOT NULL",
    "add-required-column: adds the column a.b, NOT NULL and without a default",
  ],
];

test("K4 what replicas of the release before cannot live with is found, however it is written", async () => {
  for (const [sql, ...found] of harmful)
    assert.deepEqual(await find(`SELECT 1;\n${sql};`), found, sql);
});

test("K4 what they do not notice is left alone", async () => {
  for (const sql of [
    "ALTER TABLE a ADD COLUMN b int",
    "ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0",
    "ALTER TABLE a ADD COLUMN b bigserial NOT NULL",
    "ALTER TABLE a ADD COLUMN b int GENERATED ALWAYS AS IDENTITY NOT NULL",
    "ALTER TABLE a ADD CONSTRAINT c CHECK (b IS NOT NULL) NOT VALID",
    "ALTER TABLE a ADD CHECK (b IS NOT NULL)",
    "ALTER TABLE a RENAME CONSTRAINT b TO c",
    "ALTER TABLE a DROP CONSTRAINT b",
    "ALTER TABLE a ALTER b DROP NOT NULL",
    "ALTER TABLE a ALTER b SET DEFAULT 0",
    "ALTER TABLE a VALIDATE CONSTRAINT c",
    "ALTER INDEX i RENAME TO j",
    "ALTER TYPE mood ADD VALUE 'glad'",
    "DROP INDEX CONCURRENTLY i",
    "DROP TRIGGER t ON users",
    "CREATE TABLE t (a int NOT NULL)",
    "SELECT 'DROP TABLE users'; -- DROP TABLE users",
  ]) {
    assert.deepEqual(await find(sql), [], sql);
  }
});

test("K4 what the same deployment has made itself may be taken apart", async () => {
  for (const texts of [
    ["CREATE TABLE a (b int); ALTER TABLE public.a RENAME b TO c; DROP TABLE a;"],
    ["CREATE TABLE public.a (b int)", "ALTER TABLE a ALTER b SET NOT NULL, DROP COLUMN c"],
    ["CREATE TEMP TABLE t AS SELECT 1", "DROP TABLE t"],
    ["ALTER TABLE a ADD COLUMN b int", "ALTER TABLE a ALTER b TYPE text, DROP COLUMN b"],
    ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f()"],
    ["CREATE SCHEMA s; DROP SCHEMA s"],
  ]) {
    assert.deepEqual(await find(...texts), [], texts.join("; "));
  }
  for (const [count, ...texts] of [
    [1, "CREATE TABLE s.a (b int)", "DROP TABLE other.a"],
    [1, "CREATE TABLE IF NOT EXISTS a (b int)", "DROP TABLE a"],
    [1, "DROP TABLE a", "CREATE TABLE a (b int)"],
    [1, "ALTER TABLE a ADD COLUMN IF NOT EXISTS b int", "ALTER TABLE a DROP COLUMN b"],
    // INSERTs of old replicas leave it out.
    [1, "ALTER TABLE a ADD COLUMN b int", "ALTER TABLE a ALTER b SET NOT NULL"],
  ] as const) {
    assert.equal((await find(...texts)).length, count, texts.join("; "));
  }
});

test("K4 a view in the place of a renamed table, or a view that is made anew in one transaction, is harmless", async () => {
  const replaced = [
    "ALTER TABLE a RENAME TO b; CREATE VIEW a AS SELECT * FROM b",
    "DROP VIEW v; CREATE VIEW v AS SELECT 1",
    "DROP FUNCTION f(int); CREATE OR REPLACE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
  ];
  for (const sql of replaced) {
    assert.deepEqual(await find(sql), [], sql);
    assert.equal((await find(`-- headgate: no-transaction\n${sql}`)).length, 1, sql);
  }
  assert.equal((await find("DROP VIEW v", "CREATE VIEW v AS SELECT 1")).length, 1);
});

test("K1 text that is no SQL is read without a crash", async () => {
  const words = harmful.flatMap(([sql]) => sql.split(/\b/));
  let seed = 1;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 3000; round++) {
    const text = Array.from({ length: random(12) }, () => words[random(words.length)]).join("");
    const [migration] = await parsed(text);
    assert.ok(migration !== undefined);
    findIncompatibilities(readStatements(migration), { objects: [], columns: [] });
  }
});

const template = readFolder(makeMigrations({ "1_a.sql": "" }));
const parsed = async (sql: string) =>
  (await template).map((migration) => ({ ...migration, sql, text: sql }));
