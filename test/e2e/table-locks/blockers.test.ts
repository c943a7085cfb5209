import assert from "node:assert/strict";
import { after, before } from "node:test";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { type Postgres, createDatabase, startPostgres } from "../../helpers/postgres.ts";

let server: Postgres;
before(async () => {
  // An autovacuum that comes soon and takes minutes.
  const settings = {
    ...{ autovacuum: "on", autovacuum_naptime: "1s", autovacuum_vacuum_threshold: "10" },
    ...{ autovacuum_vacuum_cost_delay: "100ms", autovacuum_vacuum_cost_limit: "1" },
  };
  server = await startPostgres({ settings });
  await server.psql(
    "postgres",
    "CREATE ROLE owner LOGIN PASSWORD 'owner'; CREATE ROLE other LOGIN PASSWORD 'other'",
  );
});
after(() => server.stop());

const migrations = makeMigrations({ "1_alter.sql": "ALTER TABLE app.users ADD COLUMN age int;" });

/** A database whose tables belong to an ordinary role, which may not see what other roles do. */
async function prepare() {
  const database = await createDatabase(server);
  await server.psql(
    database,
    `CREATE SCHEMA app AUTHORIZATION owner; GRANT USAGE ON SCHEMA app TO other;
    SET ROLE owner; CREATE TABLE app.users (id int, name text); GRANT SELECT ON app.users TO other;`,
  );
  const url = server.url(database, { user: "owner", password: "owner" });
  const args = ["migrate", "--history-table", "app.migrations", "--migrations", migrations];
  return { database, args, env: { DATABASE_URL: url } };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M5 a blocker whose age our role may not see is known by having been there before",
    async () => {
      const { database, args, env } = await prepare();
      const blocker = await server.connect(database, { user: "other", password: "other" });
      await blocker.query("BEGIN; SELECT FROM app.users");
      const running = await startHeadgate(artifact, args, { env });
      await running.waitForLog(
        (line) =>
          line.msg === "waiting for a table lock" &&
          line["tries"] === 0 &&
          /^headgate-test \(pid \d+, user other, age not visible, holds AccessShareLock on app\.users\)/.test(
            String(line["blockers"]),
          ),
      );
      const { exitCode, lines } = await runHeadgate(artifact, [...args, "--lock-wait", "1ms"], {
        env,
      });
      assert.equal(exitCode, 75);
      assert.match(lines.at(-1)?.msg ?? "", /the migration lock was not free/);
      await blocker.query("COMMIT");
      await blocker.end();
      assert.equal((await running.result).exitCode, 0);
    },
  );

  testOn(artifact, "M5 an autovacuum that takes long gives way", async () => {
    const { database, args, env } = await prepare();
    await server.psql(
      database,
      "INSERT INTO app.users SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n; UPDATE app.users SET id = id + 1",
    );
    const isVacuumed = async (): Promise<boolean> => {
      const sql = "SELECT FROM pg_stat_progress_vacuum WHERE relid = 'app.users'::regclass";
      return (await server.psql(database, sql)).length === 1;
    };
    await eventually("autovacuum is at work", isVacuumed, 30_000);
    const { exitCode, lines, stderr } = await runHeadgate(artifact, args, { env });
    assert.equal(exitCode, 0, stderr);
    assert.ok(lines.some(({ msg }) => msg === "waiting for a table lock"));
  });
}
