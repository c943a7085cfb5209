import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../helpers/eventually.ts";
import { useServer } from "../../helpers/use-server.ts";
import { testInPairs, testOn } from "../../helpers/everywhere.ts";
import { artifacts, proc, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigratorProject } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

/** Writes on, whatever is done to its sessions, until it is killed; a second one of its kind ends at once. */
const stubborn = `export default async (client) => {
  process.on("SIGTERM", () => {});
  process.on("uncaughtException", () => {});
  const Client = client.constructor;
  const { rows } = await client.query("CREATE TABLE IF NOT EXISTS beats (process int, at timestamptz DEFAULT clock_timestamp()); SELECT FROM beats LIMIT 1").then((all) => all[1]);
  const isSecond = rows.length > 0;
  client.on("error", () => {});
  for (;;) {
    const own = new Client({ connectionString: process.env.DATABASE_URL });
    own.on("error", () => {});
    try {
      await own.connect();
      for (;;) {
        await own.query("INSERT INTO beats VALUES ($1)", [process.pid]);
        if (isSecond) return own.end();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
};`;

/** A step that runs until the test lets it go, or somebody ends it. */
const held = "SELECT pg_advisory_xact_lock(42)";

async function prepare(steps: Record<string, string>) {
  const project = makeMigratorProject(steps);
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database) };
  const gate = await server.connect(database);
  await gate.query("SELECT pg_advisory_lock(42)");
  const backends = () =>
    server.psql<{ pid: number; application_name: string }>(
      database,
      "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^headgate(/|-migrator)'",
    );
  /** The backend of the step that is held. @param except of an earlier run */
  const atTheGate = (except = 0): Promise<number> =>
    eventually("a step is held", async () => {
      const [found] = await server.psql<{ pid: number }>(
        database,
        `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted AND pid <> ${except}
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      return found?.pid;
    });
  return { project, database, env, gate, backends, atTheGate };
}

const graceful = `export default async (client) => {
  process.on("SIGTERM", () => {
    console.log("heard it");
    setTimeout(() => process.exit(9), 400);
  });
  console.log("listening");
  await client.query("${held}");
};`;
const deaf = `export default async (client) => {
  process.on("SIGTERM", () => console.log("not listening"));
  console.log("listening");
  await client.query("${held}");
};`;

testInPairs(
  "S4 a migrator gets the SIGTERM and is awaited, and only then the lock is free",
  async ({ artifact, pid1 }) => {
    const { project, database, env, gate, backends, atTheGate } = await prepare({
      "1.mjs": graceful,
    });
    const running = await startHeadgate(artifact, ["migrate", ...project.args], { env, pid1 });
    await running.waitForLog("listening");
    await atTheGate();
    const locked = await server.connect(database);
    const lock = await locked.query<{ key: string }>(
      `SELECT ((classid::bigint << 32) | objid::bigint)::text AS key FROM pg_locks
      WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND objid <> 42 LIMIT 1`,
    );
    const key = lock.rows[0]?.key;
    assert.ok(key !== undefined, "headgate has its lock");
    const began = performance.now();
    running.signal("SIGTERM");
    await running.waitForLog("heard it");
    // Blocks until the lock is free: by then nobody may be at work.
    await locked.query(`SELECT pg_advisory_lock(${key})`);
    const freeAfter = performance.now() - began;
    const left = await backends();
    await locked.end();
    assert.ok(freeAfter >= 400, `free after ${freeAfter} ms, while the migrator was at work`);
    assert.deepEqual(
      left.filter(({ application_name: name }) => name.startsWith("headgate-migrator")),
      [],
    );

    const { exitCode, durationMs } = await running.result;
    assert.equal(exitCode, 143);
    assert.ok(performance.now() - began < 3000, `${durationMs} ms`);
    await gate.end();
  },
);

testInPairs(
  "S4 a migrator that does not listen is killed after the grace period, and its statement ended",
  async ({ artifact, pid1 }) => {
    const { project, env, gate, backends, atTheGate } = await prepare({ "1.mjs": deaf });
    const args = ["migrate", ...project.args, "--stop-grace", "700ms"];
    const running = await startHeadgate(artifact, args, { env, pid1 });
    await running.waitForLog("listening");
    await atTheGate();
    const children = proc.children(running.pid);
    const began = performance.now();
    running.signal("SIGTERM");
    const { exitCode, stderr } = await running.result;
    const took = performance.now() - began;
    assert.equal(exitCode, 143, stderr);
    assert.ok(took >= 700 && took < 3000, `${took} ms`);
    assert.match(stderr, /not listening/);
    assert.deepEqual(children.filter(proc.alive), []);
    assert.deepEqual(await backends(), []);
    await gate.end();
  },
);

testInPairs(
  "S5 a second SIGTERM ends headgate at once, and the migrator with it",
  async ({ artifact, pid1 }) => {
    const { project, env, gate, backends, atTheGate } = await prepare({ "1.mjs": deaf });
    const args = ["migrate", ...project.args, "--stop-grace", "50s"];
    const running = await startHeadgate(artifact, args, { env, pid1 });
    await running.waitForLog("listening");
    await atTheGate();
    const children = proc.children(running.pid);
    assert.equal(children.length, 1);
    running.signal("SIGTERM");
    await running.waitForLog("not listening");
    running.signal("SIGTERM");
    assert.equal((await running.result).exitCode, 143);
    await eventually("the migrator is gone", () => !children.some(proc.alive));
    await eventually("its statement is gone", async () => (await backends()).length === 0);
    await gate.end();
  },
);

testInPairs(
  "S5 SIGKILL of headgate takes the migrator along, and the next one goes on when its statement is gone",
  async ({ artifact, pid1 }) => {
    const { project, database, env, gate, atTheGate } = await prepare({
      "1.sql": "CREATE TABLE things (id int)",
      "2.sql": held,
    });
    const args = ["migrate", ...project.args, "--stop-grace", "200ms"];
    const running = await startHeadgate(artifact, args, { env, pid1 });
    const backend = await atTheGate();
    const children = proc.children(running.pid);
    assert.equal(children.length, 1);
    running.signal("SIGKILL");
    await running.result;
    await eventually("the migrator is gone", () => !children.some(proc.alive));

    const next = await startHeadgate(artifact, args, { env, pid1 });
    await next.waitForLog("found a run that never ended");
    await atTheGate(backend);
    const found = await server.psql(
      database,
      `SELECT FROM pg_stat_activity WHERE pid = ${backend}`,
    );
    assert.deepEqual(found, [], "the first one's statement is gone");
    await gate.end();
    const { exitCode, stderr } = await next.result;
    assert.equal(exitCode, 0, stderr);
  },
);

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L6 a migrator whose headgate lost the lock is stopped before another begins",
    async () => {
      const { project, database, env, gate, backends, atTheGate } = await prepare({
        "1.sql": "CREATE TABLE things (id int)",
        "2.mjs": graceful,
      });
      const args = [...project.args, "--", "echo", "serving"];
      const loser = await startHeadgate(artifact, args, { env });
      await loser.waitForLog("listening");
      const backend = await atTheGate();
      const children = proc.children(loser.pid);
      assert.equal(children.length, 1);
      const next = await startHeadgate(artifact, args, { env });
      await next.waitForLog("waiting for the lock");
      const holder = (await backends()).find(({ application_name: name }) =>
        name.startsWith("headgate/"),
      );
      assert.ok(holder !== undefined);
      await server.psql(database, `SELECT pg_terminate_backend(${holder.pid})`);

      const { exitCode, stdout, lines } = await loser.result;
      assert.deepEqual([exitCode, stdout], [69, ""]);
      assert.match(String(lines.at(-1)?.msg), /the session that holds the migration lock was lost/);
      assert.deepEqual(children.filter(proc.alive), [], "the migrator is gone");

      await atTheGate(backend);
      await gate.end();
      const after = await next.result;
      assert.deepEqual([after.exitCode, after.stdout], [0, "serving\n"], after.stderr);
      // The first never got to the end of its step, and the second began it when the first was gone.
      const log = await server.psql<{ pid: number; ended: unknown; began: Date }>(
        database,
        "SELECT pid, began, ended FROM log WHERE name = '2.mjs' ORDER BY began",
      );
      assert.deepEqual(
        log.map(({ pid, ended }) => [pid === backend, ended === null]),
        [
          [true, true],
          [false, false],
        ],
      );
      const stoppedAt = Date.parse(String(lines.at(-1)?.["time"]));
      assert.ok(
        (log[1]?.began.getTime() ?? 0) >= stoppedAt,
        "the second began before the first was gone",
      );
    },
  );

  testOn(
    artifact,
    "L6 a migrator that connects again and again has ended before another begins",
    async () => {
      const { project, database, env, gate, backends } = await prepare({ "1.mjs": stubborn });
      const args = ["migrate", ...project.args, "--stop-grace", "500ms"];
      const loser = await startHeadgate(artifact, args, { env });
      await loser.waitForLog("applying");
      await eventually("it writes", async () => {
        const [found] = await server.psql<{ n: number }>(
          database,
          "SELECT count(*)::int AS n FROM beats",
        );
        return (found?.n ?? 0) > 3;
      });
      const next = await startHeadgate(artifact, args, { env });
      await next.waitForLog("waiting for the lock");
      const holder = (await backends()).find(({ application_name: name }) =>
        name.endsWith(" migrator"),
      );
      await server.psql(database, `SELECT pg_terminate_backend(${holder?.pid})`);
      assert.equal((await loser.result).exitCode, 69);
      assert.equal((await next.result).exitCode, 0);
      const spans = await server.psql<{ first: Date; last: Date }>(
        database,
        "SELECT min(at) AS first, max(at) AS last FROM beats GROUP BY process ORDER BY 1",
      );
      assert.equal(spans.length, 2);
      assert.ok(Number(spans[0]?.last) < Number(spans[1]?.first), JSON.stringify(spans));
      await gate.end();
    },
  );

  testOn(
    artifact,
    "L6 sessions of a lost run that cannot be ended keep the next one from beginning",
    async () => {
      const { project, database, env, gate } = await prepare({ "1.sql": "SELECT 1" });
      const args = ["migrate", ...project.args, "--stop-grace", "100ms"];
      assert.equal((await runHeadgate(artifact, args, { env })).exitCode, 0);
      const name = "headgate-migrator of a lost run";
      await server.psql(
        database,
        `UPDATE headgate_runs SET outcome = 'started', application = '${name}';
      CREATE ROLE other_${database} LOGIN PASSWORD 'not-the-other';
      GRANT ALL ON ALL TABLES IN SCHEMA public TO other_${database}; GRANT pg_read_all_stats TO other_${database}`,
      );
      await gate.query(`SET application_name = '${name}'`);
      const DATABASE_URL = server.url(database, {
        user: `other_${database}`,
        password: "not-the-other",
      });
      const refused = await runHeadgate(artifact, [...args, "--lock-wait", "1ms"], {
        env: { DATABASE_URL },
      });
      assert.equal(refused.exitCode, 75);
      assert.match(refused.stderr, /1 sessions of an earlier run of the migrator do not end/);
      await gate.end();
    },
  );
}

test("S4 a migrator that takes longer than --migrator-timeout is stopped and exits with 1", async () => {
  const { project, env, gate, backends } = await prepare({ "1.sql": held });
  const [artifact] = artifacts;
  assert.ok(artifact);
  const args = ["migrate", ...project.args, "--migrator-timeout", "300ms"];
  const { exitCode, lines } = await runHeadgate(artifact, args, { env });
  assert.equal(exitCode, 1);
  assert.match(String(lines.at(-1)?.msg), /did not end within 300 ms and was stopped/);
  assert.deepEqual(await backends(), []);
  await gate.end();
});
