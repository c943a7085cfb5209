import assert from "node:assert/strict";
import { after, before } from "node:test";
import { useServer } from "../../helpers/use-server.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { eventually } from "../../helpers/eventually.ts";
import { artifacts, requireOrSkip, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import {
  addMigrations,
  happy,
  type MigrationFiles,
  makeMigrations,
} from "../../helpers/migrations.ts";
import { makeMigratorProject, steps } from "../../helpers/plain-migrator.ts";
import { hasPooler, noPooler, type Pooler, startPooler } from "../../helpers/pooler.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { undoable, undoneBy } from "../../helpers/undo.ts";

const serving = ["--", "sh", "-c", "echo serving from $DATABASE_URL"];

const server = await useServer({ own: true });
let pooler: Pooler | undefined;
before(async () => {
  if (hasPooler) pooler = await startPooler(server);
});
after(async () => {
  await pooler?.stop();
});

const pooled = (database: string): string =>
  server.url(database, { port: pooler?.port ?? 0, user: "api", password: "any-password" });

async function assertNothingLocked(database: string): Promise<void> {
  await eventually("no lock is left on the server", async () => {
    const sql = `SELECT FROM pg_locks WHERE locktype = 'advisory'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    return (await server.psql(database, sql)).length === 0;
  });
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L7 10 replicas migrate through PgBouncer in transaction mode: each file is applied once, all serve, nothing is left locked",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      await server.psql(database, "CREATE TABLE effects (file int)");
      // Not one of them could run twice, nor two of them at once.
      const files = Array.from({ length: 10 }, (_, index) => [
        `${index + 1}_file-${index + 1}.sql`,
        `CREATE TABLE t${index + 1} (); INSERT INTO effects VALUES (${index + 1}); SET search_path TO nowhere; SELECT pg_sleep(0.02);`,
      ]);
      const env = {
        DATABASE_URL: pooled(database),
        HEADGATE_MIGRATIONS: makeMigrations(Object.fromEntries(files) as MigrationFiles),
      };
      const replicas = await Promise.all(
        Array.from({ length: 10 }, () => runHeadgate(artifact, serving, { env })),
      );
      for (const { exitCode, stdout, stderr } of replicas) {
        assert.equal(exitCode, 0, stderr);
        assert.match(stdout, /^serving/);
      }
      const applied = replicas.flatMap(({ lines }) => lines.filter(({ msg }) => msg === "applied"));
      assert.equal(applied.length, files.length, "each file is applied by one replica");
      const effects = await server.psql(database, "SELECT file FROM effects ORDER BY file");
      assert.deepEqual(
        effects,
        files.map((_, index) => ({ file: index + 1 })),
      );
      await assertNothingLocked(database);
      const leaked = await server.connect(database, {
        port: pooler?.port ?? 0,
        user: "api",
        password: "any",
      });
      const { rows } = await leaked.query("SHOW search_path");
      assert.deepEqual(rows, [{ search_path: '"$user", public' }]);
      await leaked.end();
    },
  );

  testOn(
    artifact,
    "L7 a repair through PgBouncer takes the lock, and waits for one that has it",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      const folder = makeMigrations(happy);
      const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: folder };
      const run = (...args: string[]) => runHeadgate(artifact, args, { env });
      assert.equal((await run("migrate")).exitCode, 0);
      addMigrations(folder, { "3_index-account-names.sql": "-- (c)\nSELECT 1;" });
      const args = ["repair", "3", "--accept", "--reason", "a header", "--yes"];
      const holder = await server.connect(database);
      await holder.query("SELECT pg_advisory_lock(-8525285245963000605)");
      const late = await run(...args, "--lock-wait", "200ms");
      assert.equal(late.exitCode, 75, late.stderr);
      await holder.end();
      const { exitCode, stderr } = await run(...args);
      assert.equal(exitCode, 0, stderr);
      assert.equal((await run("verify")).exitCode, 0);
      const forgotten = await run("repair", "3", "--forget", "--reason", "x", "--yes");
      assert.equal(forgotten.exitCode, 0, forgotten.stderr);
      const kept = "SELECT event, reason FROM migrations_journal WHERE reason <> '' ORDER BY at";
      assert.deepEqual(await server.psql(database, kept), [
        { event: "accepted", reason: "a header" },
        { event: "forgotten", reason: "x" },
      ]);
      await assertNothingLocked(database);
    },
  );

  testOn(
    artifact,
    "L7 5 replicas run a migrator through PgBouncer: one runs it, without settings that the pooler would refuse",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      const project = makeMigratorProject({ ...steps, "3.sql": "SELECT pg_sleep(0.3)" });
      const env = { DATABASE_URL: pooled(database) };
      const args = [...project.args, ...serving];
      const replicas = await Promise.all(
        Array.from({ length: 5 }, () => runHeadgate(artifact, args, { env })),
      );
      for (const { exitCode, stdout, stderr } of replicas) {
        assert.equal(exitCode, 0, stderr);
        assert.match(stdout, /^serving/);
      }
      const log = await server.psql(database, "SELECT name FROM log ORDER BY began");
      assert.deepEqual(log, [{ name: "1.sql" }, { name: "2.sql" }, { name: "3.sql" }]);
      await assertNothingLocked(database);
    },
  );

  testOn(
    artifact,
    "L7 when the connection that holds the lock is lost, no file is recorded any more",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      const migrations = makeMigrations({
        "1_slow.sql": "CREATE TABLE slow (); SELECT pg_advisory_xact_lock_shared(42);",
        "2_next.sql": "CREATE TABLE next ();",
      });
      const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: migrations };
      const gate = await server.connect(database);
      await gate.query("SELECT pg_advisory_lock(42)");
      const running = await startHeadgate(artifact, ["migrate"], { env });
      const held =
        "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND datname = current_database() AND state = 'idle in transaction'";
      await eventually("the first file waits", async () => {
        const waiting = await server.psql(
          database,
          "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()",
        );
        return waiting.length === 1 && (await server.psql(database, held)).length > 0;
      });
      await server.psql(database, `SELECT pg_terminate_backend(pid) FROM (${held}) AS holder`);
      // Another replica may have the lock now; it must not meet what the first one does.
      const second = await startHeadgate(artifact, ["migrate"], { env });
      await second.waitForLog("locked");
      await gate.end();
      const [first, other] = await Promise.all([running.result, second.result]);
      const codes = [first.exitCode, other.exitCode];
      assert.ok(
        codes.every((code) => [0, 69, 75].includes(code ?? -1)),
        `${first.stderr}${other.stderr}`,
      );
      assert.equal((await runHeadgate(artifact, ["migrate"], { env })).exitCode, 0);
      const rows = await server.psql(database, "SELECT id FROM migrations ORDER BY id");
      assert.deepEqual(rows, [{ id: 0 }, { id: 1 }, { id: 2 }]);
      assert.notEqual(first.exitCode, 0);
      await assertNothingLocked(database);
    },
  );

  testOn(
    artifact,
    "U9 10 rollbacks through PgBouncer: each migration is undone once, nothing is left locked",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: makeMigrations(undoable) };
      assert.equal((await runHeadgate(artifact, ["migrate"], { env })).exitCode, 0);
      const all = await Promise.all(
        Array.from({ length: 10 }, () => runHeadgate(artifact, ["rollback", "--to", "0"], { env })),
      );
      for (const { exitCode, stderr } of all) assert.equal(exitCode, 0, stderr);
      const undone = all.flatMap(undoneBy);
      assert.deepEqual(undone, ["3_index-authors.sql", "2_add-author.sql", "1_create-notes.sql"]);
      const rows = await server.psql(database, "SELECT id FROM migrations");
      assert.deepEqual(rows, [{ id: 0 }]);
      await assertNothingLocked(database);
    },
  );

  testOn(
    artifact,
    "U9 through PgBouncer an undo is not committed when the connection that holds the lock is lost, and one without a transaction is refused",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      const folder = makeMigrations({
        ...undoable,
        "undo/3_index-authors.sql": "DROP INDEX notes_author; SELECT pg_advisory_xact_lock(42);",
      });
      const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: folder };
      assert.equal((await runHeadgate(artifact, ["migrate"], { env })).exitCode, 0);
      const gate = await server.connect(database);
      await gate.query("SELECT pg_advisory_lock(42)");
      const running = await startHeadgate(artifact, ["rollback"], { env });
      const sessions = `FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'
      AND datname = current_database()`;
      await eventually("the undo waits", async () => {
        const waiting = await server.psql(database, `SELECT ${sessions} AND NOT granted`);
        return waiting.length === 1;
      });
      const holder = `SELECT pid ${sessions} AND state = 'idle in transaction'`;
      await server.psql(database, `SELECT pg_terminate_backend(pid) FROM (${holder}) AS holder`);
      await eventually(
        "the lock is lost",
        async () => (await server.psql(database, holder)).length === 0,
      );
      await gate.end();
      const { exitCode, stderr } = await running.result;
      assert.equal(exitCode, 75, stderr);
      const rows = await server.psql(database, "SELECT id FROM migrations ORDER BY id");
      assert.deepEqual(rows, [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 3 }]);

      addMigrations(folder, {
        "undo/3_index-authors.sql":
          "-- headgate: no-transaction\nDROP INDEX CONCURRENTLY notes_author;",
      });
      const refused = await runHeadgate(artifact, ["rollback"], { env });
      assert.equal(refused.exitCode, 64, refused.stderr);
      assert.match(refused.stderr, /undo\/3_index-authors\.sql: runs without a transaction/);
      await assertNothingLocked(database);
    },
  );

  testOn(
    artifact,
    "L7 a pool that gives no second connection is not ready, in so many words",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      await server.psql("postgres", "CREATE DATABASE single");
      const env = { DATABASE_URL: pooled("single"), HEADGATE_MIGRATIONS: makeMigrations() };
      const args = ["migrate", "--connect-timeout", "500ms"];
      const { exitCode, lines } = await runHeadgate(artifact, args, { env });
      assert.equal(exitCode, 69);
      assert.match(lines.at(-1)?.msg ?? "", /the pooler gave no second connection/);
      await assertNothingLocked("single");
      await server.psql("postgres", "DROP DATABASE single WITH (FORCE)");
    },
  );

  testOn(
    artifact,
    "L7 a file that needs a session of its own is refused behind a pooler with 64 and the remedy",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      const migrations = makeMigrations({
        "1_table.sql": "CREATE TABLE t (id int);",
        "2_index.sql": "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY t_id ON t (id);",
        "3_temporary.sql": "SELECT 1;\nCREATE TEMP TABLE x (id int);",
      });
      const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: migrations };
      const { exitCode, stdout, lines } = await runHeadgate(artifact, serving, { env });
      assert.equal(exitCode, 64);
      assert.equal(stdout, "");
      assert.match(lines.at(-1)?.msg ?? "", /through a pooler/);
      assert.match(
        String(lines.at(-1)?.["problems"]),
        /2_index\.sql: runs without a transaction.*3_temporary\.sql:2: CREATE TEMP TABLE/s,
      );
      assert.match(String(lines.at(-1)?.["fix"]), /HEADGATE_DATABASE_URL/);
      const left = await server.psql(
        database,
        "SELECT FROM pg_class WHERE relname IN ('migrations', 't')",
      );
      assert.equal(left.length, 0, "nothing was begun");
      await assertNothingLocked(database);

      // The remedy: the server's own address for headgate, the pooled one for the API.
      const remedied = await runHeadgate(
        artifact,
        [...["--unset-env", "HEADGATE_DATABASE_URL"], ...serving],
        { env: { ...env, HEADGATE_DATABASE_URL: server.url(database) } },
      );
      assert.equal(remedied.exitCode, 0, remedied.stderr);
      assert.equal(remedied.stdout, `serving from ${env.DATABASE_URL}\n`);
    },
  );

  testOn(
    artifact,
    "L7 with nothing pending replicas boot, verify and status work through PgBouncer",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      const migrations = makeMigrations();
      const direct = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
      assert.equal((await runHeadgate(artifact, ["migrate"], { env: direct })).exitCode, 0);

      const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: migrations };
      const replicas = await Promise.all(
        Array.from({ length: 20 }, () => runHeadgate(artifact, serving, { env })),
      );
      for (const { exitCode, stdout, stderr } of replicas) {
        assert.equal(exitCode, 0, stderr);
        assert.match(stdout, /^serving/);
      }
      assert.equal((await runHeadgate(artifact, ["verify"], { env })).exitCode, 0);
      const status = await runHeadgate(artifact, ["status", "--json", "--exit-code"], { env });
      assert.equal(status.exitCode, 0, status.stderr);
      const { applied } = JSON.parse(status.stdout) as { applied: number };
      assert.equal(applied, Object.keys(happy).length);
    },
  );

  testOn(
    artifact,
    "M12 through PgBouncer, too, commits are on the disk when a command ends, where synchronous_commit is off",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      // What a commit does not wait for stays in memory for long.
      await server.psql("postgres", "ALTER SYSTEM SET wal_writer_delay = '10s'");
      await server.psql("postgres", "SELECT pg_reload_conf()");
      /** The first command that ended before its commits were on the disk; undefined when none did. */
      const findLaggard = async (): Promise<string | undefined> => {
        const database = await createDatabase(server);
        await server.psql("postgres", `ALTER DATABASE ${database} SET synchronous_commit = off`);
        await server.psql(database, "CREATE TABLE notes (id int PRIMARY KEY)");
        const folder = makeMigrations(undoable);
        const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: folder };
        const project = makeMigratorProject();
        for (const args of [
          ["stamp", "1", "--yes"],
          ["migrate"],
          ["rollback"],
          ["migrate", "--after", "true"],
          ["migrate", ...project.args],
        ]) {
          const own = args.includes("--migrator") ? { DATABASE_URL: pooled(database) } : env;
          const { exitCode, stderr } = await runHeadgate(artifact, args, { env: own });
          assert.equal(exitCode, 0, stderr);
          const [row] = await server.psql(
            database,
            "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn() AS durable",
          );
          if (row?.["durable"] !== true) return args.join(" ");
        }
        return undefined;
      };
      // The server writes into the log, too, every few seconds; that it does so each time is no accident.
      const laggards = [await findLaggard()];
      while (laggards.at(-1) !== undefined && laggards.length < 4)
        laggards.push(await findLaggard());
      assert.equal(laggards.at(-1), undefined, laggards.join(", "));
      await server.psql("postgres", "ALTER SYSTEM RESET wal_writer_delay");
    },
  );

  testOn(
    artifact,
    "W7 through PgBouncer, which takes no settings, a schema that the URL names is kept to or refused",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const database = await createDatabase(server);
      await server.psql(database, "CREATE SCHEMA elsewhere");
      const HEADGATE_MIGRATIONS = makeMigrations();
      const run = (schema: string): ReturnType<typeof runHeadgate> => {
        const DATABASE_URL = `${pooled(database)}?pgbouncer=true&schema=${schema}`;
        const env = { DATABASE_URL, HEADGATE_MIGRATIONS };
        // Both schemas are to have the same files.
        return runHeadgate(artifact, ["migrate", "--new-history"], { env });
      };
      const schemas = (): Promise<unknown[]> =>
        server.psql(
          database,
          "SELECT relnamespace::regnamespace::text AS schema FROM pg_class WHERE relname = 'accounts'",
        );
      const refused = await run("elsewhere");
      assert.equal(refused.exitCode, 64, refused.stderr);
      assert.match(refused.stderr, /elsewhere.*is lost on the way to the server/);
      assert.deepEqual(await schemas(), []);

      const { exitCode, stderr } = await run("public");
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual(await schemas(), [{ schema: "public" }]);

      // As the message says.
      await server.psql("postgres", `ALTER DATABASE ${database} SET search_path = elsewhere`);
      await server.psql(
        "postgres",
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`,
      );
      const moved = await run("elsewhere");
      assert.equal(moved.exitCode, 0, moved.stderr);
      assert.equal((await schemas()).length, 2);
    },
  );
}
