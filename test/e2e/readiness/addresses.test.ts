import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { type TestContext, after, before, test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type HeadgateResult, requireOrSkip } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { freePort } from "../../helpers/port.ts";
import { type Postgres, createDatabase, startPostgres } from "../../helpers/postgres.ts";
import { startTogether, waitingStates } from "../../helpers/together.ts";

/** One that takes writes, on 127.0.0.1 only; and one that takes none from `app`. */
const server = await useServer({ settings: { listen_addresses: "127.0.0.1" } });
let readOnly: Postgres;
before(async () => {
  readOnly = await startPostgres();
  for (const each of [server, readOnly]) {
    await each.psql("postgres", "CREATE ROLE app SUPERUSER LOGIN PASSWORD 'battery-staple'");
  }
  await readOnly.psql("postgres", "ALTER ROLE app SET default_transaction_read_only = on");
});
after(async () => {
  await server.stop();
  await readOnly.stop();
});

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((at) => at?.address === "::1");
const ready = (result: HeadgateResult): void => assert.equal(result.exitCode, 0);

/** Runs what follows in a mount namespace of its own, where the first file lies over the second. */
const withFile = (file: string, over: string): string[] => [
  ...["unshare", "-rm", "sh", "-c", `mount --bind "$0" ${over} && exec "$@"`, file],
];
const canMount = (): boolean =>
  spawnSync("unshare", ["-rm", "mount", "--bind", "/etc", "/etc"]).status === 0;

function privateHosts(t: TestContext, text: string): { file: string; wrap: string[] } | undefined {
  if (!requireOrSkip(t, canMount(), "no mount namespaces")) return undefined;
  const file = join(temporaryFolder("headgate-hosts-"), "hosts");
  writeFileSync(file, text);
  return { file, wrap: withFile(file, "/etc/hosts") };
}

test("W1 a name that does not exist yet is waited for", async (t) => {
  const hosts = privateHosts(t, "127.0.0.1 localhost\n");
  if (hosts === undefined) return;
  const env = { DATABASE_URL: server.url("postgres", { host: "headgate-db.invalid" }) };
  const all = await startTogether(["wait"], { env, wrap: hosts.wrap });
  await all.waitForLog(({ state }) => String(state).startsWith("name not"));
  writeFileSync(hosts.file, "127.0.0.1 headgate-db.invalid\n");
  await all.each((result) => {
    ready(result);
    // Resolvers differ in which of the two they say, and may change their mind.
    for (const state of waitingStates(result)) assert.match(String(state), /^name not/);
  });
});

test("W2 a name server that never answers is left after --connect-timeout", async (t) => {
  if (!requireOrSkip(t, canMount(), "no mount namespaces")) return;
  const silent = createSocket("udp4");
  const address = "127.53.53.53";
  const isBound = await new Promise<boolean>((resolve) => {
    silent.once("error", () => resolve(false));
    silent.bind(53, address, () => resolve(true));
  });
  t.after(() => isBound && silent.close());
  if (!requireOrSkip(t, isBound, "port 53 is not free, or not ours to take")) return;
  const file = join(temporaryFolder("headgate-resolv-"), "resolv.conf");
  writeFileSync(file, `nameserver ${address}\n`);
  const env = { DATABASE_URL: server.url("postgres", { host: "headgate-db.invalid" }) };
  const args = ["wait", "--connect-timeout", "300ms", "--wait-timeout", "1s"];
  const wrap = withFile(file, "/etc/resolv.conf");
  const all = await startTogether(args, { env, wrap });
  await all.each((result) => {
    assert.equal(result.exitCode, 69);
    assert.deepEqual(waitingStates(result), ["no answer"]);
    assert.ok(result.durationMs < 4000, `it took ${result.durationMs} ms`);
  });
});

test("W6 of a name's several addresses the one that answers is found", async (t) => {
  if (!requireOrSkip(t, hasIpv6, "no IPv6")) return;
  const hosts = privateHosts(t, "::1 both.test\n127.0.0.1 both.test\n");
  if (hosts === undefined) return;
  const env = { DATABASE_URL: server.url("postgres", { host: "both.test" }) };
  const all = await startTogether(["wait", "--wait-timeout", "20s"], { env, wrap: hosts.wrap });
  await all.each((result) => {
    ready(result);
    assert.deepEqual(waitingStates(result), []);
  });
});

