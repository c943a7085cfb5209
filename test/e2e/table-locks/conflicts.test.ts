import assert from "node:assert/strict";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer();

/** A database in which transactions see what was there when they began, and a file that changes what others change. */
async function prepare() {
  const database = await createDatabase(server);
  await server.psql(
    database,
    `CREATE TABLE counters (n int); INSERT INTO counters VALUES (0);
    ALTER DATABASE ${database} SET default_transaction_isolation = 'repeatable read'`,
  );
  const sql = "SELECT FROM counters; SELECT pg_sleep(0.5);\nUPDATE counters SET n = n + 10;";
  const env = {
    DATABASE_URL: server.url(database),
    HEADGATE_MIGRATIONS: makeMigrations({ "1_count.sql": sql }),
  };
  const asleep = `SELECT FROM pg_stat_activity WHERE datname = '${database}' AND wait_event = 'PgSleep'`;
  /** Changes the row between the file's look at it and its update. */
  const disturb = async (): Promise<void> => {
    await eventually(
      "the file sleeps",
      async () => (await server.psql(database, asleep)).length > 0,
    );
    await server.psql(database, "UPDATE counters SET n = n + 1");
  };
  return { database, env, disturb };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M5 a file that other sessions' changes make fail (40001) is run again, and applied once",
    async () => {
      const { database, env, disturb } = await prepare();
      const running = await startHeadgate(artifact, ["migrate"], { env });
      await disturb();
      const { exitCode, stderr } = await running.result;
      assert.equal(exitCode, 0, stderr);
      assert.match(stderr, /"msg":"trying again"/);
      assert.deepEqual(await server.psql(database, "SELECT n FROM counters"), [{ n: 11 }]);
    },
  );

  testOn(
    artifact,
    "M5 when the conflicts do not end before --ddl-lock-budget, it is 75, which a retry may help",
    async () => {
      const { database, env, disturb } = await prepare();
      const running = await startHeadgate(artifact, ["migrate", "--ddl-lock-budget", "1ms"], {
        env,
      });
      await disturb();
      const { exitCode, stderr } = await running.result;
      assert.equal(exitCode, 75, stderr);
      assert.match(
        stderr,
        /40001 serialization_failure\), at each try within \d+ ms; nothing of it was changed/,
      );
      assert.deepEqual(await server.psql(database, "SELECT n FROM counters"), [{ n: 1 }]);
    },
  );
}
