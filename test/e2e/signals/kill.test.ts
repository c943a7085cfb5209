import assert from "node:assert/strict";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { lockKeys } from "../../../src/lock/key.ts";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { eventually } from "../../helpers/eventually.ts";
import { testEverywhere } from "../../helpers/everywhere.ts";
import { runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { happy, makeMigrations } from "../../helpers/migrations.ts";
import { defaultMajor } from "../../helpers/postgres-binaries.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { startProxy } from "../../helpers/proxy.ts";

const server = await useServer({ own: true });

const slow = makeMigrations({ "1_slow.sql": "SELECT pg_sleep(60);" });

/** The session that runs the text, once it does. */
const whoRuns = (database: string, text: string) =>
  eventually(`a session runs ${text}`, async () => {
    const [session] = await server.psql<{ pid: number }>(
      "postgres",
      `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND state = 'active'
        AND application_name LIKE 'headgate/%' AND strpos(query, $2) > 0`,
      [database, text],
    );
    return session?.pid;
  });

testEverywhere(
  "S5 a second TERM ends headgate at once, though the server does not confirm that it cancelled",
  async ({ artifact, pid1 }, t) => {
    const database = await createDatabase(server);
    const proxy = await startProxy(server.port);
    t.after(() => proxy.stop());
    const env = { DATABASE_URL: server.url(database, { port: proxy.port }) };
    const running = await startHeadgate(artifact, ["migrate", "--migrations", slow], { pid1, env });
    const backend = await whoRuns(database, "pg_sleep(60)");
    process.kill(backend, "SIGSTOP");
    try {
      assert.equal(proxy.connections, 1);
      running.signal("SIGTERM");
      await eventually("it asks the server to cancel", () => proxy.connections === 2);
      const started = performance.now();
      running.signal("SIGTERM");
      const { exitCode } = await running.result;
      const took = performance.now() - started;
      assert.equal(exitCode, 143);
      // By itself it would have waited 1.5 s for the confirmation.
      assert.ok(took < 1000, `${Math.round(took)} ms`);
    } finally {
      process.kill(backend, "SIGCONT");
    }
  },
);

testEverywhere(
  "S1 TERM ends headgate in under 3 s, though the server does not confirm that it cancelled",
  async ({ artifact, pid1 }) => {
    const database = await createDatabase(server);
    const env = { DATABASE_URL: server.url(database) };
    const running = await startHeadgate(artifact, ["migrate", "--migrations", slow], { pid1, env });
    const backend = await whoRuns(database, "pg_sleep(60)");
    process.kill(backend, "SIGSTOP");
    try {
      const started = performance.now();
      running.signal("SIGTERM");
      const { exitCode } = await running.result;
      assert.equal(exitCode, 143);
      assert.ok(performance.now() - started < 3000);
    } finally {
      process.kill(backend, "SIGCONT");
    }
  },
);

// Before version 14 the server has no client_connection_check_interval, and looks at its client only when it speaks.
if (defaultMajor() >= 14) {
  testEverywhere(
    "S5 SIGKILL of headgate stops its statement and frees its lock within 2 s",
    async ({ artifact, pid1 }) => {
      const database = await createDatabase(server);
      const env = { DATABASE_URL: server.url(database) };
      const running = await startHeadgate(artifact, ["migrate", "--migrations", slow], {
        pid1,
        env,
      });
      const backend = await whoRuns(database, "pg_sleep(60)");
      const other = await server.connect(database);
      const { key } = lockKeys("public", "migrations").own;
      const tryLock = `SELECT pg_try_advisory_lock(${key}) AS free`;
      assert.deepEqual((await other.query(tryLock)).rows, [{ free: false }]);
      running.signal("SIGKILL");
      await eventually(
        "the lock is free and the session gone",
        async () => {
          const alive = `SELECT FROM pg_stat_activity WHERE pid = ${backend}`;
          if ((await other.query(alive)).rowCount !== 0) return false;
          return (await other.query(tryLock)).rows[0].free === true;
        },
        2000,
      );
      await other.end();
      assert.equal((await running.result).signal, "SIGKILL");
    },
  );
}

testEverywhere(
  "S5 the server is told to notice a vanished host within 25 s",
  async ({ artifact, pid1 }) => {
    const database = await createDatabase(server);
    const names = ["idle", "interval", "count"].map((name) => `tcp_keepalives_${name}`);
    const ask = names.map((name) => `current_setting('${name}')::int AS ${name}`).join(", ");
    const migrations = makeMigrations({ "1_settings.sql": `CREATE TABLE seen AS SELECT ${ask}` });
    const env = { DATABASE_URL: server.url(database) };
    const result = await runHeadgate(artifact, ["migrate", "--migrations", migrations], {
      pid1,
      env,
    });
    assert.equal(result.exitCode, 0);
    const [row] = await server.psql<Record<string, number>>(database, "SELECT * FROM seen");
    const [idle = 0, interval = 0, count = 0] = names.map((name) => row?.[name]);
    assert.ok(idle > 0 && interval > 0 && count > 0);
    assert.ok(idle + interval * count <= 25);
  },
);

/** A named pipe for the log, whose reader can leave. */
async function makeLogPipe() {
  const path = join(temporaryFolder("headgate-log-"), "pipe");
  await execa("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(65_536);
  return {
    wrap: ["sh", "-c", 'p=$1; shift; exec "$@" 2>"$p"', "sh", path],
    /** Whether something has come. */
    hasCome: () => readSync(reader, buffer) > 0,
    leave: () => closeSync(reader),
  };
}

const loud = `DO $$ BEGIN FOR i IN 1..2000 LOOP RAISE WARNING 'line %', i; END LOOP; END $$;`;

testEverywhere(
  "S6 a log whose reader leaves during a migration neither kills nor hangs it",
  async ({ artifact, pid1 }) => {
    const database = await createDatabase(server);
    const holder = await server.connect(database);
    await holder.query("SELECT pg_advisory_lock(17)");
    const waits = "SELECT pg_advisory_xact_lock(17);";
    const migrations = makeMigrations({ ...happy, "4_wait.sql": waits + loud });
    const { wrap, hasCome, leave } = await makeLogPipe();
    const running = await startHeadgate(
      artifact,
      ["--migrations", migrations, "--", "echo", "served"],
      { pid1, wrap, env: { DATABASE_URL: server.url(database) } },
    );
    await whoRuns(database, waits);
    assert.ok(hasCome());
    leave();
    await holder.end();
    const { exitCode, stdout } = await running.result;
    assert.deepEqual([exitCode, stdout], [0, "served\n"]);
    assert.equal((await server.psql(database, "SELECT FROM migrations")).length, 5);
  },
);

testEverywhere(
  "S6 a log without a reader from the start, or no stderr at all, neither kills nor hangs a migration",
  async ({ artifact, pid1 }) => {
    const migrations = makeMigrations({ ...happy, "4_loud.sql": loud });
    const path = join(temporaryFolder("headgate-log-"), "pipe");
    await execa("mkfifo", [path]);
    const wraps = {
      "a pipe without a reader": 'exec 3<>"$0" 2>"$0" 3>&-; exec "$@"',
      "no stderr": 'exec "$@" 2>&-',
    };
    for (const [what, script] of Object.entries(wraps)) {
      const database = await createDatabase(server);
      const { exitCode, stdout } = await runHeadgate(
        artifact,
        ["--migrations", migrations, "--", "echo", "served"],
        { pid1, wrap: ["sh", "-c", script, path], env: { DATABASE_URL: server.url(database) } },
      );
      assert.deepEqual([exitCode, stdout], [0, "served\n"], what);
      assert.equal((await server.psql(database, "SELECT FROM migrations")).length, 5);
    }
  },
);
