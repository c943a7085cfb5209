import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lockKeys, migratorKeys } from "../../../src/lock/key.ts";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import {
  type HeadgateResult,
  artifacts,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { addMigrations, happy, makeMigrations } from "../../helpers/migrations.ts";
import { makeMigratorProject, type MigratorProject } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

type World = {
  database: string;
  folder: string;
  file: string;
  /** Runs a command on the folder and the database. */
  ask: (
    verb: string,
    args?: string[],
    artifact?: (typeof artifacts)[number],
  ) => Promise<HeadgateResult>;
  applied: () => Promise<string[]>;
};

async function makeWorld(files = happy): Promise<World> {
  const database = await createDatabase(server);
  const folder = makeMigrations(files);
  const file = join(temporaryFolder("headgate-plan-"), "plan.json");
  return {
    ...{ database, folder, file },
    ask: (verb, args = [], artifact = artifacts[0] ?? assert.fail()) =>
      runHeadgate(artifact, [verb, "--migrations", folder, ...args], {
        env: { DATABASE_URL: server.url(database) },
      }),
    applied: async () => {
      const [there] = await server.psql(database, "select to_regclass('migrations') as there");
      if (there?.["there"] === null) return [];
      const rows = await server.psql<{ name: string }>(
        database,
        "select name from migrations where id > 0 order by id",
      );
      return rows.map(({ name }) => name);
    },
  };
}

const names = ["create-accounts", "add-account-name", "index-account-names"];
const problemsOf = ({ lines }: HeadgateResult): string =>
  ((lines.at(-1)?.["problems"] ?? []) as string[]).join("\n");

test("N11 a password that is a word of the plan does not make it another plan, nor is it told", async () => {
  const world = await makeWorld({
    "1_migrator-tables.sql": "CREATE TABLE migrator_log ();\nSELECT 'migrator' = '1';",
  });
  await server.psql("postgres", "CREATE ROLE worded SUPERUSER LOGIN PASSWORD 'migrator'");
  const env = {
    DATABASE_URL: server.url(world.database, { user: "worded", password: "migrator" }),
    HEADGATE_MIGRATIONS: world.folder,
  };
  const run = (...args: string[]) => runHeadgate(artifacts[0] ?? assert.fail(), args, { env });
  const planned = await run("plan", "--out", world.file);
  assert.equal(planned.exitCode, 0, planned.stderr);
  assert.doesNotMatch(readFileSync(world.file, "utf8"), /SELECT 'migrator'/);
  const migrated = await run("migrate", "--plan", world.file);
  assert.equal(migrated.exitCode, 0, migrated.stderr);
  assert.deepEqual(await world.applied(), ["migrator-tables"]);
});

for (const artifact of artifacts) {
  testOn(
    artifact,
    "N11 migrate --plan applies exactly what was approved, and does nothing the second time",
    async () => {
      const world = await makeWorld();
      const planned = await world.ask("plan", ["--out", world.file], artifact);
      assert.equal(planned.exitCode, 0, planned.stderr);
      assert.deepEqual(await world.applied(), []);
      for (let time = 1; time <= 2; time++) {
        const { exitCode, stderr } = await world.ask("migrate", ["--plan", world.file], artifact);
        assert.equal(exitCode, 0, stderr);
        assert.deepEqual(await world.applied(), names);
      }
    },
  );
}

test("N11 a file that was edited, added or left out since the approval stops everything with exit code 65", async () => {
  const changes: [RegExp, (world: World) => void][] = [
    [
      /^2 add-account-name in the folder is another than was approved \(2 add-account-name, checksum [0-9a-f]{40} instead of [0-9a-f]{40}\)$/,
      ({ folder }) =>
        addMigrations(folder, { "2_add-account-name.sql": "ALTER TABLE accounts ADD x int;" }),
    ],
    [
      /^4 more is in the folder, and was not when the plan was approved$/,
      ({ folder }) => addMigrations(folder, { "4_more.sql": "CREATE TABLE more ();" }),
    ],
    [
      /^3 index-account-names was approved, and is not in the folder$/,
      (world) => {
        const plan = readFileSync(world.file, "utf8");
        world.folder = makeMigrations(Object.fromEntries(Object.entries(happy).slice(0, 2)));
        writeFileSync(world.file, plan);
      },
    ],
  ];
  for (const [problem, change] of changes) {
    const world = await makeWorld();
    assert.equal((await world.ask("plan", ["--out", world.file])).exitCode, 0);
    change(world);
    const result = await runHeadgate(
      artifacts[0] ?? assert.fail(),
      ["migrate", "--migrations", world.folder, "--plan", world.file],
      { env: { DATABASE_URL: server.url(world.database) } },
    );
    assert.equal(result.exitCode, 65, result.stderr);
    assert.match(problemsOf(result), problem);
    assert.match(
      String(result.lines.at(-1)?.["msg"]),
      /not what was approved in .*; nothing was changed/,
    );
    assert.deepEqual(await world.applied(), []);
  }
});

test("N11 a database that has moved on since the approval stops everything, but a run that failed half-way may go on", async () => {
  const world = await makeWorld();
  assert.equal((await world.ask("plan", ["--out", world.file])).exitCode, 0);
  // The second file fails, and succeeds when its table is there again.
  await server.psql(world.database, "create table accounts_name_idx ()");
  const failed = await world.ask("migrate", ["--plan", world.file]);
  assert.equal(failed.exitCode, 1, failed.stderr);
  assert.deepEqual(await world.applied(), names.slice(0, 2));
  await server.psql(world.database, "drop table accounts_name_idx");
  const again = await world.ask("migrate", ["--plan", world.file]);
  assert.equal(again.exitCode, 0, again.stderr);
  assert.deepEqual(await world.applied(), names);

  const other = await makeWorld();
  assert.equal((await other.ask("plan", ["--out", other.file])).exitCode, 0);
  assert.equal((await other.ask("migrate")).exitCode, 0);
  addMigrations(other.folder, { "4_more.sql": "CREATE TABLE more ();" });
  assert.equal((await other.ask("plan", ["--out", other.file])).exitCode, 0);
  await server.psql(
    other.database,
    "delete from migrations where id = 3; drop index accounts_name_idx",
  );
  const behind = await other.ask("migrate", ["--plan", other.file]);
  assert.equal(behind.exitCode, 65);
  assert.deepEqual(await other.applied(), names.slice(0, 2));
});

test("N11 a history that changes while headgate waits for the lock is held to the plan again under it", async () => {
  const world = await makeWorld({ "1_create-accounts.sql": happy["1_create-accounts.sql"] ?? "" });
  assert.equal((await world.ask("migrate")).exitCode, 0);
  addMigrations(world.folder, happy);
  assert.equal((await world.ask("plan", ["--out", world.file])).exitCode, 0);
  const holder = await server.connect(world.database);
  await holder.query(`select pg_advisory_lock(${lockKeys("public", "migrations").own.key})`);
  const running = await startHeadgate(
    artifacts[0] ?? assert.fail(),
    ["migrate", "--migrations", world.folder, "--plan", world.file],
    { env: { DATABASE_URL: server.url(world.database) } },
  );
  await running.waitForLog("waiting for the lock");
  await holder.query("begin; delete from migrations where id = 1; drop table accounts; commit");
  await holder.end();
  const refused = await running.result;
  assert.equal(refused.exitCode, 65, refused.stderr);
  assert.match(problemsOf(refused), /^1 create-accounts was approved, and is not in the history/);
  assert.deepEqual(await world.applied(), []);
});

test("N11 of several sets none is begun when one of them is not as it was approved", async () => {
  const world = await makeWorld();
  const second = makeMigrations({ "1_b.sql": "CREATE TABLE b ();" });
  const sets = JSON.stringify([
    { name: "a", migrations: world.folder, "history-table": "migrations" },
    { name: "b", migrations: second, "history-table": "b_migrations" },
  ]);
  const ask = (verb: string, args: string[]): Promise<HeadgateResult> =>
    runHeadgate(artifacts[0] ?? assert.fail(), [verb, "--sets", sets, ...args], {
      env: { DATABASE_URL: server.url(world.database) },
    });
  assert.equal((await ask("plan", ["--out", world.file])).exitCode, 0);
  addMigrations(second, { "1_b.sql": "CREATE TABLE c ();" });
  const refused = await ask("migrate", ["--plan", world.file]);
  assert.equal(refused.exitCode, 65, refused.stderr);
  assert.match(problemsOf(refused), /^b: 1 b in the folder is another than was approved/);
  assert.deepEqual(await world.applied(), []);
});

/** A migrator that is held to a plan, and what it would do. */
async function makeMigrator(): Promise<World & { project: MigratorProject }> {
  const project = makeMigratorProject();
  const world = await makeWorld();
  return {
    ...{ ...world, project },
    ask: (verb, args = [], artifact = artifacts[0] ?? assert.fail()) =>
      runHeadgate(artifact, [verb, ...project.args, ...args], {
        env: { DATABASE_URL: server.url(world.database) },
      }),
  };
}

test("N11 a migrator is held to the files that it had when the plan was approved", async () => {
  const { ask, file, project } = await makeMigrator();
  assert.equal((await ask("plan", ["--out", file])).exitCode, 0);
  for (const _ of [1, 2]) {
    const approved = await ask("migrate", ["--plan", file]);
    assert.equal(approved.exitCode, 0, approved.stderr);
  }
  project.add({ "2.sql": "SELECT 2" });
  const refused = await ask("migrate", ["--plan", file]);
  assert.equal(refused.exitCode, 65);
  assert.match(problemsOf(refused), /^the files of `.*` are others than were approved$/);
});

const approvedStep = { "3.sql": "INSERT INTO things SELECT 3 FROM gate" };

for (const artifact of artifacts) {
  testOn(
    artifact,
    "N11 a migrator is held to the state that its tables had when the plan was approved, but a run that failed may go on",
    async () => {
      const { ask, file, project, database } = await makeMigrator();
      assert.equal((await ask("migrate")).exitCode, 0);
      project.add(approvedStep);
      assert.equal((await ask("plan", ["--out", file], artifact)).exitCode, 0);
      await server.psql(database, "DELETE FROM steps_done; DROP TABLE things");
      const refused = await ask("migrate", ["--plan", file], artifact);
      assert.equal(refused.exitCode, 65, refused.stderr);
      assert.match(problemsOf(refused), /^what `.*` has applied to the database is other than/);
      assert.deepEqual(await server.psql(database, "SELECT name FROM steps_done"), []);

      // Of its two steps the first is committed when the second fails.
      project.add({ "4.sql": approvedStep["3.sql"], "3.sql": "INSERT INTO things VALUES (3)" });
      assert.equal((await ask("plan", ["--out", file], artifact)).exitCode, 0);
      for (const _ of [1, 2]) {
        const failed = await ask("migrate", ["--plan", file], artifact);
        assert.equal(failed.exitCode, 1, failed.stderr);
      }
      await server.psql(database, "CREATE TABLE gate (a int)");
      const again = await ask("migrate", ["--plan", file], artifact);
      assert.equal(again.exitCode, 0, again.stderr);
    },
  );
}

test("N11 a migrator whose state changes while headgate waits for the lock is held to the plan again under it", async () => {
  const { ask, file, project, database } = await makeMigrator();
  assert.equal((await ask("migrate")).exitCode, 0);
  project.add(approvedStep);
  assert.equal((await ask("plan", ["--out", file])).exitCode, 0);
  const holder = await server.connect(database);
  const { own } = migratorKeys("public", "headgate_runs", "steps_done");
  await holder.query(`select pg_advisory_lock(${own.key})`);
  const running = await startHeadgate(
    artifacts[0] ?? assert.fail(),
    ["migrate", ...project.args, "--plan", file],
    { env: { DATABASE_URL: server.url(database) } },
  );
  await running.waitForLog("waiting for the lock");
  await holder.query("delete from steps_done where name = '2.sql'");
  await holder.end();
  const refused = await running.result;
  assert.equal(refused.exitCode, 65, refused.stderr);
  assert.match(problemsOf(refused), /is other than when the plan was approved$/);
});

test("N11 a migrator of which nothing tells what it has applied is refused, and so is a plan that does not tell", async () => {
  const { ask, file, project } = await makeMigrator();
  assert.equal((await ask("plan", ["--out", file])).exitCode, 0);
  const plan = JSON.parse(readFileSync(file, "utf8")) as {
    sets: { migrator: { state?: string } }[];
  };
  delete plan.sets[0]?.migrator.state;
  writeFileSync(file, JSON.stringify(plan));
  const untold = await ask("migrate", ["--plan", file]);
  assert.equal(untold.exitCode, 65, untold.stderr);

  project.args.splice(6, 2);
  assert.equal((await ask("plan", ["--out", file])).exitCode, 0);
  const refused = await ask("migrate", ["--plan", file]);
  assert.equal(refused.exitCode, 65, refused.stderr);
  assert.match(problemsOf(refused), /no --migrator-state is named/);
});

test("N11 a file that is no plan is a usage error before anything is connected to", async () => {
  const world = await makeWorld();
  const missing = await world.ask("migrate", ["--plan", world.file]);
  assert.equal(missing.exitCode, 64);
  assert.match(problemsOf(missing), /^--plan: cannot read the plan .*plan\.json \(ENOENT\)$/);
  for (const text of ["{", "{}", "null", `{"version":2,"sets":[]}`, `{"version":1,"sets":[{}]}`]) {
    writeFileSync(world.file, text);
    const { exitCode } = await world.ask("migrate", ["--plan", world.file]);
    assert.equal(exitCode, 64, text);
  }
});
