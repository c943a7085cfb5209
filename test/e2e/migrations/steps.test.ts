import assert from "node:assert/strict";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type Artifact, artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { addMigrations, type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const noTransaction = "-- headgate: no-transaction\n";

/** A database, a folder, and how to run headgate on them. */
async function prepare(artifact: Artifact, files: MigrationFiles) {
  const database = await createDatabase(server);
  const folder = makeMigrations(files);
  const options = { env: { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder } };
  const query = async (sql: string): Promise<unknown[]> =>
    (await server.psql(database, sql)).flatMap((row) => Object.values(row));
  return {
    database,
    query,
    replace: (more: MigrationFiles) => addMigrations(folder, more),
    run: (...args: string[]) => runHeadgate(artifact, args, options),
    start: (...args: string[]) => startHeadgate(artifact, args, options),
    history: () => query("SELECT id FROM migrations WHERE id > 0 ORDER BY id"),
    steps: () => query("SELECT step || ' ' || state FROM migrations_steps ORDER BY step"),
  };
}

const log = "CREATE TABLE log (id int);";

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M3 the table of steps is made only for a file without a transaction, and is empty when that is done",
    async () => {
      const { run, replace, query, history, steps } = await prepare(artifact, { "1_log.sql": log });
      const named = "SELECT to_regclass('migrations_steps') IS NULL";
      assert.equal((await run("migrate")).exitCode, 0);
      assert.deepEqual(await query(named), [true]);
      replace({
        "2_steps.sql": `${noTransaction}INSERT INTO log VALUES (1); VACUUM log; ANALYZE log`,
      });
      const { exitCode, lines } = await run("migrate");
      assert.equal(exitCode, 0);
      assert.equal(lines.filter(({ msg }) => msg === "did a step").length, 3);
      assert.deepEqual(await steps(), []);
      assert.deepEqual(await history(), [1, 2]);
    },
  );

  testOn(
    artifact,
    "M3 after an SQL error the next run goes on with the statement that failed",
    async () => {
      const file = (third: string): string =>
        `${noTransaction}INSERT INTO log VALUES (1);\nCREATE INDEX CONCURRENTLY log_id ON log (id);\n${third};\nINSERT INTO log VALUES (4);`;
      const { run, replace, query, history, steps } = await prepare(artifact, {
        "1_log.sql": log,
        "2_steps.sql": file("INSERT INTO lgo VALUES (3)"),
      });
      const failed = await run("migrate");
      assert.equal(failed.exitCode, 1);
      assert.match(
        failed.lines.at(-1)?.msg ?? "",
        /2_steps\.sql:4:13: relation "lgo" does not exist/,
      );
      assert.match(String(failed.lines.at(-1)?.["state"]), /2 of 4 steps of the file are done/);
      assert.deepEqual(await steps(), ["1 done", "2 done", "3 failed"]);

      const again = await run("migrate");
      assert.equal(again.exitCode, 1);
      assert.deepEqual(await query("SELECT id FROM log"), [1]);

      // The tail may be changed.
      replace({ "2_steps.sql": file("INSERT INTO log VALUES (3)") });
      const { exitCode, lines } = await run("migrate");
      assert.equal(exitCode, 0);
      assert.deepEqual(
        lines.filter(({ msg }) => msg === "did a step").map(({ step }) => step),
        [3, 4],
      );
      assert.deepEqual(await query("SELECT id FROM log ORDER BY id"), [1, 3, 4]);
      assert.deepEqual(await history(), [1, 2]);
    },
  );

  testOn(
    artifact,
    "M3 a finished step that was edited or removed is refused, whatever its line ends",
    async () => {
      const file = (first: string): string => `${noTransaction}${first};\nSELECT wrong;`;
      const { run, replace, query } = await prepare(artifact, {
        "1_log.sql": log,
        "2_steps.sql": file("INSERT INTO log\nVALUES (1)"),
      });
      assert.equal((await run("migrate")).exitCode, 1);
      for (const edited of [file("INSERT INTO log VALUES (2)"), noTransaction]) {
        replace({ "2_steps.sql": edited });
        const { exitCode, lines } = await run("migrate");
        assert.equal(exitCode, 65, edited);
        assert.match(
          lines.at(-1)?.msg ?? "",
          /step 1 of 2_steps\.sql is done, and was edited or removed since; it was: INSERT INTO log VALUES \(1\)/,
        );
      }
      replace({ "2_steps.sql": file("INSERT INTO log\r\nVALUES (1)").replace("wrong", "2") });
      assert.equal((await run("migrate")).exitCode, 0);
      assert.deepEqual(await query("SELECT id FROM log"), [1]);
    },
  );

  testOn(
    artifact,
    "M3 what a finished SET has set holds for the steps that a later run does",
    async () => {
      const { run, query } = await prepare(artifact, {
        "1_schema.sql":
          "CREATE SCHEMA app; CREATE TABLE app.log (id int); CREATE ROLE maker; GRANT ALL ON SCHEMA app TO maker;",
        "2_steps.sql": `${noTransaction}SET search_path TO app; SELECT set_config('work_mem', '5MB', false);
        SET ROLE maker; SET ROLE none; SELECT 1 / (SELECT count(*) FROM log); VACUUM log; CREATE TABLE made AS SELECT current_setting('work_mem') AS m`,
      });
      assert.equal((await run("migrate")).exitCode, 1);
      await query("INSERT INTO app.log VALUES (1)");
      const { exitCode, stderr } = await run("migrate");
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual(await query("SELECT m FROM app.made"), ["5MB"]);
      await query("DROP SCHEMA app CASCADE; DROP ROLE maker");
    },
  );

  testOn(
    artifact,
    "M3 a step of which nobody knows whether it took effect stops with 65 and the command that settles it",
    async () => {
      const slow = "DO $$ BEGIN INSERT INTO log VALUES (1); COMMIT; PERFORM pg_sleep(60); END $$";
      const { run, start, replace, query, history } = await prepare(artifact, {
        "1_log.sql": log,
        "2_steps.sql": `${noTransaction}${slow};\nINSERT INTO log VALUES (2)`,
      });
      const killed = await start("migrate");
      await eventually("the step runs", async () => {
        const [count] = (await query(
          "SELECT count(*)::int FROM pg_class WHERE relname = 'log'",
        )) as number[];
        return count === 1 && (await query("SELECT id FROM log")).length === 1;
      });
      killed.signal("SIGKILL");
      await killed.result;
      // PostgreSQL 13 does not notice that its client is gone.
      await query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'headgate/%'",
      );

      const stopped = await run("migrate");
      assert.equal(stopped.exitCode, 65, stopped.stderr);
      assert.match(stopped.lines.at(-1)?.msg ?? "", /2_steps\.sql:2: step 1 is in doubt/);
      assert.match(
        String(stopped.lines.at(-1)?.["fix"]),
        /headgate resolve 2:1 --done.*headgate resolve 2:1 --redo/,
      );
      const { stdout, exitCode } = await run("status", "--json", "--exit-code");
      assert.equal(exitCode, 3);
      const { inDoubt, migrations } = JSON.parse(stdout) as {
        inDoubt: number;
        migrations: object[];
      };
      assert.equal(inDoubt, 1);
      assert.deepEqual(migrations[1], {
        id: 2,
        name: "steps",
        state: "in doubt",
        executedAt: null,
        ms: null,
        by: null,
        steps: { done: 0, of: 2 },
      });

      // Not this one, and not without saying how.
      assert.equal((await run("resolve", "2:2", "--done")).exitCode, 65);
      for (const args of [["2:1"], ["2:1", "--done", "--redo"], ["two", "--done"], ["--done"]]) {
        assert.equal((await run("resolve", ...args)).exitCode, 64, args.join(" "));
      }
      replace({
        "2_steps.sql": `${noTransaction}${slow.replace("60", "0")};\nINSERT INTO log VALUES (2)`,
      });
      const edited = await run("migrate");
      assert.equal(edited.exitCode, 65);
      assert.equal((await run("resolve", "2:1", "--redo")).exitCode, 0);
      assert.equal((await run("migrate")).exitCode, 0);
      assert.deepEqual(await query("SELECT id FROM log ORDER BY id"), [1, 1, 2]);
      assert.deepEqual(await history(), [1, 2]);
    },
  );

  testOn(artifact, "M3 resolve --done goes on behind the step", async () => {
    const { run, query } = await prepare(artifact, {
      "1_log.sql": log,
      "2_steps.sql": `${noTransaction}DO $$ BEGIN RAISE 'not yet'; END $$; INSERT INTO log VALUES (2)`,
    });
    assert.equal((await run("migrate")).exitCode, 1);
    await query("UPDATE migrations_steps SET state = 'started'");
    assert.equal((await run("migrate")).exitCode, 65);
    assert.equal((await run("resolve", "2:1", "--done")).exitCode, 0);
    assert.equal((await run("migrate")).exitCode, 0);
    assert.deepEqual(await query("SELECT id FROM log"), [2]);
  });

  testOn(artifact, "M3 a step that SIGTERM has cancelled is not in doubt", async () => {
    const { run, start, replace, query, steps } = await prepare(artifact, {
      "1_log.sql": log,
      "2_steps.sql": `${noTransaction}INSERT INTO log VALUES (1); DO $$ BEGIN PERFORM pg_sleep(60); END $$;`,
    });
    const running = await start("migrate");
    await eventually("the step runs", async () => {
      const sql =
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DO %' AND state = 'active'";
      return (
        (await server.psql(await query("SELECT current_database()").then(String), sql)).length > 0
      );
    });
    const [state] = await query("SELECT state FROM migrations_steps WHERE step = 2");
    assert.equal(state, "started");
    running.signal("SIGTERM");
    assert.equal((await running.result).exitCode, 143);
    assert.deepEqual(await steps(), ["1 done", "2 failed"]);
    replace({
      "2_steps.sql": `${noTransaction}INSERT INTO log VALUES (1); DO $$ BEGIN PERFORM pg_sleep(0); END $$;`,
    });
    assert.equal((await run("migrate")).exitCode, 0);
    assert.deepEqual(await query("SELECT id FROM log"), [1]);
  });
}
