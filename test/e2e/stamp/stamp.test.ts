import assert from "node:assert/strict";
import { lockKeys } from "../../../src/lock/key.ts";
import { type Artifact, artifacts, type HeadgateResult } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { addMigrations, type MigrationFiles } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { makePlace, undoable } from "../../helpers/undo.ts";

const server = await useServer();

const problemsOf = ({ lines }: HeadgateResult): string[] =>
  (lines.at(-1)?.["problems"] ?? []) as string[];

/** The table that it prints, and the sentence below. */
const rowsOf = ({ stdout }: HeadgateResult): string[] =>
  stdout
    .split("\n")
    .slice(1, -1)
    .map((line) => line.trim().replace(/ {2,}/g, " | "));

const existing =
  "CREATE TABLE notes (id int PRIMARY KEY); ALTER TABLE notes ADD COLUMN author text;";

/** A database that has what the first two files do, by whatever way. */
async function adopted(artifact: Artifact, files: MigrationFiles = undoable, sql = existing) {
  const place = await makePlace(server, artifact, files);
  await server.psql(place.database, sql);
  return place;
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "A1 stamp shows what it would record, and records it with --yes, without running anything",
    async () => {
      const { ok, history, has, database } = await adopted(artifact);
      const shown = await ok("stamp", "2");
      assert.deepEqual(rowsOf(shown), [
        "1 | to stamp | create-notes",
        "2 | to stamp | add-author",
        "3 | pending | index-authors",
        "nothing is written yet: the same with --yes records 2 files as applied",
      ]);
      assert.equal(await has("migrations"), false);
      const written = await ok("stamp", "2", "--yes");
      assert.deepEqual(rowsOf(written).slice(0, 2), [
        "1 | stamped | create-notes",
        "2 | stamped | add-author",
      ]);
      assert.equal(written.lines.at(-1)?.["stamped"], 2);
      assert.deepEqual(await history(), [0, 1, 2]);
      const again = await ok("stamp", "2", "--yes");
      assert.deepEqual(rowsOf(again), [
        "1 | recorded | create-notes",
        "2 | recorded | add-author",
        "3 | pending | index-authors",
        "nothing is to be recorded",
      ]);
      await ok("migrate");
      assert.deepEqual([await history(), await has("notes_author")], [[0, 1, 2, 3], true]);
      const rows = "SELECT FROM migrations WHERE now()::timestamp - executed_at < '1 minute'";
      assert.equal((await server.psql(database, rows)).length, 4);
    },
  );

  testOn(
    artifact,
    "A1 postgres-migrations accepts the stamped history, row for row as its own, and goes on with it",
    async () => {
      const { ok, database, folder } = await adopted(artifact);
      await ok("stamp", "2", "--yes");
      const theirs = await createDatabase(server);
      await startPackage(server, theirs, folder).applied;
      const sql = "SELECT id, name, hash FROM migrations WHERE id < 3 ORDER BY id";
      assert.deepEqual(await server.psql(database, sql), await server.psql(theirs, sql));
      assert.deepEqual(await startPackage(server, database, folder).applied, [
        "3_index-authors.sql",
      ]);
      assert.deepEqual(await startPackage(server, database, folder).applied, []);
    },
  );

  testOn(artifact, "A2 a stamp that does not fit is refused, and nothing is written", async () => {
    const { ok, run, folder, history, database } = await adopted(artifact);
    const usages: [string[], RegExp][] = [
      [[], /takes either the number of the newest file that is there already, or --from TOOL/],
      [["2", "--from", "knex"], /takes either the number/],
      [["two"], /"two" is not the number of a file/],
      [["0"], /"0" is not the number of a file/],
      [["4", "--yes"], /there is no migration 4 in the folder/],
      [["--from", "knexx"], /--from: "knexx" is not one of alembic, knex, /],
    ];
    for (const [args, message] of usages) {
      const { exitCode, stderr } = await run("stamp", ...args);
      assert.equal(exitCode, 64, stderr);
      assert.match(stderr.replaceAll('\\"', '"'), message);
    }
    await ok("stamp", "2", "--yes");
    const ahead = await run("stamp", "1", "--yes");
    assert.equal(ahead.exitCode, 65, ahead.stderr);
    assert.match(
      problemsOf(ahead)[0] ?? "",
      /the history is ahead: it has 2 add-author, and 1 was/,
    );
    addMigrations(folder, { "1_create-notes.sql": "-- edited" });
    const changed = await run("stamp", "3", "--yes");
    assert.equal(changed.exitCode, 65, changed.stderr);
    assert.match(problemsOf(changed)[0] ?? "", /1_create-notes\.sql: changed: edited after/);
    addMigrations(folder, undoable);
    await server.psql(database, "INSERT INTO migrations VALUES (9, 'other', 'x')");
    const unknown = await run("stamp", "3", "--yes");
    assert.equal(unknown.exitCode, 65, unknown.stderr);
    assert.match(problemsOf(unknown)[0] ?? "", /the history is ahead: it has 9 other, and 3 was/);
    assert.deepEqual(await history(), [0, 1, 2, 9]);
  });

  testOn(artifact, "A2 what is applied in part is not stamped", async () => {
    const { run, history } = await adopted(artifact, {
      "1_part.sql": "-- headgate: no-transaction\nCREATE TABLE part ();\nSELECT wrong;",
    });
    assert.equal((await run("migrate")).exitCode, 1);
    const result = await run("stamp", "1", "--yes");
    assert.equal(result.exitCode, 65, result.stderr);
    assert.match(problemsOf(result)[0] ?? "", /1_part\.sql: applied or undone in part/);
    assert.deepEqual(await history(), [0]);
  });

  testOn(
    artifact,
    "A2 stamps started together record each file once, and wait for one that migrates",
    async () => {
      const { ok, run, history, database } = await adopted(artifact);
      const holder = await server.connect(database);
      await holder.query(`SELECT pg_advisory_lock(${lockKeys("public", "migrations").own.key})`);
      const late = await run("stamp", "2", "--yes", "--lock-wait", "200ms");
      assert.equal(late.exitCode, 75, late.stderr);
      await ok("stamp", "2");
      await holder.end();
      const all = await Promise.all(Array.from({ length: 5 }, () => ok("stamp", "2", "--yes")));
      const writers = all.filter(({ lines }) => lines.some(({ msg }) => msg === "stamped"));
      assert.equal(writers.length, 1);
      assert.deepEqual(await history(), [0, 1, 2]);
    },
  );
}
