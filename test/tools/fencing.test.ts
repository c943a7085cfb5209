import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../helpers/eventually.ts";
import { useServer } from "../helpers/use-server.ts";
import { artifacts, proc, startHeadgate } from "../helpers/headgate.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { alembic } from "./python-tools.ts";
import { appliedSteps, environmentOf, fiveSteps, makeProject, requireTool } from "./tool.ts";

const server = await useServer({ own: true });

/** Runs until the test lets it go, or somebody ends it. */
const held = { up: ["SELECT pg_advisory_xact_lock(42)", "INSERT INTO applied VALUES (6)"] };

const places = artifacts.flatMap((artifact) => [
  { artifact, isFrozen: false },
  // A paused machine, or one that is cut off: only the one that takes over can end what it left.
  { artifact, isFrozen: true },
]);
for (const { artifact, isFrozen } of places) {
  const when = isFrozen ? ", of a headgate that cannot notice," : "";
  test(`L6 when the session that holds the lock${when} is killed in the middle of Alembic, no second run overlaps it (${artifact.name})`, async (t) => {
    if (!requireTool(t, alembic)) return;
    const { folder } = makeProject(alembic, [...fiveSteps, held]);
    const database = await createDatabase(server);
    await server.psql(
      database,
      "CREATE TABLE beats (process int, at timestamptz DEFAULT clock_timestamp())",
    );
    const gate = await server.connect(database);
    await gate.query("SELECT pg_advisory_lock(42)");
    const processes = () =>
      server.psql<{ process: number; began: Date; ended: Date }>(
        database,
        "SELECT process, min(at) AS began, max(at) AS ended FROM beats GROUP BY process ORDER BY began",
      );
    const atTheGate = async (): Promise<number | undefined> => {
      const sql = `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted`;
      return (await server.psql<{ pid: number }>(database, sql))[0]?.pid;
    };

    const env = { ...environmentOf(server, database), BEATS: "yes" };
    const args = ["--migrator", "alembic", "--", "echo", "serving"];
    const first = await startHeadgate(artifact, args, { cwd: folder, env });
    const backend = await eventually("the last migration is held", atTheGate);
    await eventually("it shows itself", async () => (await processes()).length === 1);
    const second = await startHeadgate(artifact, args, { cwd: folder, env });
    await second.waitForLog("waiting for the lock");

    t.after(() => first.child.kill("SIGKILL"));
    if (isFrozen) {
      first.signal("SIGSTOP");
      await eventually("it stands still", () => proc.status(first.pid)["State"]?.startsWith("T"));
    }
    const [holder] = await server.psql<{ application_name: string }>(
      database,
      `SELECT application_name, pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
      WHERE locktype = 'advisory' AND granted AND pid <> ${backend} AND application_name ~ '^headgate/'`,
    );
    assert.match(holder?.application_name ?? "", / alembic$/);
    await eventually("another run begins", async () => (await processes()).length > 1);
    await gate.end();
    const won = await second.result;
    if (isFrozen) first.signal("SIGCONT");
    const lost = await first.result;

    const [one, other, ...more] = await processes();
    assert.ok(one !== undefined && other !== undefined && more.length === 0);
    const between = other.began.getTime() - one.ended.getTime();
    assert.ok(between > 0, `the second began ${-between} ms before the first had ended`);
    t.diagnostic(`${between} ms between the last of the first and the first of the second`);
    assert.deepEqual([won.exitCode, won.stdout], [0, "serving\n"], won.stderr);
    assert.equal(lost.exitCode, 69, lost.stderr);
    assert.match(lost.stderr, /the session that holds the migration lock was lost/);
    assert.deepEqual(await appliedSteps(server, database), [1, 2, 3, 4, 5, 6]);
  });
}
