import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignProblems } from "../../../src/migrations/foreign-marks.ts";
import { presets } from "../../../src/migrator/presets.ts";

const up = "CREATE TABLE orders (i int);";
const down = "DROP TABLE orders;";

/** Each tool's name, and files as it has them; the mark that is to be named comes first. */
const files: readonly (readonly [tool: string, mark: string, ...sqls: string[]])[] = [
  [
    ...(["goose", "-- +goose Down"] as const),
    `-- +goose Up\n${up}\n-- +goose Down\n${down}\n`,
    `-- +goose Up\n-- +goose StatementBegin\n${up}\n-- +goose StatementEnd\n-- +goose Down\n${down}`,
    `--+goose up\r\n${up}\r\n-- +goose down\r\n${down}\r\n`.replace(
      "-- +goose down",
      "-- +goose Down",
    ),
  ],
  ["goose", "-- +goose Up", `-- +goose Up\n${up}\n`],
  [
    "goose",
    "-- +goose StatementBegin",
    `-- +goose StatementBegin\n${up}\n-- +goose StatementEnd\n`,
  ],
  ["goose", "-- +goose NO TRANSACTION", `-- +goose NO TRANSACTION\n${up}`],
  ["goose", "-- +goose ENVSUB ON", `-- +goose ENVSUB ON\n${up}`],
  ["dbmate", "-- migrate:down", `-- migrate:up\n${up}\n\n-- migrate:down\n${down}\n`],
  [
    "dbmate",
    "--migrate:down transaction:false",
    `--migrate:up\n${up}\n--migrate:down transaction:false\n${down}\n`,
  ],
  [
    "sql-migrate",
    "-- +migrate Down",
    `-- +migrate Up notransaction\n${up}\n-- +migrate Down\n${down}`,
  ],
  ["micrate", "-- +micrate Down", `-- +micrate Up\n${up}\n-- +micrate Down\n${down}`],
  ["node-pg-migrate", "-- Down Migration", `-- Up Migration\n${up}\n-- Down Migration\n${down}`],
  [
    "node-pg-migrate",
    "-----   DOWN migration -----",
    `${up}\n-----   DOWN migration -----\n${down}`,
  ],
  [
    ...(["tern", "---- create above / drop below ----"] as const),
    `${up}\n\n---- create above / drop below ----\n\n${down}\n`,
    // Without a `;` its mark stands in the middle of what Postgres takes for one statement.
    `CREATE TABLE orders (i int)\n---- create above / drop below ----\n${down}\n`,
  ],
  ["tern", "---- tern: disable-tx ----", `---- tern: disable-tx ----\n${up}`],
  ["graphile-migrate", "--! Previous: -", `--! Previous: -\n--! Hash: sha1:0a\n\n${up}\n`],
  ["graphile-migrate", "--!include tables/orders.sql", "--!include tables/orders.sql\n"],
  [
    "liquibase",
    "--liquibase formatted sql",
    `--liquibase formatted sql\n--changeset a:1\n${up}\n--rollback ${down}`,
  ],
  ["Play's evolutions", "# --- !Downs", `# --- !Ups\n${up}\n# --- !Downs\n${down}`],
  ["Play's evolutions", "-- !Downs", `-- !Ups\n${up}\n-- !Downs\n${down}`],
  ["MyBatis Migrations", "-- //@UNDO", `-- // add orders\n${up}\n-- //@UNDO\n${down}`],
  ["rambler", "-- rambler down", `-- rambler up\n${up}\n-- rambler down\n${down}`],
  ["a tool that keeps both directions", "-- Down", `-- Up\n${up}\n-- Down\n${down}`],
  [
    "a tool that keeps both directions",
    "-- ==== DOWN ====",
    `-- ==== UP ====\n${up}\n-- ==== DOWN ====\n${down}`,
  ],
  ["a tool that keeps both directions", "--- @down", `--- @up\n${up}\n--- @down\n${down}`],
];

