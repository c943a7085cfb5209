import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { lockKeys } from "../../../src/lock/key.ts";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import {
  type Artifact,
  type HeadgateResult,
  type LaunchOptions,
  artifacts,
  canUnshare,
  requireOrSkip,
  runHeadgate,
} from "../../helpers/headgate.ts";
import { happy, makeMigrations } from "../../helpers/migrations.ts";
import { type Postgres, createDatabase, startPostgres } from "../../helpers/postgres.ts";
import { startProxy } from "../../helpers/proxy.ts";

const server = await useServer({ own: true });

/** Each file fails when it runs twice, and says which session ran it. */
const countedFiles = (slowly = "") => ({
  "1_create-log.sql": "CREATE TABLE log (file int PRIMARY KEY, pid int DEFAULT pg_backend_pid());",
  "2_add-two.sql": `${slowly} INSERT INTO log VALUES (2);`,
  "3_create-index.sql": "CREATE INDEX log_pid ON log (pid); INSERT INTO log VALUES (3);",
  "4_index-alone.sql":
    "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY log_file ON log (file);\nINSERT INTO log VALUES (4);",
  "5_add-five.sql": "INSERT INTO log VALUES (5);",
});

/** Starts replicas of one image at the same moment, each with a server that says it serves. */
async function startReplicas(
  count: number,
  artifact: Artifact,
  env: Record<string, string>,
  options: LaunchOptions = {},
): Promise<HeadgateResult[]> {
  const command = ["--", "echo", "serving"];
  return Promise.all(
    Array.from({ length: count }, () => runHeadgate(artifact, command, { ...options, env })),
  );
}

function assertAllServe(replicas: readonly HeadgateResult[]): void {
  for (const { exitCode, stdout, stderr } of replicas) {
    assert.equal(exitCode, 0, stderr);
    assert.equal(stdout, "serving\n");
  }
}

/** The files that were applied, by the log lines of all replicas together. */
function appliedBy(replicas: readonly HeadgateResult[]): string[] {
  return replicas
    .flatMap(({ lines }) => lines)
    .filter(({ msg }) => msg === "applied")
    .map((line) => String(line["migration"]))
    .toSorted((a, b) => a.localeCompare(b));
}

async function assertAppliedOnce(database: string, replicas: HeadgateResult[]): Promise<void> {
  assert.deepEqual(appliedBy(replicas), Object.keys(countedFiles()));
  const files = await server.psql<{ file: number }>(database, "SELECT file FROM log ORDER BY 1");
  assert.deepEqual(files, [{ file: 2 }, { file: 3 }, { file: 4 }, { file: 5 }]);
  const history = await server.psql<{ id: number }>(database, "SELECT id FROM migrations");
  assert.deepEqual(
    history.map(({ id }) => id),
    [0, 1, 2, 3, 4, 5],
  );
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L1 of 50 replicas started at once each file is applied by one, and all reach their server",
    async (t) => {
      const database = await createDatabase(server);
      // Lets them in all at the same moment.
      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      await proxy.setMode("blackhole");
      const running = startReplicas(50, artifact, {
        DATABASE_URL: server.url(database, { port: proxy.port }),
        HEADGATE_MIGRATIONS: makeMigrations(countedFiles()),
        HEADGATE_CONNECT_TIMEOUT: "60s",
      });
      await eventually("all are at the door", () => proxy.open === 50, 30_000);
      await proxy.setMode("pass");
      const replicas = await running;
      assertAllServe(replicas);
      await assertAppliedOnce(database, replicas);
    },
  );

  testOn(
    artifact,
    "L1 a migration of a second keeps 49 replicas waiting, and none fails, as PID 1",
    async (t) => {
      if (!requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
      const database = await createDatabase(server);
      const migrations = makeMigrations(countedFiles("SELECT pg_sleep(1);"));
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
      const replicas = await startReplicas(50, artifact, env, { pid1: true });
      assertAllServe(replicas);
      await assertAppliedOnce(database, replicas);
    },
  );

  testOn(
    artifact,
    "L3 with nothing pending a replica takes no lock, asks one query, and does not wait for who holds the lock",
    async () => {
      const database = await createDatabase(server);
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: makeMigrations() };
      assertAllServe(await startReplicas(1, artifact, env));

      await server.psql("postgres", `ALTER DATABASE ${database} SET log_statement = 'all'`);
      const { own, shared } = lockKeys("public", "migrations");
      const holder = await server.connect(database);
      await holder.query(
        `SELECT pg_advisory_lock(${own.key}), pg_advisory_lock(${shared?.key ?? ""})`,
      );
      const logged = server.log().length;
      const [replica] = await startReplicas(1, artifact, env);
      const statements = server
        .log()
        .slice(logged)
        .split("\n")
        .filter((line) => line.includes(`@${database}/headgate`))
        .join("\n");
      await holder.end();
      assertAllServe(replica ? [replica] : []);
      assert.match(
        statements,
        /^[^\n]*LOG: {2}statement: select [^\n]*$/,
        "one statement, no more",
      );
      assert.doesNotMatch(server.log().slice(logged), /advisory/);
    },
  );
}

/** A server with room for seven ordinary sessions, and a role that owns a database there. */
async function startSmallServer(): Promise<{ small: Postgres; url: string; database: string }> {
  const small = await startPostgres({
    settings: { max_connections: "10", superuser_reserved_connections: "3" },
  });
  await small.psql("postgres", "CREATE ROLE api LOGIN PASSWORD 'api-password'");
  const database = await createDatabase(small);
  await small.psql("postgres", `ALTER DATABASE ${database} OWNER TO api`);
  return {
    small,
    database,
    url: small.url(database, { user: "api", password: "api-password" }),
  };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L4 40 replicas boot on a server of 10 connections, and old pods keep theirs",
    async (t) => {
      const { small, database, url } = await startSmallServer();
      t.after(() => small.stop());
      // Three old pods that serve all the while.
      const api = { user: "api", password: "api-password" };
      const oldPods = await Promise.all([1, 2, 3].map(() => small.connect(database, api)));
      const herd = new AbortController();
      const traffic = oldPods.map(async (pod) => {
        let answers = 0;
        for (; !herd.signal.aborted; answers++) {
          await pod.query("SELECT 1");
          await delay(10);
        }
        return answers;
      });
      const files = { ...happy, "4_slow.sql": "SELECT pg_sleep(1);" };
      const env = { DATABASE_URL: url, HEADGATE_MIGRATIONS: makeMigrations(files) };
      const replicas = await startReplicas(40, artifact, env);
      herd.abort();
      for (const answers of await Promise.all(traffic)) assert.ok(answers > 0);
      await Promise.all(oldPods.map((pod) => pod.end()));

      assertAllServe(replicas);
      assert.deepEqual(appliedBy(replicas), Object.keys(files));
      const refusals = small.log().match(/FATAL: {2}(sorry, too many|remaining connection)/g) ?? [];
      assert.ok(refusals.length > 0, "the server was full");
    },
  );
}
