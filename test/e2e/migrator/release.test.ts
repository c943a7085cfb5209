/** Two releases of one service whose migrator is another tool: the newer one must not take the older one down. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { testOn } from "../../helpers/everywhere.ts";
import {
  type Artifact,
  artifacts,
  type HeadgateResult,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { addMigrations, type MigrationFiles } from "../../helpers/migrations.ts";
import { makeMigratorProject, type MigratorProject, steps } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });

/** A release is a folder of its own, as an image has it. */
async function makeReleases(artifact: Artifact = artifacts[0] ?? assert.fail()) {
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database) };
  const old = makeMigratorProject();
  // The third is committed before the fourth fails.
  const newer = makeMigratorProject({
    ...steps,
    "3.sql": "INSERT INTO things VALUES (3)",
    "4.sql": "SELECT 1/0",
  });
  const ask = (release: MigratorProject, ...args: string[]): Promise<HeadgateResult> =>
    runHeadgate(artifact, [...args.slice(0, 1), ...release.args, ...args.slice(1)], { env });
  const serve = (release: MigratorProject, ...args: string[]): Promise<HeadgateResult> =>
    runHeadgate(artifact, [...release.args, ...args, "--", "echo", "serving"], { env });
  const start = (release: MigratorProject) =>
    startHeadgate(artifact, ["migrate", ...release.args], { env });
  return { database, env, old, newer, ask, serve, start };
}

const ran = ({ lines }: HeadgateResult): boolean =>
  lines.some(({ msg, phase }) => phase === "migrator" && msg === "started");
const why = ({ lines }: HeadgateResult): unknown =>
  lines.find(({ msg }) => msg === "locked")?.["why"];

function assertServes(result: HeadgateResult): void {
  assert.deepEqual([result.exitCode, result.stdout], [0, "serving\n"], result.stderr);
  assert.ok(!ran(result), result.stderr);
  assert.match(result.stderr, /found the database ahead of this image/);
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M7 an older image beside a newer one whose migrator has failed half-way is ahead: it serves, and verify says 0",
    async () => {
      const { old, newer, ask, serve } = await makeReleases(artifact);
      assert.equal((await ask(old, "migrate")).exitCode, 0);
      assert.equal((await ask(newer, "migrate")).exitCode, 1);

      assertServes(await serve(old));
      const verified = await ask(old, "verify");
      assert.equal(verified.exitCode, 0, verified.stderr);
      assert.match(verified.stdout, /ahead of this image: .* and it failed/);
      assert.match((await ask(old, "status", "--exit-code")).stdout, /now +ahead of this image/);
      const refused = await serve(old, "--on-ahead", "fail");
      assert.equal(refused.exitCode, 65, refused.stderr);

      // The newer one itself is not done, and goes on where it is when its file is corrected.
      assert.equal((await ask(newer, "verify")).exitCode, 3);
      newer.add({ "4.sql": "INSERT INTO things VALUES (4)" });
      const corrected = await ask(newer, "migrate");
      assert.equal(corrected.exitCode, 0, corrected.stderr);
      assertServes(await serve(old));
    },
  );

  testOn(
    artifact,
    "M7 an older image beside a newer one whose migrator is under way, or was killed, is ahead and waits for no lock",
    async () => {
      const { old, newer, ask, serve, start } = await makeReleases(artifact);
      assert.equal((await ask(old, "migrate")).exitCode, 0);
      newer.add({ "4.sql": "SELECT pg_sleep(600)" });
      const running = await start(newer);
      await running.waitForLog("applying 4.sql");
      assertServes(await serve(old, "--lock-wait", "1ms"));
      assert.equal((await ask(old, "verify")).exitCode, 0);

      running.signal("SIGKILL");
      await running.result;
      assertServes(await serve(old, "--lock-wait", "1ms"));
      const status = await ask(old, "status", "--exit-code");
      assert.equal(status.exitCode, 0, status.stderr);
      assert.match(status.stdout, /now +ahead of this image: .* and it has not ended/);
    },
  );

  testOn(
    artifact,
    "M7 a newer image whose migrations were taken back since is not ahead: it runs again",
    async () => {
      const { old, newer, ask, serve, database } = await makeReleases(artifact);
      rmSync(join(newer.folder, "steps/4.sql"));
      writeFileSync(join(old.folder, "env.txt"), "one");
      old.args.push("--migrator-inputs", "env.txt");
      assert.equal((await ask(old, "migrate")).exitCode, 0);
      assert.equal((await ask(newer, "migrate")).exitCode, 0);
      await server.psql(
        database,
        "DELETE FROM steps_done WHERE name = '3.sql'; DELETE FROM things WHERE id = 3",
      );
      writeFileSync(join(old.folder, "env.txt"), "one, with a comment");
      assert.ok(ran(await ask(old, "migrate")));

      assert.equal((await ask(newer, "verify")).exitCode, 3);
      const again = await serve(newer);
      assert.deepEqual([again.exitCode, again.stdout], [0, "serving\n"], again.stderr);
      assert.ok(ran(again));
      assert.deepEqual(await server.psql(database, "SELECT id FROM things ORDER BY id"), [
        { id: 1 },
        { id: 3 },
      ]);
    },
  );
}