test("W6 an IPv6 address in brackets is connected to", async (t) => {
  if (!requireOrSkip(t, hasIpv6, "no IPv6")) return;
  const url = readOnly.url("postgres", { host: "::1" });
  assert.match(url, /@\[::1\]:/);
  const all = await startTogether(["wait"], { env: { DATABASE_URL: url } });
  await all.each(ready);
});

test("W6 a unix socket is connected to, however its folder is written", async () => {
  const { socketDir, port } = server;
  const login = { PGUSER: "app", PGPASSWORD: "battery-staple", PGDATABASE: "postgres" };
  const encoded = encodeURIComponent(socketDir);
  for (const env of [
    { DATABASE_URL: `postgres://app:battery-staple@${encoded}:${port}/postgres` },
    { DATABASE_URL: `postgres://app:battery-staple@/postgres?host=${socketDir}&port=${port}` },
    { DATABASE_URL: `postgres:///postgres?host=${encoded}&port=${port}`, ...login },
    { ...login, PGHOST: socketDir, PGPORT: String(port) },
  ]) {
    const all = await startTogether(["wait"], { env });
    await all.each(ready);
  }
});

test("W6 a unix socket that is not there yet is waited for", async (t) => {
  const late = await startPostgres({ start: false });
  t.after(() => late.stop());
  const env = { DATABASE_URL: late.url("postgres", { host: late.socketDir }) };
  const all = await startTogether(["wait"], { env });
  await all.waitForLog(({ state }) => state === "no socket yet");
  await late.start();
  await all.each((result) => {
    ready(result);
    assert.equal(waitingStates(result)[0], "no socket yet");
  });
});

for (const words of ["", "?target_session_attrs=read-write", "?target_session_attrs=primary"]) {
  test(`W6 of several hosts the one that takes writes is migrated${words && ` (${words.slice(1)})`}`, async () => {
    const database = await createDatabase(server);
    await readOnly.psql("postgres", `CREATE DATABASE ${database}`);
    const nobody = await freePort();
    const hosts = [nobody, readOnly.port, server.port].map((port) => `127.0.0.1:${port}`);
    const DATABASE_URL = `postgres://app:battery-staple@${hosts.join(",")}/${database}${words}`;
    const args = ["migrate", "--migrations", makeMigrations()];
    const all = await startTogether(args, { env: { DATABASE_URL } });
    await all.each((result) => {
      ready(result);
      assert.deepEqual(waitingStates(result), []);
    });
    assert.equal((await server.psql(database, "SELECT FROM migrations")).length, 4);
    await assert.rejects(readOnly.psql(database, "SELECT FROM migrations"), { code: "42P01" });
  });
}

test("W6 several hosts of which none takes writes yet are waited for together", async () => {
  const database = await createDatabase(server);
  await server.psql(
    "postgres",
    `ALTER DATABASE ${database} SET default_transaction_read_only = on`,
  );
  const hosts = `${await freePort()},${server.port}`;
  const env = {
    ...{ PGHOST: "127.0.0.1,127.0.0.1", PGPORT: hosts, PGUSER: "app", PGDATABASE: database },
    PGPASSWORD: "battery-staple",
  };
  const all = await startTogether(["wait"], { env });
  await all.waitForLog(({ state }) => state === "read-only");
  await server.psql("postgres", `ALTER DATABASE ${database} RESET default_transaction_read_only`);
  await all.each((result) => {
    ready(result);
    assert.deepEqual(waitingStates(result), ["read-only"]);
  });
});

test("W6 target_session_attrs that ask for a server without writes are refused", async () => {
  for (const words of ["read-only", "standby", "prefer-standby", "nonsense"]) {
    const env = { DATABASE_URL: server.url("postgres"), PGTARGETSESSIONATTRS: words };
    const all = await startTogether(["wait"], { env });
    await all.each((result) => {
      assert.equal(result.exitCode, 64);
      assert.match(
        JSON.stringify(result.lines.at(-1)),
        new RegExp(`target_session_attrs=${words}`),
      );
    });
  }
});
