import assert from "node:assert/strict";
import { appendFileSync, chownSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { eventually } from "../../helpers/eventually.ts";
import { useServer } from "../../helpers/use-server.ts";
import type { HeadgateResult } from "../../helpers/headgate.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { startProxy } from "../../helpers/proxy.ts";
import { startTogether, waitingStates } from "../../helpers/together.ts";

/** Stopped, started, promoted and filled up by the tests; small on purpose. */
const server = await useServer({
  settings: { max_connections: "10", superuser_reserved_connections: "3" },
  hba: [
    // Whoever connects to it is believed, so that a missing role is told apart from a wrong password.
    "host trusting all 127.0.0.1/32 trust",
  ],
});
const WAIT = ["wait", "--wait-timeout", "50s"];
const PASSWORD = "correct-horse";

before(async () => {
  for (const database of ["trusting", "granted_to_nobody"]) {
    await server.psql("postgres", `CREATE DATABASE ${database}`);
  }
  await server.psql("postgres", "REVOKE CONNECT ON DATABASE granted_to_nobody FROM public");
  await server.psql("postgres", `CREATE ROLE app LOGIN PASSWORD '${PASSWORD}'`);
});

const env = (url: string): { env: Record<string, string> } => ({ env: { DATABASE_URL: url } });
const asApp = (database: string, user = "app"): string =>
  server.url(database, { user, password: PASSWORD });

function foundReady(result: HeadgateResult, states: string[]): void {
  assert.equal(result.exitCode, 0);
  assert.deepEqual(waitingStates(result), states);
  assert.deepEqual(
    result.lines.slice(-2).map(({ msg }) => msg),
    ["ready", "found Postgres ready"],
  );
}

/** Makes the server a standby that has nothing to follow, as the copy of a primary is until it is promoted. */
async function becomeStandby(settings: string): Promise<void> {
  await server.stop();
  const { uid, gid } = statSync(server.dataDir);
  const signal = join(server.dataDir, "standby.signal");
  writeFileSync(signal, "");
  chownSync(signal, uid, gid);
  appendFileSync(join(server.dataDir, "postgresql.conf"), `${settings}\n`);
}

test("W1 a port that is closed, and one that hangs up, are waited for with one line each and none per attempt", async (t) => {
  const proxy = await startProxy(server.port);
  t.after(() => proxy.stop());
  await server.stop();
  const url = server.url("postgres", { port: proxy.port });
  const all = await startTogether(WAIT, env(url));
  // The server behind the proxy is gone: each attempt is accepted and cut.
  await all.waitForLog(({ state }) => state === "connection closed");
  const seen = proxy.connections;
  await eventually("many attempts were made", () => proxy.connections >= seen + 20);
  await proxy.setMode("refuse");
  await all.waitForLog(({ state }) => state === "connection refused");
  await server.start();
  await proxy.setMode("pass");
  await all.each((result) => foundReady(result, ["connection closed", "connection refused"]));
});

test("W1 a server that is in recovery is waited for", async () => {
  await becomeStandby("hot_standby = off");
  // It resolves only when a query is answered, which is after the promotion.
  const started = server.start();
  await eventually("connections are answered, but not let in", () =>
    server.connect("postgres").then(
      () => false,
      (error: { code?: string }) => error.code === "57P03",
    ),
  );
  const all = await startTogether(WAIT, env(server.url("postgres")));
  await all.waitForLog(({ state }) => state === "starting up");
  // What pg_ctl promote does; no SQL is possible here.
  await eventually("recovery can be ended", () => {
    writeFileSync(join(server.dataDir, "promote"), "");
    process.kill(server.pid ?? 0, "SIGUSR1");
    return server.log().includes("received promote request");
  });
  await started;
  await all.each((result) => foundReady(result, ["starting up"]));
});

test("W1 a hot standby is not ready, although it answers queries, until it is promoted", async () => {
  await becomeStandby("hot_standby = on");
  await server.start();
  const all = await startTogether(WAIT, env(server.url("postgres")));
  await all.waitForLog(({ state }) => state === "read-only standby");
  await server.psql("postgres", "SELECT pg_promote()");
  await all.each((result) => foundReady(result, ["read-only standby"]));
});

test("W1 a primary that takes no writes is not ready until it does", async () => {
  const database = await createDatabase(server);
  await server.psql(
    "postgres",
    `ALTER DATABASE ${database} SET default_transaction_read_only = on`,
  );
  const all = await startTogether(WAIT, env(server.url(database)));
  await all.waitForLog(({ state }) => state === "read-only");
  await server.psql("postgres", `ALTER DATABASE ${database} RESET default_transaction_read_only`);
  await all.each((result) => foundReady(result, ["read-only"]));
});

test("W1 a server without a free connection is waited for", async () => {
  const login = { user: "app", password: PASSWORD };
  const places = Array.from({ length: 7 }, () => server.connect("postgres", login));
  const clients = await Promise.all(places);
  const all = await startTogether(WAIT, env(asApp("postgres")));
  await all.waitForLog(({ state }) => state === "too many connections");
  await Promise.all(clients.map((client) => client.end()));
  await all.each((result) => foundReady(result, ["too many connections"]));
});

type Late = {
  what: string;
  state: string;
  database: string;
  user: string;
  prepare?: string;
  make: string;
};
const late: Late[] = [
  {
    what: "a database",
    state: "database missing",
    database: "late_database",
    user: "app",
    make: "CREATE DATABASE late_database",
  },
  {
    what: "a role with its password",
    state: "password refused",
    database: "postgres",
    user: "late_role",
    make: `CREATE ROLE late_role LOGIN PASSWORD '${PASSWORD}'`,
  },
  {
    what: "a role that needs no password",
    state: "role missing",
    database: "trusting",
    user: "late_trusted",
    make: "CREATE ROLE late_trusted LOGIN",
  },
  {
    what: "the right to log in",
    state: "role missing",
    database: "trusting",
    user: "late_login",
    prepare: "CREATE ROLE late_login NOLOGIN",
    make: "ALTER ROLE late_login LOGIN",
  },
  {
    what: "the right to connect",
    state: "connect not granted",
    database: "granted_to_nobody",
    user: "app",
    make: "GRANT CONNECT ON DATABASE granted_to_nobody TO app",
  },
];

for (const { what, state, database, user, prepare, make } of late) {
  test(`W1 ${what} made during the grace period is waited for`, async () => {
    if (prepare !== undefined) await server.psql("postgres", prepare);
    const all = await startTogether([...WAIT, "--auth-grace", "40s"], env(asApp(database, user)));
    await all.waitForLog((line) => line["state"] === state);
    await server.psql("postgres", make);
    await all.each((result) => foundReady(result, [state]));
  });
}
