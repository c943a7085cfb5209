import assert from "node:assert/strict";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts, requireOrSkip, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { hasPooler, noPooler, startPooler } from "../../helpers/pooler.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { startProxy } from "../../helpers/proxy.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L7 a pooler in statement mode is refused with 64 and the remedy, and is no bug",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const { port, stop } = await startPooler(server, { mode: "statement" });
      t.after(stop);
      const database = await createDatabase(server);
      const DATABASE_URL = server.url(database, { port, user: "api", password: "any" });
      const env = { DATABASE_URL, HEADGATE_MIGRATIONS: makeMigrations() };
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 64, stderr);
      assert.match(stderr, /a pooler in statement mode/);
      assert.match(stderr, /set HEADGATE_DATABASE_URL/);
      const tables = await server.psql(database, "SELECT to_regclass('migrations') AS history");
      assert.deepEqual(tables, [{ history: null }]);
    },
  );

  for (const auth of ["trust", "scram-sha-256"] as const) {
    testOn(
      artifact,
      `W1 what a pooler (auth_type=${auth}) does not know gets the grace period, and settings that it refuses end the waiting at once`,
      async (t) => {
        if (!requireOrSkip(t, hasPooler, noPooler)) return;
        const { port, stop } = await startPooler(server, { databases: ["known"], auth });
        t.after(stop);
        const known = { port, user: "api", password: "api-password" };
        const wait = async (database: string, login: object, params = {}) => {
          const DATABASE_URL = server.url(database, { ...known, ...login, params });
          const args = ["wait", "--wait-timeout", "60s", "--auth-grace", "300ms"];
          const { exitCode, lines, stderr } = await runHeadgate(artifact, args, {
            env: { DATABASE_URL },
          });
          assert.equal(exitCode, 77, stderr);
          return { states: lines.map(({ state }) => state), stderr };
        };
        assert.ok((await wait("nobodys", {})).states.includes("database unknown to the pooler"));
        const refused = "login refused by the pooler";
        assert.ok((await wait("postgres", { user: "stranger" })).states.includes(refused));
        if (auth !== "trust")
          assert.ok((await wait("postgres", { password: "wrong" })).states.includes(refused));
        const options = await wait("postgres", {}, { options: "-c statement_timeout=5s" });
        assert.match(options.stderr, /ignore_startup_parameters/);
        assert.doesNotMatch(options.stderr, /"waiting"/);
      },
    );
  }

  testOn(
    artifact,
    "M2 when the pooler loses the server in the middle of a file, its outcome is not known and a retry is worth it: 69",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      const { port, stop } = await startPooler(server, { serverPort: proxy.port });
      t.after(stop);
      const database = await createDatabase(server);
      const env = {
        DATABASE_URL: server.url(database, { port, user: "api", password: "any" }),
        HEADGATE_MIGRATIONS: makeMigrations({
          "1_slow.sql": "CREATE TABLE slow (); SELECT pg_sleep(60);",
        }),
      };
      const running = await startHeadgate(artifact, ["migrate"], { env });
      const asleep = `SELECT FROM pg_stat_activity WHERE datname = '${database}' AND wait_event = 'PgSleep'`;
      await eventually(
        "the file runs",
        async () => (await server.psql(database, asleep)).length > 0,
      );
      proxy.cutAll();
      const { exitCode, stderr } = await running.result;
      assert.equal(exitCode, 69, stderr);
      assert.match(stderr, /the connection to Postgres was lost while .*1_slow\.sql was applied/);
      assert.match(stderr, /either rolled back or completed/);
      assert.doesNotMatch(stderr, /the database is as it was before it/);
    },
  );
}
