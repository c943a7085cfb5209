import assert from "node:assert/strict";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, type HeadgateResult } from "../../helpers/headgate.ts";
import { addMigrations } from "../../helpers/migrations.ts";
import { makePlace } from "../../helpers/undo.ts";

const server = await useServer();

const [up, down] = ["CREATE TABLE IF NOT EXISTS orders (i int);", "DROP TABLE IF EXISTS orders;"];
const foreign: readonly (readonly [tool: string, file: string, sql: string])[] = [
  ["goose", "00001_orders.sql", `-- +goose Up\n${up}\n-- +goose Down\n${down}\n`],
  ["dbmate", "1_orders.sql", `-- migrate:up\n${up}\n\n-- migrate:down\n${down}\n`],
  ["sql-migrate", "1_orders.sql", `-- +migrate Up\n${up}\n\n-- +migrate Down\n${down}\n`],
  ["node-pg-migrate", "1_orders.sql", `-- Up Migration\n${up}\n\n-- Down Migration\n${down}\n`],
  ["tern", "001_orders.sql", `${up}\n\n---- create above / drop below ----\n\n${down}\n`],
  ["Play's evolutions", "1.sql", `-- !Ups\n${up}\n\n-- !Downs\n${down}\n`],
  ["a tool that keeps both", "1_orders.sql", `-- Up\n${up}\n\n-- Down\n${down}\n`],
  ["golang-migrate", "1_orders.down.sql", down],
];

const problemsOf = ({ lines }: HeadgateResult): string =>
  ((lines.at(-1)?.["problems"] ?? []) as string[]).join("\n");

for (const artifact of artifacts) {
  for (const [tool, file, sql] of foreign) {
    testOn(
      artifact,
      `M13 a pending file with the marks of ${tool} is refused with 65, and no row of a table it would drop is lost`,
      async () => {
        const place = await makePlace(server, artifact, {
          [file]: sql,
          "2_later.sql": "SELECT 1;",
        });
        const { run, database, has } = place;
        await server.psql(database, "CREATE TABLE orders AS SELECT generate_series(1, 1000) AS i");
        for (const args of [
          ["migrate", "--before", "false"],
          ["--", "echo", "started"],
          ["verify"],
          ["plan"],
          ["status", "--exit-code"],
        ]) {
          const result = await run(...args);
          assert.equal(result.exitCode, 65, `${args.join(" ")}: ${result.stderr}`);
          assert.ok(problemsOf(result).includes(file), result.stderr);
          assert.ok(problemsOf(result).includes(tool), result.stderr);
          if (args[0] !== "status") assert.equal(result.stdout, "");
        }
        const [row] = await server.psql(database, "SELECT count(*)::int AS rows FROM orders");
        assert.deepEqual([row?.["rows"], await has("migrations")], [1000, false]);
        const check = await run("check");
        assert.equal(check.exitCode, 65);
        assert.match(check.stdout, /: error: (foreign-mark|undo-beside): /);
        assert.match(check.stdout, /: 1 error(, 1 warning)?\n$/);
      },
    );
  }

  testOn(
    artifact,
    "M13 a file with such marks that is applied already is warned of once at each start, and an error of check",
    async () => {
      const [, file = "", sql = ""] = foreign[0] ?? [];
      const place = await makePlace(server, artifact, { [file]: sql });
      const { ok, run, database, folder, history } = place;
      await server.psql(database, "CREATE TABLE orders (i int)");
      await ok("stamp", "1", "--yes");
      for (const args of [["migrate"], ["--", "echo", "started"]]) {
        const { lines } = await ok(...args);
        const warnings = lines.filter(({ level }) => level === "warn");
        assert.equal(warnings.length, 1);
        assert.match(warnings[0]?.msg ?? "", /^found applied files that hold what undoes them/);
        assert.equal(warnings[0]?.["files"], file);
      }
      assert.equal((await ok("verify")).stdout, "1 applied, none pending\n");
      assert.equal((await run("check")).exitCode, 65);
      addMigrations(folder, { "2_later.sql": "CREATE TABLE later ();" });
      await ok("migrate");
      assert.deepEqual(await history(), [0, 1, 2], "it is in nobody's way");
    },
  );

  testOn(
    artifact,
    "M13 two files with one number, of which one undoes the other, are refused with the advice to move that one, before a socket opens",
    async () => {
      const { run, folder } = await makePlace(server, artifact, {
        "1_orders.up.sql": up,
        "1_orders.down.sql": down,
      });
      const result = await run("migrate", "--database-url", "postgres://127.0.0.1:1/none");
      assert.equal(result.exitCode, 65, result.stderr);
      assert.match(
        problemsOf(result),
        /^\S+1_orders\.down\.sql: undoes 1_orders\.up\.sql, it seems, .*undo\/.*--migrator golang-migrate\)$/,
      );
      assert.ok(problemsOf(result).startsWith(folder));
      const check = await run("check");
      assert.match(check.stdout, /: error: undo-beside: [^]*: 1 error(, 1 warning)?\n$/);
    },
  );

  testOn(
    artifact,
    "M13 an undo file that holds both directions is refused before anything is undone",
    async () => {
      const { ok, run, history, has } = await makePlace(server, artifact, {
        "1_orders.sql": up,
        "undo/1_orders.sql": `-- migrate:up\n${up}\n\n-- migrate:down\n${down}\n`,
      });
      await ok("migrate");
      const result = await run("rollback");
      assert.equal(result.exitCode, 65, result.stderr);
      assert.match(problemsOf(result), /undo\/1_orders\.sql: holds a mark of dbmate/);
      assert.deepEqual([await history(), await has("orders")], [[0, 1], true]);
      assert.equal((await run("check")).exitCode, 65);
    },
  );

  testOn(
    artifact,
    "M13 a template is refused before it is sent, and talk of marks, or marks in a string, are applied as they are",
    async () => {
      const { ok, run, folder, database, has } = await makePlace(server, artifact, {
        "1_a.sql":
          "-- headgate: no-transaction\nCREATE TABLE a ();\nCREATE TABLE {{ .Schema }}.b ();\n",
      });
      const result = await run("migrate");
      assert.equal(result.exitCode, 65, result.stderr);
      assert.match(problemsOf(result), /1_a\.sql: holds \{\{ outside of strings/);
      assert.equal(await has("a"), false);
      const text = "a\n-- +goose Down\n-- migrate:down\n{{name}}";
      addMigrations(folder, {
        "1_a.sql": `-- had a -- +goose Down once\nCREATE TABLE a AS SELECT '${text}' AS text;\n`,
      });
      const { lines } = await ok("migrate");
      assert.ok(lines.every(({ level }) => level === "info"));
      assert.deepEqual(await server.psql(database, "SELECT text FROM a"), [{ text }]);
      assert.equal((await run("check")).exitCode, 0);
    },
  );
}
