import assert from "node:assert/strict";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { makePlace } from "../../helpers/undo.ts";

const server = await useServer();

/** BEGIN and COMMIT around the whole file, as Sqitch, golang-migrate and pg_dump's readers write them. */
const framed: MigrationFiles = {
  "1_sqitch.sql": "-- Deploy notes to pg\n\nBEGIN;\n\nCREATE TABLE notes (id int);\n\nCOMMIT;\n",
  "2_dated.sql":
    "/* 2024 */ start transaction;\r\nALTER TABLE notes ADD author text;\r\nINSERT INTO notes VALUES (1, 'a;b');\r\nEnd Work -- that is all",
  "3_nothing.sql": "BEGIN TRANSACTION;\nCOMMIT TRANSACTION;\n",
  "4_plain.sql": "CREATE TABLE plain (id int);\n",
};
const undos: MigrationFiles = {
  "undo/1_sqitch.sql": "-- Revert\nBEGIN;\nDROP TABLE notes;\nCOMMIT;\n",
  "undo/2_dated.sql": "BEGIN;\nDELETE FROM notes;\nALTER TABLE notes DROP author;\nEND;\n",
  "undo/3_nothing.sql": "BEGIN;\nCOMMIT;\n",
  "undo/4_plain.sql": "DROP TABLE plain;\n",
};

const rowsOf = (database: string): Promise<object[]> =>
  server.psql(database, "SELECT id, name, hash FROM migrations ORDER BY id");

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M10 BEGIN and COMMIT around a whole file are taken for headgate's own transaction, without a warning",
    async () => {
      const { ok, database, folder } = await makePlace(server, artifact, framed);
      const { lines } = await ok("migrate");
      // Of the one that holds nothing else, and of no other.
      assert.deepEqual(
        lines.filter(({ level }) => level === "warn").map(({ migration }) => migration),
        ["3_nothing.sql"],
      );
      assert.equal((await server.psql(database, "SELECT FROM notes")).length, 1);
      // The text of the history is that of the file as it is, and the other tool finds nothing to do.
      const other = await createDatabase(server);
      assert.equal((await startPackage(server, other, folder).applied).length, 5);
      assert.deepEqual(await rowsOf(database), await rowsOf(other));
      assert.deepEqual(await startPackage(server, database, folder).applied, []);
      const env = { DATABASE_URL: server.url(other), HEADGATE_MIGRATIONS: folder };
      assert.equal((await runHeadgate(artifact, ["verify"], { env })).exitCode, 0);
    },
  );

  testOn(
    artifact,
    "M2 a file with BEGIN and COMMIT around it and its history row are committed together, which postgres-migrations does not do",
    async () => {
      const { run, database, folder, has } = await makePlace(server, artifact, {
        "1_first.sql": "CREATE TABLE first (id int);",
      });
      const other = await createDatabase(server);
      await run("migrate");
      await startPackage(server, other, folder).applied;
      const both = makeMigrations({
        "1_first.sql": "CREATE TABLE first (id int);",
        "2_sqitch.sql": "BEGIN;\nCREATE TABLE notes (id int);\nCOMMIT;\n",
      });
      for (const each of [database, other]) {
        await server.psql(each, "ALTER TABLE migrations ADD CHECK (name <> 'sqitch')");
      }
      const { exitCode, stderr } = await run("migrate", "--migrations", both);
      assert.equal(exitCode, 1, stderr);
      assert.match(stderr, /at the end, when it was recorded and committed\): new row/);
      assert.equal(await has("notes"), false);
      await assert.rejects(startPackage(server, other, both).applied, /violates check constraint/);
      const [left] = await server.psql(other, "SELECT to_regclass('notes') IS NOT NULL AS found");
      assert.equal(left?.["found"], true);
    },
  );

  testOn(
    artifact,
    "M8 an error in a file with BEGIN and COMMIT around it is told with its own lines, and nothing of it stays",
    async () => {
      const { run, has } = await makePlace(server, artifact, {
        "1_a.sql": "BEGIN; -- 🙂\nCREATE TABLE a (id int);\n  SELECT nothing FROM a;\nCOMMIT;\n",
      });
      const { exitCode, lines } = await run("migrate");
      assert.equal(exitCode, 1);
      const failure = lines.at(-1);
      assert.match(failure?.msg ?? "", /1_a\.sql:3:10: column "nothing" does not exist/);
      assert.equal(
        failure?.["excerpt"],
        "2 | CREATE TABLE a (id int);\n3 |   SELECT nothing FROM a;\n  |          ^\n4 | COMMIT;",
      );
      assert.equal(await has("a"), false);
      const first = await makePlace(server, artifact, { "1_a.sql": "BEGIN;\nSELEC 1;\nCOMMIT;\n" });
      assert.equal(
        (await first.run("migrate")).lines.at(-1)?.["excerpt"],
        "1 | BEGIN;\n2 | SELEC 1;\n  | ^\n3 | COMMIT;",
      );
    },
  );

  testOn(
    artifact,
    "U1 a rollback runs undo files with BEGIN and COMMIT around them, each with its history row",
    async () => {
      const { ok, history, has } = await makePlace(server, artifact, { ...framed, ...undos });
      await ok("migrate");
      await ok("rollback", "--steps", "3");
      assert.deepEqual([await history(), await has("notes")], [[0, 1], true]);
      await ok("rollback");
      assert.deepEqual([await history(), await has("notes")], [[0], false]);
    },
  );

  testOn(
    artifact,
    "M10 plan and check read a file with BEGIN and COMMIT around it as what stands between them",
    async () => {
      const { ok, database } = await makePlace(server, artifact, { ...framed, ...undos });
      const { stdout } = await ok("plan", "--scratch-create", "--json");
      const report = JSON.parse(stdout) as {
        sets: { pending: { statements: { line: number; sql: string }[] }[] }[];
      };
      assert.deepEqual(
        report.sets[0]?.pending.map(({ statements }) => statements.map(({ line }) => line)),
        [[5], [2, 3], [], [1]],
      );
      const [row] = await server.psql(database, "SELECT to_regclass('notes') AS notes");
      assert.equal(row?.["notes"], null);
      const env = { HEADGATE_SCRATCH_URL: server.url(await createDatabase(server)) };
      const checked = await runHeadgate(
        artifact,
        ["check", "--roundtrip", "--migrations", makeMigrations({ ...framed, ...undos })],
        { env },
      );
      assert.match(checked.stdout, /4 up, 4 down and up again: nothing found\n$/, checked.stderr);
      assert.equal(checked.exitCode, 0);
    },
  );
}
