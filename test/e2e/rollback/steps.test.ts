import assert from "node:assert/strict";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts } from "../../helpers/headgate.ts";
import { addMigrations, type MigrationFiles } from "../../helpers/migrations.ts";
import { makePlace, undoneBy } from "../../helpers/undo.ts";

const server = await useServer({ own: true });

const files: MigrationFiles = {
  "1_create-notes.sql": "CREATE TABLE notes (id int, kind int); CREATE TABLE audit (what text);",
  "2_index-kinds.sql":
    "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY notes_kind ON notes (kind);\nCREATE INDEX CONCURRENTLY notes_id ON notes (id);",
  "undo/1_create-notes.sql": "DROP TABLE notes, audit;",
  "undo/2_index-kinds.sql": `-- headgate: no-transaction
    SET headgate.note = 'set';
    DROP INDEX CONCURRENTLY notes_id;
    INSERT INTO audit VALUES ('undone, note ' || current_setting('headgate.note'));
    DROP INDEX CONCURRENTLY notes_kind;
    INSERT INTO audit VALUES ('undone at the end');`,
};
const audited = ["undone, note set", "undone at the end"];

async function place(artifact: (typeof artifacts)[number], more: MigrationFiles = {}) {
  const own = await makePlace(server, artifact, { ...files, ...more });
  await own.ok("migrate");
  return {
    ...own,
    audit: async (): Promise<unknown[]> =>
      (await server.psql(own.database, "SELECT what FROM audit")).map(({ what }) => what as string),
    steps: (): Promise<unknown[]> => server.psql(own.database, "SELECT FROM migrations_steps"),
    status: async (): Promise<string> =>
      (await own.run("status")).stdout.split("\n")[2]?.replace(/ +/g, " ").trim() ?? "",
  };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "U5 an undo file without a transaction is run by steps, and leaves no notes behind",
    async () => {
      const { ok, history, has, audit, steps } = await place(artifact);
      const result = await ok("rollback");
      assert.deepEqual(undoneBy(result), ["2_index-kinds.sql"]);
      const done = result.lines.filter(({ msg }) => msg === "did a step");
      assert.deepEqual(
        done.map((line) => [line["phase"], line["step"], line["of"]]),
        [1, 2, 3, 4, 5].map((step) => ["rollback", step, 5]),
      );
      assert.deepEqual(await history(), [0, 1]);
      assert.deepEqual(await audit(), audited);
      assert.deepEqual([await has("notes_kind"), await has("notes_id")], [false, false]);
      assert.equal((await steps()).length, 0);
      await ok("migrate");
      assert.deepEqual(undoneBy(await ok("rollback", "--to", "0")).length, 2);
      assert.deepEqual(await history(), [0]);
    },
  );

  testOn(
    artifact,
    "U5 an undo by steps that fails leaves a migration that no server takes for applied, and the next rollback goes on with it",
    async () => {
      const { ok, run, folder, history, has, audit, status } = await place(artifact);
      const undo = String(files["undo/2_index-kinds.sql"]);
      addMigrations(folder, {
        "undo/2_index-kinds.sql": undo.replace("CONCURRENTLY notes_kind", "CONCURRENTLY notes_knd"),
      });
      const failed = await run("rollback");
      assert.equal(failed.exitCode, 1, failed.stderr);
      assert.match(failed.lines.at(-1)?.msg ?? "", /undo\/2_index-kinds\.sql:5:5: .*notes_knd/);
      assert.match(String(failed.lines.at(-1)?.["state"]), /^3 of 5 steps of the file are done/);
      assert.deepEqual(await history(), [0, 1]);
      assert.equal(await status(), "2 half undone 3 of 5 steps index-kinds");

      for (const command of [["migrate"], ["--", "echo", "serving"]]) {
        const refused = await run(...command);
        assert.deepEqual([refused.exitCode, refused.stdout], [65, ""], refused.stderr);
        const { msg, fix } = refused.lines.at(-1) ?? {};
        assert.match(msg ?? "", /2_index-kinds\.sql: half undone/);
        assert.match(String(fix), /`headgate rollback --to 1` finishes it/);
      }
      assert.equal((await run("verify")).exitCode, 3);
      const kept = await run("rollback", "--to", "2");
      assert.equal(kept.exitCode, 64, kept.stderr);
      assert.match(kept.lines.at(-1)?.msg ?? "", /2_index-kinds\.sql is half undone/);

      addMigrations(folder, files);
      const { lines } = await ok("rollback");
      assert.deepEqual([await history(), await audit()], [[0, 1], audited]);
      assert.equal(lines.find(({ msg }) => msg === "resumed")?.["done"], 3);
      assert.equal(await has("notes_kind"), false);
      await ok("migrate");
      assert.deepEqual([await history(), await has("notes_kind")], [[0, 1, 2], true]);
    },
  );

  testOn(
    artifact,
    "U5 as long as no step of an undo has taken effect, the migration stays applied",
    async () => {
      const first =
        "-- headgate: no-transaction\nSET headgate.a = '1';\nINSERT INTO audt VALUES (1);";
      const own = await place(artifact, { "undo/2_index-kinds.sql": first });
      const { ok, run, folder, history, has, steps } = own;
      assert.equal((await run("rollback")).exitCode, 1);
      assert.deepEqual(await history(), [0, 1, 2]);
      await ok("--", "true");
      await ok("verify");
      // It may as well become a file with a transaction.
      addMigrations(folder, { "undo/2_index-kinds.sql": "DROP INDEX notes_id, notes_kind;" });
      await ok("rollback");
      assert.deepEqual([await history(), await has("notes_id")], [[0, 1], false]);
      assert.equal((await steps()).length, 0);
      await ok("migrate");
      assert.deepEqual(await history(), [0, 1, 2]);
    },
  );

  testOn(
    artifact,
    "U5 a file that is half undone is finished by steps, also when it has become one with a transaction",
    async () => {
      const { ok, run, folder, history, audit } = await place(artifact);
      const undo = String(files["undo/2_index-kinds.sql"]);
      const start = undo.slice(0, undo.indexOf("DROP INDEX CONCURRENTLY notes_kind"));
      addMigrations(folder, { "undo/2_index-kinds.sql": `${start}INSERT INTO audt VALUES (1);` });
      assert.equal((await run("rollback")).exitCode, 1);
      const rest = start.replace("-- headgate: no-transaction", "");
      addMigrations(folder, {
        "undo/2_index-kinds.sql": `${rest.replace("INDEX CONCURRENTLY notes_id", "INDEX notes_id")}DROP INDEX notes_kind;`,
      });
      const edited = await run("rollback");
      assert.equal(edited.exitCode, 65, edited.stderr);
      assert.match(edited.lines.at(-1)?.msg ?? "", /step 2 of .* is done, and was edited/);
      addMigrations(folder, {
        "undo/2_index-kinds.sql": `${start}DROP INDEX notes_kind;\nINSERT INTO audit VALUES ('undone at the end');`,
      });
      await ok("rollback");
      assert.deepEqual([await history(), await audit()], [[0, 1], audited]);
    },
  );

  testOn(
    artifact,
    "U5 SIGKILL in the middle of DROP INDEX CONCURRENTLY: servers stay away, and the next rollback finishes it",
    async () => {
      const { start, run, ok, database, history, has, audit, status } = await place(artifact);
      const reader = await server.connect(database);
      await reader.query("BEGIN; SELECT FROM notes");
      const running = await start("rollback");
      await eventually("the index is being dropped", async () => {
        const sql =
          "SELECT FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONC%' AND wait_event_type = 'Lock' AND datname = $1";
        return (await server.psql("postgres", sql, [database])).length === 1;
      });
      assert.equal(await status(), "2 running 1 of 5 steps index-kinds");
      running.signal("SIGKILL");
      await running.result;
      await eventually("its session is gone", async () => {
        const sql =
          "SELECT FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONC%' AND datname = $1";
        return (await server.psql("postgres", sql, [database])).length === 0;
      });
      assert.deepEqual(await history(), [0, 1]);
      assert.equal(await status(), "2 in doubt 1 of 5 steps index-kinds");
      assert.equal((await run("migrate")).exitCode, 65);
      await reader.end();
      const { lines } = await ok("rollback", "--to", "1");
      assert.ok(lines.some(({ msg }) => msg === "found an unfinished step; running it again"));
      assert.deepEqual([await history(), await audit()], [[0, 1], audited]);
      assert.equal(await has("notes_id"), false);
      await ok("migrate");
    },
  );

  testOn(
    artifact,
    "U5 a step in doubt that the catalog does not tell of is settled by resolve",
    async () => {
      const own = await place(artifact);
      const { ok, run, folder, database, history, steps } = own;
      addMigrations(folder, {
        "undo/2_index-kinds.sql":
          "-- headgate: no-transaction\nDROP INDEX CONCURRENTLY notes_id;\nCALL tidy();\nDROP INDEX CONCURRENTLY notes_kind;",
      });
      await server.psql(
        database,
        "CREATE PROCEDURE tidy() LANGUAGE sql AS $$ INSERT INTO audit VALUES ('tidied') $$",
      );
      await server.psql(database, "ALTER TABLE audit ADD CHECK (what <> 'tidied')");
      assert.equal((await run("rollback")).exitCode, 1);
      // As a crash leaves it.
      await server.psql(database, "UPDATE migrations_steps SET state = 'started' WHERE step = 2");
      const doubt = await run("rollback");
      assert.equal(doubt.exitCode, 65, doubt.stderr);
      assert.match(doubt.lines.at(-1)?.msg ?? "", /undo\/2_index-kinds\.sql:3: step 2 is in doubt/);
      assert.match(String(doubt.lines.at(-1)?.["fix"]), /`headgate resolve 2:2 --done`/);
      const wrong = await run("resolve", "2:1", "--done");
      assert.match(String(wrong.lines.at(-1)?.["fix"]), /in doubt: 2:2/);
      await ok("resolve", "2:2", "--done");
      await ok("rollback");
      assert.deepEqual([await history(), (await steps()).length], [[0, 1], 0]);
    },
  );

  testOn(artifact, "U5 what is applied in part is not undone, nor what is below it", async () => {
    const own = await place(artifact, { "undo/3_index-more.sql": "SELECT 1;" });
    const { run, ok, folder, history } = own;
    addMigrations(folder, {
      "3_index-more.sql":
        "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY more ON notes (id, kind);\nSELECT wrong;",
    });
    assert.equal((await run("migrate")).exitCode, 1);
    for (const args of [[], ["--to", "2"], ["--to", "0"]]) {
      const refused = await run("rollback", ...args);
      assert.equal(refused.exitCode, 65, refused.stderr);
      const problems = refused.lines.at(-1)?.["problems"] as string[];
      assert.match(problems[0] ?? "", /3_index-more\.sql: applied in part/);
    }
    assert.deepEqual(await history(), [0, 1, 2]);
    addMigrations(folder, {
      "3_index-more.sql":
        "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY more ON notes (id, kind);",
      "undo/3_index-more.sql": "DROP INDEX more;",
    });
    await ok("migrate");
    await ok("rollback", "--to", "0");
    assert.deepEqual(await history(), [0]);
  });
}
