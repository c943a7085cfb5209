import assert from "node:assert/strict";
import { test } from "node:test";
import { artifacts, runHeadgate } from "../helpers/headgate.ts";
import { useServer } from "../helpers/use-server.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { knex, nodePgMigrate } from "./node-tools.ts";
import { alembic, django } from "./python-tools.ts";
import { dbmate } from "./sql-tools.ts";
import {
  appliedSteps,
  commandOf,
  environmentOf,
  fiveSteps,
  fiveStepsConcurrently,
  makeProject,
  requireTool,
  runBare,
  type Tool,
} from "./tool.ts";

const server = await useServer();

const replicas = 10;
const atOnce = <T>(start: () => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: replicas }, start));

const tools: readonly Tool[] = [alembic, knex, dbmate, nodePgMigrate];

for (const tool of tools) {
  for (const artifact of artifacts) {
    test(`L1 of ten replicas at once one runs ${tool.preset}, each migration is applied once, and all serve (${artifact.name})`, async (t) => {
      if (!requireTool(t, tool)) return;
      const database = await createDatabase(server);
      const env = environmentOf(server, database);
      // An index built concurrently waits for every transaction and snapshot, also those of replicas that wait for it.
      const { folder } = makeProject(tool, fiveStepsConcurrently);
      const args = ["--migrator", tool.preset, "--", "echo", "serving"];
      const results = await atOnce(() => runHeadgate(artifact, args, { cwd: folder, env }));
      for (const { exitCode, stdout, stderr } of results)
        assert.deepEqual([exitCode, stdout], [0, "serving\n"], stderr);
      const starts = results.flatMap(({ lines }) =>
        lines.filter(({ phase, msg }) => phase === "migrator" && msg === "started"),
      );
      assert.equal(starts.length, 1);
      assert.deepEqual(await appliedSteps(server, database), [1, 2, 4, 5]);
      const [index] = await server.psql<{ indisvalid: boolean }>(
        database,
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'things_name'::regclass",
      );
      assert.equal(index?.indisvalid, true);
    });
  }
}

/** A race need not be lost at the first try. */
const mostRounds = 10;
/** Where all are transactions, Knex commits its lock row too late for anybody to see it. */
const slowStep = { up: ["SELECT pg_sleep(1)"], inTransaction: false };

/** What ten at once come to without headgate: the tools that have no lock, and those whose lock nobody waits for. */
const alone: readonly { tool: Tool; outcome: string; error: RegExp }[] = [
  { tool: alembic, outcome: "race each other", error: /UniqueViolation|DuplicateTable/ },
  { tool: dbmate, outcome: "race each other", error: /already exists|duplicate key/ },
  { tool: django, outcome: "race each other", error: /UniqueViolation|DuplicateTable/ },
  { tool: knex, outcome: "fail where they come second", error: /already locked/ },
  { tool: nodePgMigrate, outcome: "fail where they come second", error: /already running/ },
];
for (const { tool, outcome, error } of alone) {
  test(`L1 without headgate ten of ${tool.preset} at once ${outcome}`, async (t) => {
    if (!requireTool(t, tool)) return;
    const project = makeProject(tool, [...fiveSteps, slowStep]);
    for (let round = 1; round <= mostRounds; round++) {
      const env = environmentOf(server, await createDatabase(server));
      const results = await atOnce(() => runBare(commandOf(tool), project, env));
      const failures = results.filter(({ exitCode }) => exitCode !== 0);
      if (!failures.some(({ all }) => error.test(all))) continue;
      t.diagnostic(`round ${round}: ${failures.length} of ${replicas} failed`);
      return;
    }
    assert.fail(`in ${mostRounds} rounds nothing went wrong`);
  });
}
