import assert from "node:assert/strict";
import type pg from "pg";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import {
  artifacts,
  canUnshare,
  requireOrSkip,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const serving = ["--", "echo", "serving"];

/** The second file runs until the test lets it: the test's session has the lock that it asks for. */
const files = {
  "1_create-log.sql": "CREATE TABLE log (file int, pid int DEFAULT pg_backend_pid());",
  "2_held.sql": "INSERT INTO log VALUES (2); SELECT pg_advisory_xact_lock(42);",
  "3_add.sql": "INSERT INTO log VALUES (3);",
};

async function prepare(): Promise<{
  database: string;
  env: Record<string, string>;
  gate: pg.Client;
}> {
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: makeMigrations(files) };
  const gate = await server.connect(database);
  await gate.query("SELECT pg_advisory_lock(42)");
  return { database, env, gate };
}

/** The backend that runs the second file. @param except of an earlier replica */
function backendAtTheGate(database: string, except = 0): Promise<number> {
  return eventually("file 2 runs", async () => {
    const [found] = await server.psql<{ pid: number }>(
      database,
      `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted AND pid <> ${except}`,
    );
    return found?.pid;
  });
}

async function terminate(database: string, pid: number): Promise<void> {
  await server.psql(database, `SELECT pg_terminate_backend(${pid})`);
  await eventually("the backend is gone", async () => {
    const found = await server.psql(database, `SELECT FROM pg_stat_activity WHERE pid = ${pid}`);
    return found.length === 0;
  });
}

async function effects(database: string): Promise<{ log: unknown[]; history: unknown[] }> {
  const log = await server.psql(database, "SELECT file, pid FROM log ORDER BY file");
  const history = await server.psql<{ id: number }>(
    database,
    "SELECT id FROM migrations ORDER BY id",
  );
  return { log, history: history.map(({ id }) => id) };
}

for (const artifact of artifacts) {
  for (const pid1 of [false, true]) {
    const place = pid1 ? "as PID 1" : "as an ordinary process";

    testOn(
      artifact,
      `L6 a replica that loses its session in the middle of a file stops with 69, and the next one applies it, ${place}`,
      async (t) => {
        if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
        const { database, env, gate } = await prepare();
        const loser = await startHeadgate(artifact, serving, { env, pid1 });
        await terminate(database, await backendAtTheGate(database));
        const { exitCode, stdout, lines } = await loser.result;
        assert.equal(exitCode, 69);
        assert.equal(stdout, "", "its server was not started");
        const failure = lines.at(-1);
        assert.equal(failure?.["code"], "not_ready");
        assert.match(failure?.msg ?? "", /lost while \S+\/2_held\.sql was applied/);
        assert.deepEqual(await effects(database), { log: [], history: [0, 1] });

        await gate.end();
        const next = await runHeadgate(artifact, serving, { env, pid1 });
        assert.deepEqual([next.exitCode, next.stdout], [0, "serving\n"]);
        const { log, history } = await effects(database);
        assert.deepEqual([log.length, history], [2, [0, 1, 2, 3]]);
      },
    );

    testOn(
      artifact,
      `L6 a replica that was frozen while it lost its session writes nothing when it wakes, ${place}`,
      async (t) => {
        if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
        const { database, env, gate } = await prepare();
        const frozen = await startHeadgate(artifact, serving, { env, pid1 });
        const frozenBackend = await backendAtTheGate(database);
        frozen.signal("SIGSTOP");
        await terminate(database, frozenBackend);

        const next = await startHeadgate(artifact, serving, { env, pid1 });
        const nextBackend = await backendAtTheGate(database, frozenBackend);
        await gate.end();
        assert.equal((await next.result).exitCode, 0);
        frozen.signal("SIGCONT");
        const { exitCode, stdout, lines } = await frozen.result;
        assert.deepEqual([exitCode, stdout], [69, ""]);
        assert.deepEqual(
          lines.filter(({ msg }) => msg === "applied").map((line) => line["migration"]),
          ["1_create-log.sql"],
        );
        assert.deepEqual(await effects(database), {
          log: [
            { file: 2, pid: nextBackend },
            { file: 3, pid: nextBackend },
          ],
          history: [0, 1, 2, 3],
        });
      },
    );
  }

  testOn(
    artifact,
    "L6 a replica does not start before the statement of one that was killed is gone",
    async () => {
      const { database, env, gate } = await prepare();
      const killed = await startHeadgate(artifact, serving, { env });
      const backend = await backendAtTheGate(database);
      // Frozen, the backend cannot notice that its client is gone, as one that is busy in a loop.
      process.kill(backend, "SIGSTOP");
      killed.signal("SIGKILL");
      await killed.result;

      const next = await startHeadgate(artifact, serving, { env });
      const line = await next.waitForLog("waiting for the lock");
      assert.match(String(line["holder"]), new RegExp(`2_held \\(pid ${backend},`));
      process.kill(backend, "SIGCONT");
      await gate.end();
      assert.equal((await next.result).exitCode, 0);
      const { log, history } = await effects(database);
      assert.deepEqual([log.length, history], [2, [0, 1, 2, 3]]);
    },
  );

  testOn(
    artifact,
    "L6 a file that gives up every advisory lock is rolled back with 75, and not recorded",
    async () => {
      for (const giveUp of [
        "SELECT pg_advisory_unlock_all();",
        "SELECT pg_advisory_unlock_all(); SELECT 1",
      ]) {
        const database = await createDatabase(server);
        const migrations = makeMigrations({
          ...files,
          "2_held.sql": `INSERT INTO log VALUES (2); ${giveUp}`,
        });
        const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
        const { exitCode, stdout, lines } = await runHeadgate(artifact, serving, { env });
        assert.equal(exitCode, 75);
        assert.equal(stdout, "");
        const failure = lines.at(-1);
        assert.match(failure?.msg ?? "", /lock was lost while \S+\/2_held\.sql ran/);
        assert.match(String(failure?.["fix"]), /pg_advisory_unlock_all/);
        assert.match(String(failure?.["state"]), /rolled back/);
        assert.deepEqual(await effects(database), { log: [], history: [0, 1] });
      }
    },
  );

  testOn(
    artifact,
    "L6 a file without a transaction that discards the lock is not recorded either",
    async () => {
      const database = await createDatabase(server);
      const migrations = makeMigrations({
        "1_create-log.sql": files["1_create-log.sql"],
        "2_discard.sql": "-- headgate: no-transaction\nINSERT INTO log VALUES (2); DISCARD ALL;",
        "3_add.sql": files["3_add.sql"],
      });
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
      const { exitCode, lines } = await runHeadgate(artifact, serving, { env });
      assert.equal(exitCode, 75);
      assert.match(lines.at(-1)?.msg ?? "", /lock was lost while \S+\/2_discard\.sql ran/);
      const { log, history } = await effects(database);
      assert.deepEqual([log.length, history], [1, [0, 1]]);
    },
  );
}
