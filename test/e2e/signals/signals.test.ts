import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext } from "node:test";
import { execa } from "execa";
import { lockKeys } from "../../../src/lock/key.ts";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { eventually } from "../../helpers/eventually.ts";
import { type Place, testEverywhere } from "../../helpers/everywhere.ts";
import {
  type HeadgateResult,
  type RunningHeadgate,
  requireOrSkip,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { happy, makeMigrations } from "../../helpers/migrations.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { startProxy } from "../../helpers/proxy.ts";

const server = await useServer();

const gate = ["--migrations", makeMigrations()];
const signals = { SIGTERM: 143, SIGINT: 130, SIGHUP: 129, SIGQUIT: 131 } as const;

/** Starts headgate and returns when it is in the phase. */
type Enter = (place: Place) => Promise<RunningHeadgate>;

/** Registers the test of one phase, in which each of the four signals has to end headgate. */
function testSignals(phase: string, prepare: (t: TestContext) => Promise<Enter | undefined>): void {
  testEverywhere(
    `S1 TERM, INT, HUP and QUIT end headgate in under 3 s while ${phase}`,
    async (place, t) => {
      const enter = await prepare(t);
      if (enter === undefined) return;
      for (const [signal, exitCode] of Object.entries(signals)) {
        const running: RunningHeadgate = await enter(place);
        const started = performance.now();
        running.signal(signal as keyof typeof signals);
        const result: HeadgateResult = await running.result;
        const took = performance.now() - started;
        assert.equal(result.exitCode, exitCode, result.stderr);
        assert.ok(took < 3000, `${signal} took ${Math.round(took)} ms`);
        const last = result.lines.at(-1);
        assert.deepEqual([last?.msg, last?.["signal"]], ["stopped", signal]);
        assert.equal(result.stdout, "");
      }
    },
  );
}

const start = (
  { artifact, pid1 }: Place,
  url: string,
  args: string[],
  wrap: string[] = [],
): Promise<RunningHeadgate> =>
  startHeadgate(artifact, [...args, "--", "echo", "served"], {
    pid1,
    env: { DATABASE_URL: url },
    wrap,
  });

testSignals("it waits for another dependency", async () => {
  const wait = ["--wait-for", `tcp:127.0.0.1:${await freePort()}`];
  const url = server.url("postgres");
  return async (place) => {
    const running = await start(place, url, [...gate, ...wait]);
    await running.waitForLog(({ phase, msg }) => phase === "wait-for" && msg === "waiting");
    return running;
  };
});

testSignals("the name server is silent", async (t) => {
  const folder = temporaryFolder("headgate-names-");
  const path = (name: string) => join(folder, name);
  writeFileSync(path("resolv.conf"), "nameserver 127.0.0.1\n");
  writeFileSync(path("nsswitch.conf"), "hosts: files dns\n");
  // In a network of its own, whose name server notes that it was asked, and ends with who started it.
  const nameServer = `
    const { writeFileSync } = require("node:fs");
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", () => writeFileSync("${path("asked-")}" + process.argv[1], ""));
    socket.bind(53, "127.0.0.1", () => writeFileSync("${path("ready-")}" + process.argv[1], ""));
    const parent = process.ppid;
    setInterval(() => process.ppid === parent || process.exit(), 100);`;
  const script = `
    set -e
    ip link set lo up
    mount --bind "${path("resolv.conf")}" /etc/resolv.conf
    if [ -e /etc/nsswitch.conf ]; then mount --bind "${path("nsswitch.conf")}" /etc/nsswitch.conf; fi
    "$1" -e "$2" "$3" </dev/null >/dev/null 2>&1 &
    while ! [ -e "${path("ready-")}$3" ]; do sleep 0.02; done
    shift 3
    exec "$@"`;
  let runs = 0;
  const wrap = (run: number): [string, ...string[]] => [
    "unshare",
    ...["-Urmn", "sh", "-c", script, "sh", process.execPath, nameServer, String(run)],
  ];
  const [file, ...rest] = wrap(runs);
  const probe = await execa(file, [...rest, "true"], { reject: false });
  if (!requireOrSkip(t, probe.exitCode === 0, "no network namespaces")) return;
  return async (place) => {
    const run = ++runs;
    const running = await start(place, "postgres://u:p@db.test/d", gate, wrap(run));
    await eventually("the name was asked for", () => existsSync(path(`asked-${run}`)));
    return running;
  };
});

testSignals("Postgres refuses connections", async () => {
  const url = `postgres://u:p@127.0.0.1:${await freePort()}/d`;
  return async (place) => {
    const running = await start(place, url, gate);
    await running.waitForLog("waiting");
    return running;
  };
});

testSignals("it logs in and gets no answer", async (t) => {
  const proxy = await startProxy(server.port);
  t.after(() => proxy.stop());
  await proxy.setMode("blackhole");
  const url = server.url("postgres", { port: proxy.port });
  return async (place) => {
    const { connections } = proxy;
    const running = await start(place, url, gate);
    await eventually("it has connected", () => proxy.connections > connections);
    return running;
  };
});

testSignals("another replica has the lock", async (t) => {
  const database = await createDatabase(server);
  const holder = await server.connect(database);
  t.after(() => holder.end());
  await holder.query(`SELECT pg_advisory_lock(${lockKeys("public", "migrations").own.key})`);
  return async (place) => {
    const running = await start(place, server.url(database), gate);
    await running.waitForLog("waiting for the lock");
    return running;
  };
});

testEverywhere(
  "S7 USR1 and USR2, which are meant for the server, change nothing while headgate runs, and open no debugger's port",
  async (place) => {
    const database = await createDatabase(server);
    const holder = await server.connect(database);
    await holder.query(`SELECT pg_advisory_lock(${lockKeys("public", "migrations").own.key})`);
    const running = await start(place, server.url(database), gate);
    await running.waitForLog("waiting for the lock");
    for (const signal of ["SIGUSR1", "SIGUSR2", "SIGUSR1"] as const) running.signal(signal);
    await holder.end();
    const { exitCode, stdout, stderr, lines } = await running.result;
    assert.deepEqual([exitCode, stdout], [0, "served\n"], stderr);
    assert.doesNotMatch(stderr, /debugger/i);
    assert.ok(lines.every(({ level }) => level === "info"));
  },
);

/** Which sessions of headgate the database has, with what they run. */
const sessions = (database: string) =>
  server.psql<{ pid: number; state: string; query: string }>(
    "postgres",
    `SELECT pid, state, query FROM pg_stat_activity
      WHERE datname = $1 AND application_name LIKE 'headgate/%'`,
    [database],
  );

/** Advisory and table locks in the database, but for those of this very query on another one. */
const locks = (database: string) =>
  server.psql(
    "postgres",
    `SELECT locktype, mode FROM pg_locks JOIN pg_database d ON d.oid = database WHERE datname = $1`,
    [database],
  );

const sleeps = (database: string) =>
  eventually("the statement runs", async () =>
    (await sessions(database)).find(
      ({ state, query }) => state === "active" && query.includes("pg_sleep(60)"),
    ),
  );

testSignals("a migration runs", async () => {
  const database = await createDatabase(server);
  const migrations = makeMigrations({ "1_slow.sql": "SELECT pg_sleep(60);" });
  return async (place) => {
    const running = await start(place, server.url(database), ["--migrations", migrations]);
    await sleeps(database);
    return running;
  };
});

const files = {
  transactional: `CREATE TABLE half_done (); SELECT pg_sleep(60);`,
  "without a transaction": `-- postgres-migrations disable-transaction\nSELECT pg_sleep(60);`,
};
for (const [kind, sql] of Object.entries(files)) {
  testEverywhere(
    `S2 TERM during a 60 s statement leaves no session, no lock and no trace of the file within 1 s, ${kind}`,
    async (place) => {
      const database = await createDatabase(server);
      const earlier = await start(place, server.url(database), gate);
      assert.equal((await earlier.result).exitCode, 0);
      const history = await server.psql(database, "SELECT * FROM migrations ORDER BY id");
      assert.equal(history.length, 4);

      const migrations = makeMigrations({ ...happy, "4_slow.sql": sql });
      const running = await start(place, server.url(database), ["--migrations", migrations]);
      await sleeps(database);
      assert.ok((await locks(database)).length > 0);
      running.signal("SIGTERM");
      await eventually(
        "no session and no lock is left",
        async () => (await sessions(database)).length === 0 && (await locks(database)).length === 0,
        1000,
      );
      const { exitCode, lines } = await running.result;
      assert.equal(exitCode, 143);
      assert.ok(lines.every(({ level }) => level !== "error"));
      assert.deepEqual(
        await server.psql(database, "SELECT * FROM migrations ORDER BY id"),
        history,
      );
      const half = "SELECT FROM pg_class WHERE relname = 'half_done'";
      assert.deepEqual(await server.psql(database, half), []);
    },
  );
}
