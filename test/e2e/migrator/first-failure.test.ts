import assert from "node:assert/strict";
import { test } from "node:test";
import { artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import type { MigrationFiles } from "../../helpers/migrations.ts";
import { makeMigratorProject, steps } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });
const [artifact] = artifacts;
assert.ok(artifact);

const broken = { ...steps, "3.mjs": 'export default () => { throw new Error("no 3") }' };

async function prepare(files: MigrationFiles = broken) {
  const project = makeMigratorProject(files);
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database) };
  const args = ["migrate", ...project.args];
  const boot = () => runHeadgate(artifact as (typeof artifacts)[number], args, { env });
  const problems = async (): Promise<string> => {
    const { exitCode, lines, stderr } = await boot();
    assert.equal(exitCode, 1, stderr);
    return ((lines.at(-1)?.["problems"] ?? []) as string[]).join();
  };
  return { project, database, env, args, boot, problems };
}

test("T2 a table of runs that an older headgate has made gets the column for the first failure", async () => {
  const { database, boot, problems } = await prepare(steps);
  assert.equal((await boot()).exitCode, 0);
  await server.psql(
    database,
    "ALTER TABLE headgate_runs DROP COLUMN first_failure; DELETE FROM steps_done; DELETE FROM headgate_runs",
  );
  assert.equal(await problems(), "");
  assert.match(await problems(), /first failed in the same way at \d{4}-/);
});

test("T2 a role that may write to the table of runs and does not own it fails as before", async () => {
  const { database, boot, args } = await prepare();
  assert.equal((await boot()).exitCode, 1);
  const role = `mover_${database}`;
  await server.psql(
    database,
    `CREATE ROLE ${role} LOGIN PASSWORD 'may-not-alter'; ALTER TABLE headgate_runs DROP COLUMN first_failure;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}; GRANT ALL ON SCHEMA public TO ${role}`,
  );
  const env = { DATABASE_URL: server.url(database, { user: role, password: "may-not-alter" }) };
  for (const _ of [1, 2]) {
    const { exitCode, stderr } = await runHeadgate(artifact, args, { env });
    assert.equal(exitCode, 1, stderr);
    assert.match(stderr, /no 3/);
  }
});

test("T2 a run that is killed in between does not lose the first failure, and other files have their own", async () => {
  const { project, env, args, problems } = await prepare();
  assert.equal(await problems(), "");
  const status = await runHeadgate(artifact, ["status", ...project.args], { env });
  assert.match(status.stdout, /^first failed \d{4}-\d\d-\d\d .* UTC, run by headgate/m);

  // As a node that dies while the lock is held: what the earlier run has noted is carried over when a run begins.
  const running = await startHeadgate(artifact, [...args, "--before", "sleep 60"], { env });
  await running.waitForLog("started");
  running.signal("SIGKILL");
  await running.result;
  assert.match(await problems(), /first failed/);

  project.add({ "3.mjs": `// corrected, and wrong\n${broken["3.mjs"]}` });
  assert.equal(await problems(), "", "these files have not failed before");
});
