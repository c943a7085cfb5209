import assert from "node:assert/strict";
import { before, test } from "node:test";
import { makeMigrations } from "../../helpers/migrations.ts";
import { useServer } from "../../helpers/use-server.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { startProxy } from "../../helpers/proxy.ts";
import { startTogether, waitingStates } from "../../helpers/together.ts";
import { judge } from "../../../src/readiness/judge.ts";

const server = await useServer({
  hba: [
    "host all rejected 127.0.0.1/32 reject",
    "host postgres shut_out 127.0.0.1/32 reject",
    "host trusting all 127.0.0.1/32 trust",
    "hostssl encrypted all 127.0.0.1/32 scram-sha-256",
    "host encrypted all 127.0.0.1/32 reject",
  ],
});
before(async () => {
  for (const database of ["trusting", "encrypted"]) {
    await server.psql("postgres", `CREATE DATABASE ${database}`);
  }
  await server.psql("postgres", "CREATE ROLE rejected LOGIN");
  await server.psql("postgres", "CREATE ROLE app LOGIN PASSWORD 'battery-staple'");
  await server.psql("postgres", "CREATE ROLE shut_out LOGIN PASSWORD 'battery-staple' CREATEDB");
});

const urls: Record<string, () => string> = {
  "a wrong password": () => server.url("postgres", { password: "battery-staple" }),
  "a missing role": () => server.url("trusting", { user: "nobody_at_all" }),
  "a missing database": () => server.url("no_such_database"),
};

for (const [what, state] of [
  ["a wrong password", "password refused"],
  ["a missing role", "role missing"],
  ["a missing database", "database missing"],
] as const) {
  test(`W1 ${what} is refused with 77 when the grace period is over, long before the time-out`, async () => {
    const args = ["wait", "--wait-timeout", "55s", "--auth-grace", "1s"];
    const all = await startTogether(args, { env: { DATABASE_URL: urls[what]?.() ?? "" } });
    await all.each((result) => {
      assert.equal(result.exitCode, 77);
      assert.deepEqual(waitingStates(result), [state]);
      const { code, state: found, fix, time } = result.lines.at(-1) ?? {};
      assert.deepEqual([code, found, typeof fix], ["refused", state, "string"]);
      const first = result.lines.find(({ msg }) => msg === "waiting")?.["time"];
      // The grace period starts with the attempt that is refused, a moment before its line is written.
      assert.ok(Date.parse(String(time)) - Date.parse(String(first)) >= 900, "the grace was cut");
      assert.ok(result.durationMs < 30_000, "it waited for the time-out");
    });
  });
}

test("W1 what pg_hba.conf rejects is refused with 77 at once", async () => {
  const rejected = server.url("postgres", { user: "rejected" });
  for (const url of [rejected, server.url("encrypted", { params: { sslmode: "disable" } })]) {
    const all = await startTogether(["wait", "--auth-grace", "50s"], {
      env: { DATABASE_URL: url },
    });
    await all.each((result) => {
      assert.equal(result.exitCode, 77);
      assert.deepEqual(waitingStates(result), []);
      assert.equal(result.lines.at(-1)?.["state"], "rejected by pg_hba.conf");
    });
  }
});

test("W1 a server that asks for a password nobody configured is refused with 77 at once", async () => {
  const env = { PGHOST: server.host, PGPORT: String(server.port), PGUSER: "postgres" };
  const all = await startTogether(["wait"], { env });
  await all.each((result) => {
    assert.equal(result.exitCode, 77);
    assert.deepEqual(waitingStates(result), []);
    assert.match(String(result.lines.at(-1)?.["fix"]), /PGPASSWORD_FILE/);
  });
});

test("W1 a server without TLS is refused with 77 at once when sslmode requires TLS", async () => {
  const url = server.url("postgres", { params: { sslmode: "require" } });
  const all = await startTogether(["wait"], { env: { DATABASE_URL: url } });
  await all.each((result) => {
    assert.equal(result.exitCode, 77);
    assert.deepEqual(waitingStates(result), []);
    assert.equal(result.lines.at(-1)?.["state"], "TLS refused");
  });
});

test("W1 a mistake in the configuration is refused with 64 before anything is connected to", async (t) => {
  const proxy = await startProxy(server.port);
  t.after(() => proxy.stop());
  const url = server.url("postgres", { port: proxy.port });
  for (const bad of [`${url}?sslmode=sometimes`, `${url}?connect_timeout=soon`, `${url}%zz`]) {
    const all = await startTogether(["wait"], { env: { DATABASE_URL: bad } });
    await all.each((result) => assert.equal(result.exitCode, 64));
  }
  assert.equal(proxy.connections, 0);
});

test("W1 the time-out ends the wait with 69, and with what the server last said", async () => {
  const database = await createDatabase(server);
  await server.psql(
    "postgres",
    `ALTER DATABASE ${database} SET default_transaction_read_only = on`,
  );
  const args = ["wait", "--wait-timeout", "1500ms"];
  const all = await startTogether(args, { env: { DATABASE_URL: server.url(database) } });
  await all.each((result) => {
    assert.equal(result.exitCode, 69);
    assert.equal(result.lines.at(-1)?.["state"], "read-only");
  });
});

for (const [what, user, state] of [
  ["may not create", "app", undefined],
  ["may not even ask for", "shut_out", "rejected by pg_hba.conf"],
] as const) {
  test(`W1 a missing database that the role ${what} is refused with 77 at once`, async () => {
    const url = server.url("missing_for_good", { user, password: "battery-staple" });
    const args = ["migrate", "--create-database", "--migrations", makeMigrations()];
    const all = await startTogether(args, { env: { DATABASE_URL: url } });
    await all.each((result) => {
      assert.equal(result.exitCode, 77);
      assert.deepEqual(waitingStates(result), []);
      assert.equal(result.lines.at(-1)?.["state"], state);
    });
  });
}

/** What cannot be brought about on one machine, with the errors as Node, Bun and Postgres make them. */
for (const [code, verdict, state] of [
  ["EHOSTUNREACH", "retry", "unreachable"],
  ["ENETUNREACH", "retry", "unreachable"],
  ["ETIMEDOUT", "retry", "no answer"],
  ["EAI_AGAIN", "retry", "name not resolved yet"],
  ["57P01", "retry", "shutting down"],
  ["57P02", "retry", "shutting down"],
  ["08006", "retry", "server error"],
  ["53200", "retry", "server error"],
  ["0A000", "fatal", "refused"],
] as const) {
  test(`W1 ${code} while connecting means: ${verdict} (${state})`, () => {
    const error = Object.assign(new Error("as it came"), { code, severity: "FATAL" });
    const found = judge({ endpoint: { host: "db", port: 5432 }, error });
    assert.deepEqual([found.verdict, found.state], [verdict, state]);
  });
}
