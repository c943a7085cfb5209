import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, type HeadgateResult } from "../../helpers/headgate.ts";
import { addMigrations } from "../../helpers/migrations.ts";
import { makePlace } from "../../helpers/undo.ts";

const server = await useServer();

const problemsOf = ({ lines }: HeadgateResult): string[] =>
  (lines.at(-1)?.["problems"] ?? []) as string[];

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M14 a migration that is still as `headgate new` wrote it is refused until it is written, and not recorded by stamp",
    async () => {
      const { ok, run, folder, history, has } = await makePlace(server, artifact, {
        "1_a.sql": "CREATE TABLE a ();",
      });
      await ok("new", "Add tags");
      for (const args of [
        ["migrate"],
        ["--", "echo", "started"],
        ["verify"],
        ["plan"],
        ["stamp", "2"],
        ["stamp", "2", "--yes"],
      ]) {
        const result = await run(...args);
        assert.deepEqual([result.exitCode, result.stdout], [65, ""], result.stderr);
        assert.match(
          problemsOf(result).join(),
          /2_add-tags\.sql: is still as `headgate new` wrote/,
        );
      }
      assert.deepEqual([await has("a"), await has("migrations")], [false, false]);
      const check = await run("check");
      assert.equal(check.exitCode, 65);
      assert.match(check.stdout, /2_add-tags\.sql:1:1: error: not-written: /);
      assert.match(check.stdout, /undo\/2_add-tags\.sql:1:1: error: empty-undo: /);
      const path = "2_add-tags.sql";
      const text = `${readFileSync(join(folder, path), "utf8")}CREATE TABLE tags ();\n`;
      addMigrations(folder, { [path]: text });
      await ok("migrate");
      assert.deepEqual([await history(), await has("tags")], [[0, 1, 2], true]);
    },
  );

  testOn(
    artifact,
    "M14 any other file without a statement is applied, with a warning that names it",
    async () => {
      const blank = ["", "\n", "-- left blank on purpose\n", "/* later */ ;\n"];
      const { ok, history } = await makePlace(
        server,
        artifact,
        Object.fromEntries(blank.map((text, index) => [`${index + 1}_blank${index}.sql`, text])),
      );
      const { lines } = await ok("migrate");
      const warned = lines.filter(({ level }) => level === "warn");
      assert.deepEqual(
        warned.map(({ migration }) => migration),
        blank.map((_, index) => `${index + 1}_blank${index}.sql`),
      );
      assert.match(
        warned[0]?.msg ?? "",
        /no statement .* what is written into it later is not run/,
      );
      assert.deepEqual(await history(), [0, 1, 2, 3, 4]);
      const again = await ok("migrate");
      assert.ok(again.lines.every(({ level }) => level === "info"));
    },
  );

  for (const [kind, text] of [
    ["as `headgate new` wrote it", undefined],
    ["of blanks and comments", "\n-- DROP TABLE tags;\n/* nothing */;\n"],
  ] as const) {
    testOn(
      artifact,
      `U11 an undo file ${kind} counts as missing: rollback refuses it, the table and its row stay, and servers start`,
      async () => {
        const { ok, run, folder, history, has } = await makePlace(server, artifact, {});
        await ok("new", "add tags");
        addMigrations(folder, {
          "1_add-tags.sql": "CREATE TABLE tags ();\n",
          ...(text === undefined ? {} : { "undo/1_add-tags.sql": text }),
        });
        await ok("migrate");
        for (const args of [["rollback"], ["rollback", "--to", "0"]]) {
          const result = await run(...args);
          assert.equal(result.exitCode, 65, result.stderr);
          assert.equal(problemsOf(result).length, 1);
          assert.match(
            problemsOf(result)[0] ?? "",
            /undo\/1_add-tags\.sql: counts as missing: it holds no statement.*nothing-to-undo reason=/,
          );
        }
        assert.deepEqual([await history(), await has("tags")], [[0, 1], true]);
        assert.equal((await ok("--", "echo", "started")).stdout, "started\n");
        const check = await run("check");
        assert.equal(check.exitCode, 65);
        assert.match(
          check.stdout,
          /undo\/1_add-tags\.sql:1:1: error: empty-undo: .*[^]*: 1 error\n$/,
        );
      },
    );
  }

  testOn(
    artifact,
    "U11 with --on-failure rollback an undo file without a statement is refused before anything is applied",
    async () => {
      const { run, has } = await makePlace(server, artifact, {
        ...{ "1_a.sql": "CREATE TABLE a ();", "undo/1_a.sql": "-- Undoes 1_a.sql.\n" },
        ...{ "2_b.sql": "SELECT wrong;", "undo/2_b.sql": "SELECT 1;" },
      });
      const result = await run("migrate", "--on-failure", "rollback", "--before", "false");
      assert.equal(result.exitCode, 65, result.stderr);
      assert.match(problemsOf(result).join("\n"), /^\S+undo\/1_a\.sql: counts as missing: [^\n]*$/);
      assert.deepEqual([await has("a"), await has("migrations")], [false, false]);
    },
  );

  testOn(
    artifact,
    "U11 an undo file that says why there is nothing to undo is one, for rollback, --on-failure and check",
    async () => {
      const nothing = '-- headgate: nothing-to-undo reason="the rows may stay"\n';
      const { ok, run, folder, history, has } = await makePlace(server, artifact, {
        "1_a.sql": "CREATE TABLE a (id int);",
        "undo/1_a.sql": "DROP TABLE a;",
        "2_rows.sql": "INSERT INTO a VALUES (1);",
        "undo/2_rows.sql": nothing,
      });
      assert.equal((await ok("check")).stdout, "checked 4 files: nothing found\n");
      await ok("migrate", "--on-failure", "rollback");
      await ok("rollback");
      assert.deepEqual([await history(), await has("a")], [[0, 1], true]);
      await ok("rollback", "--to", "0");
      addMigrations(folder, { "3_broken.sql": "SELECT wrong;", "undo/3_broken.sql": nothing });
      const result = await run("migrate", "--on-failure", "rollback");
      assert.equal(result.exitCode, 1, result.stderr);
      assert.deepEqual([await history(), await has("a")], [[0], false]);
    },
  );
}
