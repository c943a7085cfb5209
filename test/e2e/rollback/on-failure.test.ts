import assert from "node:assert/strict";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, type HeadgateResult } from "../../helpers/headgate.ts";
import { addMigrations, type MigrationFiles } from "../../helpers/migrations.ts";
import { makePlace, undoable, undoneBy } from "../../helpers/undo.ts";

const server = await useServer();

const wanted = ["--on-failure", "rollback"];
const failing: MigrationFiles = {
  ...undoable,
  "4_broken.sql": "CREATE TABLE broken ();\nSELECT wrong;",
  "undo/4_broken.sql": "DROP TABLE broken;",
};
const problemsOf = ({ lines }: HeadgateResult): string[] =>
  (lines.at(-1)?.["problems"] ?? []) as string[];

for (const artifact of artifacts) {
  for (const command of [
    ["migrate", ...wanted],
    [...wanted, "--", "echo", "serving"],
  ]) {
    testOn(
      artifact,
      `U10 when a file fails, \`headgate ${command.join(" ")}\` undoes what this run has applied, newest first, and exits 1`,
      async () => {
        const { ok, run, folder, history, has } = await makePlace(server, artifact, {
          "1_create-notes.sql": String(undoable["1_create-notes.sql"]),
        });
        await ok("migrate");
        addMigrations(folder, failing);
        const result = await run(...command);
        assert.deepEqual([result.exitCode, result.stdout], [1, ""], result.stderr);
        assert.deepEqual(undoneBy(result), ["3_index-authors.sql", "2_add-author.sql"]);
        assert.match(result.lines.at(-1)?.msg ?? "", /4_broken\.sql:2:8: column "wrong" does not/);
        assert.deepEqual(problemsOf(result), [
          "applied by this run, and undone: 3 index-authors, 2 add-author",
          "the database is as it was before this run",
        ]);
        assert.deepEqual(await history(), [0, 1], "what was applied before this run stays");
        assert.deepEqual([await has("notes"), await has("notes_author")], [true, false]);
        addMigrations(folder, { "4_broken.sql": "CREATE TABLE broken ();" });
        await ok("migrate", ...wanted);
        assert.deepEqual(await history(), [0, 1, 2, 3, 4]);
      },
    );
  }

  testOn(
    artifact,
    "U10 without undo files for all that is pending nothing is begun, and all that are missing are named",
    async () => {
      const { run, history, has } = await makePlace(server, artifact, {
        ...{
          "1_a.sql": "CREATE TABLE a ();",
          "2_b.sql": "",
          "3_c.sql": "",
          "undo/2_b.sql": "SELECT 1;",
        },
      });
      const result = await run("migrate", ...wanted, "--before", "false");
      assert.equal(result.exitCode, 65, result.stderr);
      const problems = problemsOf(result);
      assert.equal(problems.length, 2);
      assert.match(problems[0] ?? "", /undo\/1_a\.sql: missing: the file that undoes 1_a\.sql/);
      assert.match(problems[1] ?? "", /undo\/3_c\.sql: missing/);
      assert.equal(await has("a"), false);
      await assert.rejects(history(), /migrations/);
    },
  );

  testOn(
    artifact,
    "U10 an undo file that cannot be run is found before anything is begun, and a migrator is refused",
    async () => {
      const { run, has } = await makePlace(server, artifact, {
        ...{ "1_a.sql": "CREATE TABLE a ();", "undo/1_a.sql": "COMMIT;" },
      });
      const result = await run("migrate", ...wanted);
      assert.equal(result.exitCode, 1, result.stderr);
      assert.match(problemsOf(result)[0] ?? "", /undo\/1_a\.sql:1: COMMIT inside the file/);
      assert.equal(await has("a"), false);
      const env = { HEADGATE_MIGRATIONS: "" };
      const other = await makePlace(server, artifact);
      Object.assign(other.env, env);
      const refused = await other.run("migrate", ...wanted, "--migrator", "true");
      assert.equal(refused.exitCode, 64, refused.stderr);
      assert.match(refused.stderr, /headgate cannot undo what a migrator has applied/);
    },
  );

  testOn(
    artifact,
    "U10 a migration that is half undone is called so, and not applied",
    async () => {
      const { run, history } = await makePlace(server, artifact, {
        ...{ "1_a.sql": "CREATE TABLE a ();", "undo/1_a.sql": "DROP TABLE a;" },
        ...{
          "2_b.sql": "CREATE TABLE b ();",
          "3_c.sql": "SELECT 1/0;",
          "undo/3_c.sql": "SELECT 1;",
        },
        "undo/2_b.sql": "-- headgate: no-transaction\nDROP TABLE b;\nSELECT 1/0;",
      });
      const result = await run("migrate", ...wanted);
      assert.equal(result.exitCode, 1, result.stderr);
      const problems = problemsOf(result);
      assert.deepEqual(
        [problems[0], problems[1], problems.at(-1)],
        [
          "applied by this run, and still there: 1 a",
          "half undone: 2 b; `headgate rollback --to 1` goes on with it",
          "the newest migration that is applied is 1 a",
        ],
      );
      assert.deepEqual(await history(), [0, 1]);
      const planned = await run("plan");
      assert.equal(planned.exitCode, 65, planned.stderr);
      assert.match(planned.stderr, /2_b\.sql: half undone/);
    },
  );

  testOn(
    artifact,
    "U10 when an undo fails, too, the log says exactly where the database stands",
    async () => {
      const { ok, run, folder, history } = await makePlace(server, artifact, {
        ...failing,
        "undo/2_add-author.sql": "ALTER TABLE notes DROP COLUMN autor;",
      });
      const result = await run("migrate", ...wanted);
      assert.equal(result.exitCode, 1, result.stderr);
      assert.match(result.lines.at(-1)?.msg ?? "", /4_broken\.sql:2:8/);
      const problems = problemsOf(result);
      assert.equal(problems[0], "applied by this run, and undone: 3 index-authors");
      assert.equal(
        problems[1],
        "applied by this run, and still there: 1 create-notes, 2 add-author",
      );
      assert.match(
        problems[2] ?? "",
        /an undo failed, too: \S+undo\/2_add-author\.sql:1:1: column/,
      );
      assert.equal(problems[3], "the newest migration that is applied is 2 add-author");
      assert.deepEqual(await history(), [0, 1, 2]);
      addMigrations(folder, { ...failing, "4_broken.sql": "" });
      await ok("migrate");
    },
  );

  testOn(
    artifact,
    "U10 a file that is applied in part keeps what it rests on; one whose first step failed does not",
    async () => {
      const index = "CREATE INDEX CONCURRENTLY notes_id ON notes (id)";
      const steps = (...all: string[]): string =>
        `-- headgate: no-transaction\n${all.join(";\n")};`;
      const { ok, run, folder, history, has } = await makePlace(server, artifact, {
        ...failing,
        "4_broken.sql": steps("SELECT wrong", index),
      });
      const first = await run("migrate", ...wanted);
      assert.equal(first.exitCode, 1, first.stderr);
      assert.equal(problemsOf(first).at(-1), "no migration of this run is applied any more");
      assert.deepEqual([await history(), await has("notes")], [[0], false]);

      addMigrations(folder, { "4_broken.sql": steps(index, "SELECT wrong") });
      const second = await run("migrate", ...wanted);
      assert.equal(second.exitCode, 1, second.stderr);
      assert.deepEqual(undoneBy(second), []);
      assert.match(
        problemsOf(second)[1] ?? "",
        /4_broken\.sql is applied in part; the next run goes/,
      );
      assert.deepEqual([await history(), await has("notes_id")], [[0, 1, 2, 3], true]);
      addMigrations(folder, { "4_broken.sql": steps(index) });
      await ok("migrate");
      assert.deepEqual(await history(), [0, 1, 2, 3, 4]);
    },
  );

  testOn(artifact, "U10 a stop is no failure: what was applied stays", async () => {
    const { start, database, history } = await makePlace(server, artifact, {
      ...failing,
      "4_broken.sql": "SELECT pg_sleep(60);",
    });
    const running = await start("migrate", ...wanted);
    await eventually("the last file runs", async () => {
      const sql =
        "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep' AND state = 'active'";
      return (await server.psql("postgres", sql, [database])).length === 1;
    });
    running.signal("SIGTERM");
    const result = await running.result;
    assert.equal(result.exitCode, 143);
    assert.deepEqual([undoneBy(result), await history()], [[], [0, 1, 2, 3]]);
  });
}