for (const [tool, mark, ...sqls] of files) {
  test(`M13 the mark ${mark} is known for one of ${tool}, and named with its place`, () => {
    for (const sql of sqls) {
      const [problem, ...others] = foreignProblems(sql);
      assert.equal(others.length, 0, sql);
      assert.equal(problem?.rule, "foreign-mark", sql);
      assert.ok(problem.what.includes(`holds a mark of ${tool}`), problem.what);
      assert.ok(problem.what.includes(`(${mark}`), problem.what);
      assert.ok(sql.slice(problem.offset).startsWith(mark.replace(/^# /, "")), problem.what);
      const [, command = ""] =
        /--migrator (\S+)$/.exec(problem.fix.replace(/"[^"]*"$/, "COMMAND")) ?? [];
      assert.ok(command === "COMMAND" || presets[command] !== undefined, problem.fix);
    }
  });
}

test("M13 what only talks of such marks, or holds them in a string, is no mark", () => {
  for (const sql of [
    "-- until 2024 this had a -- +goose Down of its own\nSELECT 1;",
    "-- +goose Downgrades are in undo/\nSELECT 1;",
    "-- see goose, dbmate (migrate:down), tern and rambler\nSELECT 1;",
    "-- migrate:upwards\nSELECT 1;",
    "-- Up Migration\nSELECT 1;",
    "-- Down migration is not possible here\nSELECT 1;",
    "-- down migrations live elsewhere\nSELECT 1;",
    "SELECT '\n-- +goose Down\n-- migrate:down\n';",
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT '\n---- create above / drop below ----\n' $$;",
    "DO $body$\n-- +migrate Down\nBEGIN END $body$;",
    'SELECT 1 AS "\n-- Down Migration\n";',
    "/*\n-- +goose Down\n-- migrate:down\n*/ SELECT 1;",
    "SELECT 1; -- +goose Down",
    "SELECT 1; -- rambler down",
    // Halves of a pair, and a pair within a statement.
    "-- Down\nSELECT 1;",
    "-- Up\nSELECT 1;",
    "SELECT 1;\n-- Up\nSELECT 2;\n-- Down\n",
    "CREATE TYPE way AS ENUM (\n  -- up\n  'up',\n  -- down\n  'down');",
    "-- scale up\nSELECT 1;\n-- scale down\nSELECT 2;",
    // What other tools write that means nothing but itself.
    "CREATE TABLE a ();--> statement-breakpoint\nCREATE TABLE b ();",
    "CREATE TABLE /* TEMPLATE: schema */jobs ();",
    "-- no-transaction\nSELECT 1;",
    "-- atlas:txmode none\n\nSELECT 1;",
    "-- This is an empty migration.\n",
    "",
  ]) {
    assert.deepEqual(foreignProblems(sql), [], sql);
  }
});

test("M13 a template is known by its marks outside of strings and comments, where they are no SQL", () => {
  for (const [sql, mark] of [
    ["CREATE TABLE {{ .Schema }}.jobs ();", "{{"],
    ["{% if pg16 %}SELECT 1;{% endif %}", "{%"],
    ["GRANT SELECT ON t TO ${READER};", "${"],
  ] as const) {
    const [problem, ...others] = foreignProblems(sql);
    assert.equal(others.length, 0);
    assert.equal(problem?.rule, "template", sql);
    assert.equal(problem.offset, sql.indexOf(mark));
  }
  for (const sql of [
    "SELECT '{{1,2},{3,4}}'::int[], 'Hello {{name}}', '${x}', $$ {% raw %} $$, $1, $x$ ${ $x$;",
    "-- {{ not here }}\n/* ${nor here} */ SELECT 'a' <% 'b', E'\\'{{';",
    'SELECT 1 AS "{{"; SELECT \'{"a": {"b": 1}}\';',
  ]) {
    assert.deepEqual(foreignProblems(sql), [], sql);
  }
});
