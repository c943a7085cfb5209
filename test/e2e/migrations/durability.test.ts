import assert from "node:assert/strict";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { addMigrations, makeMigrations } from "../../helpers/migrations.ts";
import { makeMigratorProject } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { undoable } from "../../helpers/undo.ts";
import { useServer } from "../../helpers/use-server.ts";

// What a commit does not wait for stays in memory for long, and a crash takes it back.
const server = await useServer({ own: true, settings: { wal_writer_delay: "10s" } });

/** A database whose commits wait for nothing. */
async function makeCareless(): Promise<string> {
  const database = await createDatabase(server);
  await server.psql("postgres", `ALTER DATABASE ${database} SET synchronous_commit = off`);
  return database;
}

/** Crashes the server, which loses all that it has not written down, and starts it again. */
async function crash(): Promise<void> {
  await server.stop("immediate");
  await server.start();
}

const ids = async (database: string): Promise<unknown[]> =>
  (await server.psql(database, "SELECT id FROM migrations ORDER BY id")).map(({ id }) => id);

const runs = async (database: string): Promise<unknown[]> =>
  (await server.psql(database, "SELECT outcome FROM headgate_runs ORDER BY id")).map(
    ({ outcome }) => outcome,
  );

/** Files by how they are committed last. */
const files = {
  "as the database has it": "CREATE TABLE two ();",
  "by a file that wants it so": "SET LOCAL synchronous_commit = off; CREATE TABLE two ();",
  "by a file that sets the session": "CREATE TABLE two (); SET synchronous_commit = off;",
  "by a file without a transaction":
    "-- headgate: no-transaction\nSET synchronous_commit = off;\nCREATE TABLE two (id int);\nCREATE INDEX CONCURRENTLY ON two (id);",
};

for (const artifact of artifacts) {
  for (const [how, sql] of Object.entries(files)) {
    testOn(
      artifact,
      `M12 where synchronous_commit is off, a crash does not take back what was committed ${how}`,
      async () => {
        const database = await makeCareless();
        const migrations = makeMigrations({
          "1_one.sql": "CREATE TABLE one ();",
          "2_two.sql": sql,
        });
        const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
        const { exitCode, stdout, stderr } = await runHeadgate(
          artifact,
          ["--", "echo", "serving"],
          { env },
        );
        await crash();
        assert.deepEqual([exitCode, stdout], [0, "serving\n"], stderr);
        assert.deepEqual(await ids(database), [0, 1, 2]);
        const [row] = await server.psql(database, "SELECT to_regclass('two') IS NOT NULL AS made");
        assert.equal(row?.["made"], true);
      },
    );
  }

  testOn(
    artifact,
    "M12 of synchronous_commit only off is raised; what is stronger than that stays",
    async () => {
      const raised: Record<string, string> = { off: "on" };
      for (const value of ["off", "local", "remote_write", "remote_apply"]) {
        const database = await createDatabase(server);
        await server.psql(
          "postgres",
          `ALTER DATABASE ${database} SET synchronous_commit = ${value}`,
        );
        const look = "CREATE TABLE seen AS SELECT current_setting('synchronous_commit') AS value";
        const migrations = makeMigrations({ "1_look.sql": look });
        const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
        const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
        assert.equal(exitCode, 0, stderr);
        const seen = await server.psql(database, "SELECT value FROM seen");
        assert.deepEqual(seen, [{ value: raised[value] ?? value }]);
      }
    },
  );

  testOn(
    artifact,
    "M12 where synchronous_commit is off, a crash takes back neither a stamp nor what is settled or undone",
    async () => {
      const database = await makeCareless();
      const folder = makeMigrations(undoable);
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
      const run = async (...args: string[]): Promise<void> => {
        const { exitCode, stderr } = await runHeadgate(artifact, args, { env });
        await crash();
        assert.equal(exitCode, 0, stderr);
      };
      await server.psql(database, "CREATE TABLE notes (id int PRIMARY KEY)");
      await run("stamp", "1", "--yes");
      assert.deepEqual(await ids(database), [0, 1]);
      await run("migrate");
      assert.deepEqual(await ids(database), [0, 1, 2, 3]);
      await run("rollback");
      assert.deepEqual(await ids(database), [0, 1, 2]);

      const step = "-- headgate: no-transaction\nALTER SYSTEM SET work_mem = '5MB';\nSELECT wrong;";
      addMigrations(folder, { "3_index-authors.sql": step });
      assert.equal((await runHeadgate(artifact, ["migrate"], { env })).exitCode, 1);
      await server.psql(
        database,
        "SET synchronous_commit = on; UPDATE migrations_steps SET state = 'started' WHERE step = 2",
      );
      await run("resolve", "3:2", "--done");
      const steps = await server.psql(database, "SELECT step, state FROM migrations_steps");
      assert.deepEqual(steps, [
        { step: 1, state: "done" },
        { step: 2, state: "done" },
      ]);
    },
  );

  testOn(
    artifact,
    "M12 a crash does not take back what a migrator committed without waiting, neither after its success nor after its failure",
    async () => {
      const database = await makeCareless();
      const project = makeMigratorProject();
      const env = { DATABASE_URL: server.url(database) };
      const migrate = async (): Promise<number | undefined> => {
        const args = ["migrate", ...project.args];
        const { exitCode } = await runHeadgate(artifact, args, { env });
        await crash();
        return exitCode;
      };
      const done = async (): Promise<number> =>
        (await server.psql(database, "SELECT FROM steps_done")).length;
      assert.equal(await migrate(), 0);
      assert.deepEqual([await done(), await runs(database)], [2, ["succeeded"]]);
      project.add({ "3.sql": "SELECT 1", "4.sql": "SELECT wrong" });
      assert.equal(await migrate(), 1);
      assert.deepEqual([await done(), await runs(database)], [3, ["succeeded", "failed"]]);
    },
  );

  testOn(
    artifact,
    "M12 what a migrator committed without waiting outlives a crash also where its run cannot be recorded, and before the hook that comes after it",
    async () => {
      const database = await makeCareless();
      const project = makeMigratorProject();
      const role = `${database}_role`;
      await server.psql(
        database,
        `CREATE ROLE ${role} LOGIN PASSWORD 'secret'; CREATE SCHEMA own AUTHORIZATION ${role};
        ALTER ROLE ${role} SET search_path = own; CREATE SCHEMA closed; GRANT USAGE ON SCHEMA closed TO ${role}`,
      );
      const env = { DATABASE_URL: server.url(database, { user: role, password: "secret" }) };
      const done = async (): Promise<number> =>
        (await server.psql(database, "SELECT FROM own.steps_done")).length;
      const args = ["migrate", ...project.args, "--history-table", "closed.runs"];
      const result = await runHeadgate(artifact, args, { env });
      await crash();
      assert.equal(result.exitCode, 0, result.stderr);
      assert.match(result.stderr, /cannot record the run/);
      assert.equal(await done(), 2);

      // The hook is the crash.
      project.add({ "3.sql": "SELECT 1" });
      const after = ["--after", `sh -c "kill -QUIT ${server.pid}"`];
      const { exitCode } = await runHeadgate(artifact, [...args, ...after], { env });
      assert.notEqual(exitCode, 0);
      await crash();
      assert.equal(await done(), 3);
    },
  );
}
