import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { addMigrations, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { listen, webhook } from "../../helpers/webhook.ts";

const server = await useServer({ own: true });

async function prepare() {
  const migrations = makeMigrations();
  const database = await createDatabase(server);
  return {
    migrations,
    env: { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations },
  };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "H3 a webhook is told of start, success and failure, and of nothing else",
    async (t) => {
      const { url, told } = await webhook(t);
      const { migrations, env } = await prepare();
      const args = ["--notify-url", url, "--", "echo", "serving"];
      const boot = () => runHeadgate(artifact, args, { env });
      const booted = await boot();
      assert.deepEqual([booted.exitCode, booted.stdout], [0, "serving\n"], booted.stderr);
      assert.ok(!booted.stderr.includes("not-to-be-told"), "its address is a secret");
      assert.match(told[0] ?? "", /^headgate on \S+: migrating test_\w+: 1 create-accounts, 2 /);
      assert.match(told[1] ?? "", /: migrated test_\w+ in \d+\.\d s$/);
      await boot();
      assert.equal(told.length, 2, "with nothing pending there is nothing to tell");

      addMigrations(migrations, {
        "4_bad.sql": `SELECT '${env.DATABASE_URL}'::int`,
      });
      assert.equal((await boot()).exitCode, 1);
      assert.equal(told.length, 4);
      assert.match(
        told[3] ?? "",
        /: failed to migrate test_\w+: .*4_bad\.sql.*invalid input syntax/s,
      );
      assert.ok(!told.join("").includes(server.password));
    },
  );

  testOn(
    artifact,
    "H3 a webhook that is down, refuses, or never answers is no failure",
    async (t) => {
      const silent = await listen(t, () => {});
      const refusing = await listen(t, (_, response) => response.writeHead(500).end("no"));
      for (const [url, reason] of [
        ["http://127.0.0.1:1/hook", /could not notify/],
        [refusing, /the answer was 500/],
        [silent, /could not notify/],
      ] as const) {
        const { env } = await prepare();
        const { exitCode, stderr, durationMs } = await runHeadgate(
          artifact,
          ["migrate", "--notify-url", url],
          { env },
        );
        assert.equal(exitCode, 0, stderr);
        assert.match(stderr, reason);
        // Its time-out is 3 s; without one this would be the test's own 60 s.
        assert.ok(durationMs < 30_000);
      }
    },
  );
}

test("S1 a webhook that never answers does not hold up a SIGTERM", async (t) => {
  const [artifact] = artifacts;
  assert.ok(artifact);
  let asked = 0;
  const url = await listen(t, () => asked++);
  const { migrations, env } = await prepare();
  addMigrations(migrations, { "4_slow.sql": "SELECT pg_sleep(60)" });
  const running = await startHeadgate(artifact, ["migrate", "--notify-url", url], { env });
  await eventually("it was told", () => asked > 0);
  await eventually("the file runs", async () => {
    const found = await server.psql(
      "postgres",
      "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()",
    );
    return found.length > 0;
  });
  const began = performance.now();
  running.signal("SIGTERM");
  assert.equal((await running.result).exitCode, 143);
  assert.ok(performance.now() - began < 3000);
});

test("M6 a webhook's address that is none is refused, and not repeated", async () => {
  const [artifact] = artifacts;
  assert.ok(artifact);
  const { env } = await prepare();
  const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], {
    env: { ...env, HEADGATE_NOTIFY_URL: "hooks.example.com/T0/secret-part" },
  });
  assert.equal(exitCode, 64);
  assert.match(stderr, /HEADGATE_NOTIFY_URL is not a URL/);
  assert.ok(!stderr.includes("secret-part"));
});