test("M7 what a failed run has left decides only as long as nobody has changed it", async () => {
  const { old, newer, ask, database } = await makeReleases();
  await ask(old, "migrate");
  await ask(newer, "migrate");
  await server.psql(database, "INSERT INTO steps_done VALUES ('by hand')");
  const doubtful = await ask(old, "verify");
  assert.equal(doubtful.exitCode, 3, doubtful.stderr);
  await server.psql(database, "DELETE FROM steps_done WHERE name IN ('by hand', '3.sql')");
  const verified = await ask(old, "verify");
  assert.equal(verified.exitCode, 0, verified.stderr);
  assert.match(verified.stdout, /left it at .*, none pending/);
});

test("M7 an image that has never succeeded is due beside one that failed, and so is the failed one", async () => {
  const { old, newer, ask } = await makeReleases();
  assert.equal((await ask(newer, "migrate")).exitCode, 1);
  for (const release of [old, newer]) assert.equal((await ask(release, "verify")).exitCode, 3);
  assert.match(String(why(await ask(newer, "migrate"))), /the latest run of these files failed/);
});

test("M7 a run that fails before its table is there is recorded as one that failed", async () => {
  const { ask, database } = await makeReleases();
  const broken = makeMigratorProject();
  broken.args[1] = JSON.stringify(["false"]);
  assert.equal((await ask(broken, "migrate")).exitCode, 1);
  const runs = "SELECT outcome, state, state_before, changes FROM headgate_runs";
  assert.deepEqual(await server.psql(database, runs), [
    { outcome: "failed", state: null, state_before: "absent", changes: 0 },
  ]);
});

const newer = ["state_before", "state_rows", "versions", "changes"];

test("M7 a table of runs that an older version made gets its new columns by the next run, and works until then", async () => {
  const { old, newer: next, ask, serve, database } = await makeReleases();
  await ask(old, "migrate");
  const drops = newer.map((column) => `DROP COLUMN ${column}`);
  await server.psql(database, `ALTER TABLE headgate_runs ${drops.join(", ")}`);
  assert.equal((await ask(old, "verify")).exitCode, 0);
  const unchanged = await serve(old);
  assert.equal(unchanged.exitCode, 0, unchanged.stderr);
  assert.ok(!ran(unchanged));

  // Of a run by an older version nothing is known to compare with: in doubt the migrator runs.
  assert.equal((await ask(next, "migrate")).exitCode, 1);
  assert.equal((await ask(old, "verify")).exitCode, 3);
  assert.equal((await ask(old, "migrate")).exitCode, 0);
  next.add({ "3b.sql": "SELECT 3" });
  assert.equal((await ask(next, "migrate")).exitCode, 1);
  assertServes(await serve(old));
});

test("M7 a role that may not add columns to that table runs its migrator as an older version would, and says so", async () => {
  const { old, ask, database } = await makeReleases();
  await ask(old, "migrate");
  const drops = newer.map((column) => `DROP COLUMN ${column}`);
  const role = `writer_${database}`;
  await server.psql(
    database,
    `ALTER TABLE headgate_runs ${drops.join(", ")};
    CREATE ROLE ${role} LOGIN PASSWORD 'only-writes';
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}`,
  );
  old.args[1] = JSON.stringify(["true"]);
  const result = await runHeadgate(artifacts[0] ?? assert.fail(), ["migrate", ...old.args], {
    env: { DATABASE_URL: server.url(database, { user: role, password: "only-writes" }) },
  });
  assert.equal(result.exitCode, 0, result.stderr);
  assert.match(result.stderr, /cannot add columns to the table of an older version/);
  assert.deepEqual(
    await server.psql(database, "SELECT outcome FROM headgate_runs WHERE command = 'true'"),
    [{ outcome: "succeeded" }],
  );
});

test("M7 a correction of the old release, whose migrations are the same, starts beside a newer one that failed", async () => {
  // Alembic is known by its files and its table, whatever runs them.
  const { database, env } = await makeReleases();
  await server.psql(
    database,
    "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('a1')",
  );
  const release = (comment: string, revisions: string[], more: MigrationFiles = {}) => {
    const project = makeMigratorProject({ "1.sql": "SELECT 1", ...more });
    for (const revision of revisions) {
      const text = `# ${comment}\nrevision: str = "${revision}"\ndown_revision = None\n`;
      addMigrations(project.folder, { [`versions/${revision}.py`]: text });
    }
    const state = ["--migrator-inputs", "versions/*", "--migrator-state", "alembic_version"];
    return [...project.args.slice(0, 6), ...state];
  };
  const run = (args: string[], verb = "migrate") =>
    runHeadgate(artifacts[0] ?? assert.fail(), [verb, ...args], { env });
  assert.equal((await run(release("old", ["a1"]))).exitCode, 0);
  const failing = {
    "2.sql": "UPDATE alembic_version SET version_num = 'b2'",
    "3.sql": "SELECT 1/0",
  };
  assert.equal((await run(release("newer", ["a1", "b2"], failing))).exitCode, 1);
  const corrected = release("corrected", ["a1"], { "0.sql": "SELECT 1/0" });
  for (const verb of ["verify", "migrate"]) {
    const { exitCode, stderr } = await run(corrected, verb);
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /ahead of this image/);
  }
  const other = await run(release("other", ["a0"]), "verify");
  assert.equal(other.exitCode, 3, "it has never succeeded");
  // Where the table is at a revision that it has, it can go on, and does.
  await server.psql(database, "UPDATE alembic_version SET version_num = 'a1'");
  assert.equal((await run(corrected, "verify")).exitCode, 3);
});
