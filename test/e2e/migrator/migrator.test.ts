import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { migratorKeys } from "../../../src/lock/key.ts";
import { artifacts, type HeadgateResult, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { makeMigratorProject, type MigratorProject, steps } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const ran = ({ lines }: HeadgateResult): boolean =>
  lines.some(({ msg, phase }) => phase === "migrator" && msg === "migrated");

async function prepare(project: MigratorProject, artifact = artifacts[0]) {
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database) };
  if (artifact === undefined) throw new Error("no artifact");
  const boot = (more: string[] = [], also: Record<string, string> = {}): Promise<HeadgateResult> =>
    runHeadgate(artifact, ["migrate", ...project.args, ...more], { env: { ...env, ...also } });
  const ask = (verb: string, more: string[] = []): Promise<HeadgateResult> =>
    runHeadgate(artifact, [verb, ...project.args, ...more], { env });
  return { database, env, boot, ask };
}

const why = ({ lines }: HeadgateResult): unknown =>
  lines.find(({ msg }) => msg === "locked")?.["why"];

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L1 of ten replicas that start at once one runs the migrator, and all serve",
    async () => {
      const project = makeMigratorProject({ ...steps, "3.sql": "SELECT pg_sleep(0.5)" });
      const database = await createDatabase(server);
      const args = [...project.args, "--", "echo", "serving"];
      const env = { DATABASE_URL: server.url(database) };
      const results = await Promise.all(
        Array.from({ length: 10 }, () => runHeadgate(artifact, args, { env })),
      );
      for (const { exitCode, stdout, stderr } of results) {
        assert.deepEqual([exitCode, stdout], [0, "serving\n"], stderr);
      }
      assert.equal(results.filter(ran).length, 1);
      const log = await server.psql(database, "SELECT name FROM log");
      assert.deepEqual(log, [{ name: "1.sql" }, { name: "2.sql" }, { name: "3.sql" }]);
    },
  );

  testOn(
    artifact,
    "L3 with nothing to do the migrator is not started, and nothing waits for a lock",
    async () => {
      const project = makeMigratorProject();
      const { database, boot, ask } = await prepare(project, artifact);
      assert.ok(ran(await boot()));
      // From now on a start of it would be seen.
      await server.psql(database, "DROP TABLE log; CREATE TABLE log (nobody int)");
      const holder = await server.connect(database);
      const { own } = migratorKeys("public", "headgate_runs", "steps_done");
      await holder.query(`SELECT pg_advisory_lock(${own.key})`);
      const again = await boot(["--lock-wait", "1ms"]);
      assert.equal(again.exitCode, 0, again.stderr);
      assert.equal(again.lines.at(-1)?.msg, "found nothing pending");

      project.add({ "3.sql": "SELECT 1" });
      const waited = await boot(["--lock-wait", "1ms"]);
      await holder.end();
      assert.equal(waited.exitCode, 75);
      assert.match(String(waited.lines.at(-1)?.msg), /held by .*\(pid \d+/);
      rmSync(`${project.folder}/steps/3.sql`);
      const verified = await ask("verify");
      assert.match(verified.stdout, /left it at .*, none pending\n$/);
    },
  );

  testOn(
    artifact,
    "L3 a look works for a role that may only read, and on a read-only database",
    async () => {
      const project = makeMigratorProject();
      const { database, boot } = await prepare(project, artifact);
      await boot();
      await server.psql(
        database,
        `CREATE ROLE reader_${database} LOGIN PASSWORD 'only-reads'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_${database};
      ALTER DATABASE ${database} SET default_transaction_read_only = on`,
      );
      const DATABASE_URL = server.url(database, {
        user: `reader_${database}`,
        password: "only-reads",
      });
      for (const [verb, wanted] of [
        ["verify", /none pending/],
        ["status", /now +up to date/],
      ] as const) {
        const { exitCode, stdout, stderr } = await runHeadgate(artifact, [verb, ...project.args], {
          env: { DATABASE_URL },
        });
        assert.equal(exitCode, 0, stderr);
        assert.match(stdout, wanted);
      }
    },
  );
}

test("M7 any change of the files, the command or the migrator's own table runs it again", async () => {
  const project = makeMigratorProject();
  const { database, boot, ask } = await prepare(project);
  assert.match(String(why(await boot())), /no successful run is recorded/);
  assert.equal(why(await boot()), undefined);

  project.add({ "3.sql": "INSERT INTO things VALUES (3)" });
  assert.equal((await ask("verify")).exitCode, 3);
  assert.equal((await ask("status", ["--exit-code"])).exitCode, 3);
  assert.match(String(why(await boot())), /the inputs have changed/);
  assert.equal((await ask("verify")).exitCode, 0);

  await server.psql(database, "DELETE FROM steps_done WHERE name = '3.sql'; DELETE FROM things");
  assert.match((await ask("verify")).stderr, /own table has changed/);
  assert.match(String(why(await boot())), /own table has changed/);
  assert.deepEqual(await server.psql(database, "SELECT id FROM things"), [{ id: 3 }]);

  const command = project.args[1]?.replace("]", ',"--other"]') ?? "";
  const other = [...project.args.slice(2), "--migrator", command];
  const [artifact] = artifacts;
  assert.ok(artifact);
  const env = { DATABASE_URL: server.url(database) };
  const changed = await runHeadgate(artifact, ["migrate", ...other], { env });
  assert.match(String(why(changed)), /the inputs have changed/);
});

