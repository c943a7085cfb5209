import assert from "node:assert/strict";
import { lockKeys } from "../../../src/lock/key.ts";
import { eventually } from "../../helpers/eventually.ts";
import { useServer } from "../../helpers/use-server.ts";
import { testInPairs, testOn } from "../../helpers/everywhere.ts";
import { artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { addMigrations } from "../../helpers/migrations.ts";
import { makePlace, undoable, undoneBy } from "../../helpers/undo.ts";

const server = await useServer({ own: true });

/** Waits for a key that the test holds, so that it lasts as long as the test wants. */
const slowUndo = "SELECT pg_advisory_xact_lock(17); DROP INDEX notes_author;";

/** How many sessions of headgate are there whose query holds the text. */
const count = async (database: string, text: string): Promise<number> => {
  const rows = await server.psql(
    "postgres",
    `SELECT FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'headgate/%'
      AND state = 'active' AND strpos(query, $2) > 0`,
    [database, text],
  );
  return rows.length;
};

for (const artifact of artifacts) {
  for (const args of [[], ["--to", "2"]]) {
    const command = ["rollback", ...args];
    testOn(
      artifact,
      `U6 of 10 that start \`headgate ${command.join(" ")}\` together one undoes the migration, once, and all are content`,
      async () => {
        const { ok, start, database, history } = await makePlace(server, artifact, {
          ...undoable,
          "undo/3_index-authors.sql": slowUndo,
        });
        await ok("migrate");
        const holder = await server.connect(database);
        await holder.query("SELECT pg_advisory_lock(17)");
        const all = await Promise.all(Array.from({ length: 10 }, () => start(...command)));
        await eventually("one undoes", async () => (await count(database, "lock(17)")) === 1);
        let waiting = 0;
        for (const each of all) {
          each.waitForLog("waiting for the lock").then(
            () => waiting++,
            () => undefined,
          );
        }
        await eventually("nine wait for the lock", () => waiting === 9);
        await holder.end();
        const results = await Promise.all(all.map(({ result }) => result));
        for (const { exitCode, stderr } of results) assert.equal(exitCode, 0, stderr);
        assert.deepEqual(results.flatMap(undoneBy), ["3_index-authors.sql"]);
        const others = results.filter((result) => undoneBy(result).length === 0);
        for (const { lines } of others) assert.equal(lines.at(-1)?.msg, "found nothing to undo");
        assert.deepEqual(await history(), [0, 1, 2]);
      },
    );
  }

  testOn(
    artifact,
    "U6 a rollback that was waiting does not undo what has been applied meanwhile",
    async () => {
      const { ok, start, folder, database, history } = await makePlace(server, artifact);
      await ok("migrate");
      const holder = await server.connect(database);
      await holder.query(`SELECT pg_advisory_lock(${lockKeys("public", "migrations").own.key})`);
      const waiting = await start("rollback");
      await waiting.waitForLog("waiting for the lock");
      addMigrations(folder, { "4_more.sql": "", "undo/4_more.sql": "SELECT 1;" });
      await server.psql(database, "INSERT INTO migrations VALUES (4, 'more', 'any')");
      await holder.end();
      const { exitCode, lines, stderr } = await waiting.result;
      assert.equal(exitCode, 65, stderr);
      assert.match(lines.at(-1)?.msg ?? "", /the newest migration was 3, and is 4 by now/);
      assert.deepEqual(await history(), [0, 1, 2, 3, 4]);
    },
  );

  testOn(
    artifact,
    "U6 a rollback waits for one that migrates, and names it after --lock-wait",
    async () => {
      const { ok, start, run, folder, database, history } = await makePlace(server, artifact);
      await ok("migrate");
      const holder = await server.connect(database);
      await holder.query("SELECT pg_advisory_lock(17)");
      const slow = "-- headgate: no-transaction\nSELECT pg_advisory_xact_lock(17);\nSELECT 1;";
      addMigrations(folder, { "4_slow.sql": slow, "undo/4_slow.sql": "SELECT 1;" });
      const migrating = await start("migrate");
      await eventually("it migrates", async () => (await count(database, "lock(17)")) === 1);
      const late = await run("rollback", "--to", "2", "--lock-wait", "300ms");
      assert.equal(late.exitCode, 75, late.stderr);
      assert.match(late.lines.at(-1)?.msg ?? "", /held by headgate\/\S+ \S+ 4_slow \(pid \d+/);
      const patient = await start("rollback", "--to", "2");
      await patient.waitForLog("waiting for the lock");
      await holder.end();
      assert.equal((await migrating.result).exitCode, 0);
      const result = await patient.result;
      assert.equal(result.exitCode, 0, result.stderr);
      assert.deepEqual(undoneBy(result), ["4_slow.sql", "3_index-authors.sql"]);
      assert.deepEqual(await history(), [0, 1, 2]);
    },
  );

  testOn(
    artifact,
    "U7 an undo does not queue behind an old transaction, and gives up with 75 that names it",
    async () => {
      const { ok, run, database, history, has } = await makePlace(server, artifact);
      await ok("migrate");
      const reader = await server.connect(database, { application_name: "report" });
      await reader.query("BEGIN; SELECT FROM notes");
      const before = performance.now();
      const result = await run("rollback", "--ddl-lock-budget", "1s");
      assert.ok(performance.now() - before < 10_000);
      assert.equal(result.exitCode, 75, result.stderr);
      const { msg, problems } = result.lines.at(-1) ?? {};
      assert.match(msg ?? "", /undo\/3_index-authors\.sql: its table locks could not be had/);
      assert.match((problems as string[])[0] ?? "", /^blocked by report \(pid \d+/);
      assert.deepEqual([await history(), await has("notes_author")], [[0, 1, 2, 3], true]);
      await reader.end();
      await ok("rollback");
      assert.deepEqual(await history(), [0, 1, 2]);
    },
  );
}

testInPairs(
  "U8 TERM during an undo ends it with 143 in under 3 s, and leaves the migration applied",
  async ({ artifact, pid1 }) => {
    const place = await makePlace(server, artifact, {
      ...undoable,
      "undo/3_index-authors.sql": "DROP INDEX notes_author; SELECT pg_sleep(60);",
    });
    const { ok, database, env, history, has } = place;
    await ok("migrate");
    const running = await startHeadgate(artifact, ["rollback"], { pid1, env });
    await eventually("it undoes", async () => (await count(database, "pg_sleep(60)")) === 1);
    const started = performance.now();
    running.signal("SIGTERM");
    const { exitCode, lines } = await running.result;
    assert.ok(performance.now() - started < 3000);
    assert.deepEqual([exitCode, lines.at(-1)?.msg], [143, "stopped"]);
    assert.deepEqual([await history(), await has("notes_author")], [[0, 1, 2, 3], true]);
  },
);

/** Where SIGKILL strikes: while the statement runs, or when its transaction is about to be committed. */
const points = {
  "in the middle of a statement": "DROP INDEX notes_author; SELECT pg_advisory_xact_lock(17);",
  "just before the commit": `DROP INDEX notes_author;
    CREATE TABLE last (id int); CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock(17); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON last DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION wait(); INSERT INTO last VALUES (1);`,
};

for (const [point, undo] of Object.entries(points)) {
  testInPairs(
    `U8 SIGKILL during an undo, ${point}, leaves both the migration and its row or neither, and the next rollback converges`,
    async ({ artifact, pid1 }) => {
      const place = await makePlace(server, artifact, {
        ...undoable,
        "undo/3_index-authors.sql": undo,
      });
      const { ok, database, env, history, has } = place;
      await ok("migrate");
      const holder = await server.connect(database);
      await holder.query("SELECT pg_advisory_lock(17)");
      const running = await startHeadgate(artifact, ["rollback"], { pid1, env });
      await eventually("it waits there", async () => {
        const sql =
          "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'advisory' AND application_name LIKE 'headgate/%'";
        return (await server.psql("postgres", sql, [database])).length === 1;
      });
      running.signal("SIGKILL");
      assert.equal((await running.result).signal, "SIGKILL");
      await eventually("its session is gone", async () => (await count(database, "")) === 0);
      await holder.end();
      const [rows, index] = [await history(), await has("notes_author")];
      assert.equal(index, rows.includes(3), "the index is there as long as the row is");
      const { exitCode, stderr } = await runHeadgate(artifact, ["rollback", "--to", "2"], { env });
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual([await history(), await has("notes_author")], [[0, 1, 2], false]);
    },
  );
}
