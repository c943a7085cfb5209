import assert from "node:assert/strict";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts, requireOrSkip, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { hasPooler, noPooler, startPooler } from "../../helpers/pooler.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });

/** A PgBouncer with settings of its own, and a database behind it. */
async function prepare(
  t: { after: (end: () => Promise<void>) => void },
  settings: Record<string, string>,
  files: MigrationFiles,
) {
  const { port, stop } = await startPooler(server, { settings });
  t.after(stop);
  const database = await createDatabase(server);
  const login = { port, user: "api", password: "any" };
  const env = {
    DATABASE_URL: server.url(database, login),
    HEADGATE_MIGRATIONS: makeMigrations(files),
  };
  return { database, login, env };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L7 a pooler that ends idle transactions does not take the lock's for one: files that take longer are applied",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const limits = { idle_transaction_timeout: "1" };
      const files = { "1_slow.sql": "CREATE TABLE slow (); SELECT pg_sleep(3);" };
      const { env } = await prepare(t, limits, files);
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0, stderr);
    },
  );

  testOn(
    artifact,
    "L7 a pooler's query_timeout that ends a file is named, because each try would end there",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const limits = { query_timeout: "1" };
      const files = { "1_slow.sql": "CREATE TABLE slow (); SELECT pg_sleep(30);" };
      const { env } = await prepare(t, limits, files);
      const { exitCode, lines, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 69, stderr);
      assert.match(
        String(lines.at(-1)?.["fix"]),
        /^raise query_timeout of the pooler, or set HEADGATE_DATABASE_URL/,
      );
      // Before 14 the server goes on with the file, and notices nothing until its end.
      const state = server.major < 14 ? /^not known/ : /^the file was rolled back/;
      assert.match(String(lines.at(-1)?.["state"]), state);
    },
  );

  testOn(
    artifact,
    "L7 a pooler that is full is waited for, and named with its own words when it stays so",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const files = { "1_table.sql": "CREATE TABLE t ();" };
      const { database, login, env } = await prepare(t, { max_client_conn: "2" }, files);
      const guest = await server.connect(database, login);
      const args = ["migrate", "--connect-timeout", "500ms"];
      const refused = await runHeadgate(artifact, [...args, "--wait-timeout", "1s"], { env });
      assert.equal(refused.exitCode, 69, refused.stderr);
      assert.match(
        refused.lines.at(-1)?.msg ?? "",
        /no second connection \(no more connections allowed \(max_client_conn\)\)/,
      );
      assert.match(String(refused.lines.at(-1)?.["fix"]), /^raise max_client_conn of the pooler/);

      const running = await startHeadgate(artifact, args, { env });
      await running.waitForLog((line) => line["state"] === "pooler full");
      await guest.end();
      const { exitCode, stderr } = await running.result;
      assert.equal(exitCode, 0, stderr);
    },
  );

  testOn(
    artifact,
    "L7 when the session that holds the lock is ended, the message says by whom, and does not blame the file",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const files = { "1_slow.sql": "SELECT pg_advisory_xact_lock_shared(42);" };
      const { database, env } = await prepare(t, {}, files);
      const gate = await server.connect(database);
      const { rows } = await gate.query("SELECT pg_backend_pid() AS pid, pg_advisory_lock(42)");
      const running = await startHeadgate(artifact, ["migrate"], { env });
      const sessions = `FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND datname = '${database}'`;
      await eventually("the file waits", async () => {
        const waiting = await server.psql(database, `SELECT ${sessions} AND NOT granted`);
        return waiting.length === 1;
      });
      await eventually("the lock's session is ended", async () => {
        const held = `SELECT pid ${sessions} AND granted AND pid <> ${rows[0].pid}`;
        await server.psql(database, `SELECT pg_terminate_backend(pid) FROM (${held}) AS holder`);
        return (await server.psql(database, held)).length === 0;
      });
      await gate.end();
      const { exitCode, lines, stderr } = await running.result;
      assert.equal(exitCode, 75, stderr);
      assert.match(
        lines.at(-1)?.msg ?? "",
        /lock was lost .*: the server or an administrator ended the session that held it \(terminating connection due to administrator command\)/,
      );
      assert.doesNotMatch(stderr, /pg_advisory_unlock_all/);
    },
  );

  testOn(
    artifact,
    "Behind a pooler, too, a file may begin with SET TRANSACTION ISOLATION LEVEL",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const files = {
        "1_level.sql":
          "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nCREATE TABLE level AS SELECT current_setting('transaction_isolation') AS name;",
      };
      const { database, env } = await prepare(t, {}, files);
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0, stderr);
      const levels = await server.psql(database, "SELECT name FROM level");
      assert.deepEqual(levels, [{ name: "serializable" }]);
    },
  );
}
