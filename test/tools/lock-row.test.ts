import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../helpers/eventually.ts";
import { useServer } from "../helpers/use-server.ts";
import { artifacts, runHeadgate, startHeadgate } from "../helpers/headgate.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { knex } from "./node-tools.ts";
import { appliedSteps, environmentOf, fiveSteps, makeProject } from "./tool.ts";

const server = await useServer({ own: true });

test("S4 the lock row that a stopped Knex leaves behind is undone by --before, under headgate's own lock", async () => {
  const [artifact] = artifacts;
  assert.ok(artifact);
  // With one migration that is no transaction, Knex commits its lock row before it begins.
  const wait = "SELECT pg_advisory_lock(42)";
  const project = makeProject(knex, [...fiveSteps, { up: [wait], inTransaction: false }]);
  const database = await createDatabase(server);
  const place = { cwd: project.folder, env: environmentOf(server, database) };
  const args = ["migrate", "--migrator", "knex"];
  const gate = await server.connect(database);
  await gate.query(wait);
  const running = await startHeadgate(artifact, args, place);
  await eventually("the last migration is held", async () => {
    const sql = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted";
    return (await server.psql(database, sql)).length > 0;
  });
  running.signal("SIGTERM");
  assert.equal((await running.result).exitCode, 143);
  await gate.end();

  const again = await runHeadgate(artifact, args, place);
  assert.equal(again.exitCode, 1);
  assert.match(again.stderr, /[Mm]igration table is already locked/);
  const unlock = ["--before", "node_modules/.bin/knex migrate:unlock"];
  const unlocked = await runHeadgate(artifact, [...args, ...unlock], place);
  assert.equal(unlocked.exitCode, 0, unlocked.stderr);
  assert.deepEqual(await appliedSteps(server, database), [1, 2, 3, 4, 5]);
});