test("M7 an older image on a newer database serves, and says that the database is ahead", async () => {
  const project = makeMigratorProject();
  const { boot, ask } = await prepare(project);
  await boot();
  project.add({ "3.sql": "INSERT INTO things VALUES (3)" });
  await boot();
  rmSync(`${project.folder}/steps/3.sql`);

  const older = await boot();
  assert.equal(older.exitCode, 0, older.stderr);
  assert.ok(!ran(older));
  assert.match(older.stderr, /the database ahead of this image/);
  assert.equal((await ask("verify")).exitCode, 0);
  assert.match((await ask("status")).stdout, /now +ahead of this image/);
  for (const verb of ["migrate", "verify"]) {
    const refused = await ask(verb, ["--on-ahead", "fail"]);
    assert.equal(refused.exitCode, 65);
    assert.match(refused.stderr, /ran a newer one's migrator/);
  }
});

test("M7 in doubt the migrator runs: without inputs, without its table, after a failure", async () => {
  const project = makeMigratorProject();
  const { database, boot, ask } = await prepare(project);
  const [artifact] = artifacts;
  assert.ok(artifact);
  const env = { DATABASE_URL: server.url(database) };
  const bare = project.args.slice(0, 4);
  for (const _ of [1, 2]) {
    const each = await runHeadgate(artifact, ["migrate", ...bare], { env });
    assert.match(String(why(each)), /no --migrator-inputs are named/);
  }
  const unsure = await runHeadgate(artifact, ["verify", ...bare], { env });
  assert.equal(unsure.exitCode, 64);
  assert.match(unsure.stderr, /cannot know whether .* has anything to do/);

  const elsewhere = [...project.args.slice(0, 6), "--migrator-state", "no_such.table_here"];
  for (const _ of [1, 2]) {
    const each = await runHeadgate(artifact, ["migrate", ...elsewhere], { env });
    assert.equal(each.exitCode, 0);
    assert.ok(ran(each));
    assert.match(each.stderr, /found no table of the migrator's own/);
  }

  await boot();
  project.add({ "3.sql": "SELECT 1/0" });
  const failed = await boot();
  assert.equal(failed.exitCode, 1);
  assert.match(
    String(failed.lines.at(-1)?.msg),
    /^the migrator `.*` ended with exit code 1: division by zero$/,
  );
  assert.match(failed.stderr, /division by zero/);
  project.add({ "3.sql": "SELECT 1" });
  assert.ok(ran(await boot()));
  project.add({ "3.sql": "SELECT 1/0" });
  // The same files once more: that they failed is remembered, but not as a success.
  assert.equal((await boot()).exitCode, 0, "its own table says that 3.sql is applied");
  const { stdout } = await ask("status", ["--json"]);
  const { runs } = JSON.parse(stdout) as { runs: { outcome: string }[] };
  assert.ok(runs.every(({ outcome }) => outcome === "succeeded"));
});

test("M7 a role that may not record a run still runs it, each time, and says so", async () => {
  const project = makeMigratorProject();
  const { database } = await prepare(project);
  const role = `mover_${database}`;
  await server.psql(
    database,
    `CREATE ROLE ${role} LOGIN PASSWORD 'may-not-create'; CREATE SCHEMA own AUTHORIZATION ${role};
    CREATE SCHEMA kept; GRANT USAGE ON SCHEMA kept TO ${role}`,
  );
  await server.psql(database, `ALTER ROLE ${role} SET search_path = own`);
  const env = { DATABASE_URL: server.url(database, { user: role, password: "may-not-create" }) };
  const [artifact] = artifacts;
  assert.ok(artifact);
  for (const _ of [1, 2]) {
    const each = await runHeadgate(
      artifact,
      ["migrate", ...project.args, "--history-table", "kept.runs"],
      { env },
    );
    assert.equal(each.exitCode, 0, each.stderr);
    assert.ok(ran(each));
    assert.match(each.stderr, /cannot record the run; it will run at every start/);
  }
});

test("L8 two services with tables of their own for their migrators do not wait for each other", async () => {
  const one = makeMigratorProject();
  const { database, env, boot } = await prepare(one);
  await boot();
  await server.psql(database, "CREATE TABLE other_done (name text)");
  const two = makeMigratorProject();
  const [artifact] = artifacts;
  assert.ok(artifact);
  const args = ["migrate", ...two.args.slice(0, 6), "--migrator-state", "other_done"];
  const other = await runHeadgate(artifact, args, { env });
  assert.equal(other.exitCode, 0, other.stderr);
  assert.ok(!ran(await boot()), "the record of the first is still there");
  const names = await server.psql(database, "SELECT name FROM headgate_runs ORDER BY name");
  assert.deepEqual(names, [{ name: "other_done" }, { name: "steps_done" }]);
});

test("M7 a table of another tool's with the name of the records is refused with the remedy", async () => {
  const { database, boot } = await prepare(makeMigratorProject());
  await server.psql(database, "CREATE TABLE headgate_runs (other int)");
  const { exitCode, stderr } = await boot();
  assert.equal(exitCode, 65);
  assert.match(
    stderr,
    /choose another name with --history-table.*does not hold runs of a migrator/,
  );
});
