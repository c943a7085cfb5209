/** Layouts other than the proposed ones, and two releases side by side, with the real tools. */
import assert from "node:assert/strict";
import { appendFileSync, cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { testOn } from "../helpers/everywhere.ts";
import { eventually } from "../helpers/eventually.ts";
import { artifacts, type HeadgateResult, runHeadgate, startHeadgate } from "../helpers/headgate.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { useServer } from "../helpers/use-server.ts";
import { drizzle, knex, typeorm } from "./node-tools.ts";
import { alembic } from "./python-tools.ts";
import { dbmate, sqitch } from "./sql-tools.ts";
import {
  appliedSteps,
  environmentOf,
  fiveSteps,
  makeProject,
  type Project,
  requireTool,
  runBare,
  sixthStep,
  type Step,
  type Tool,
} from "./tool.ts";

const server = await useServer();

async function makeWorld(tool: Tool, artifact = artifacts[0] ?? assert.fail()) {
  const database = await createDatabase(server);
  const env = environmentOf(server, database);
  const options = (project: Project) => ({ cwd: project.folder, env });
  const args = ["--migrator", tool.preset];
  return {
    env,
    ask: (verb: string, project: Project, more: string[] = []) =>
      runHeadgate(artifact, [verb, ...args, ...more], options(project)),
    serve: (project: Project, more: string[] = []) =>
      runHeadgate(artifact, [...args, ...more, "--", "echo", "serving"], options(project)),
    start: (project: Project) => startHeadgate(artifact, ["migrate", ...args], options(project)),
    applied: () => appliedSteps(server, database),
  };
}

const started = ({ lines }: HeadgateResult): boolean =>
  lines.some(({ phase, msg }) => phase === "migrator" && msg === "started");

function assertServes(result: HeadgateResult, isStarted: boolean): void {
  assert.deepEqual([result.exitCode, result.stdout], [0, "serving\n"], result.stderr);
  assert.equal(started(result), isStarted, result.stderr);
}

/** A folder that the tool is told to have its migrations in, instead of the one it proposes. */
type Elsewhere = {
  readonly tool: Tool;
  readonly from: string;
  readonly to: string;
  readonly configure?: (folder: string) => void;
  readonly env?: Record<string, string>;
};

function edit(folder: string, name: string, before: string | RegExp, after: string): void {
  const file = join(folder, name);
  const text = readFileSync(file, "utf8");
  const edited = text.replace(before, () => after);
  assert.notEqual(edited, text);
  writeFileSync(file, edited);
}

const elsewhere: readonly Elsewhere[] = [
  {
    ...{ tool: alembic, from: "alembic", to: "src/migrations" },
    configure: (folder) =>
      edit(folder, "alembic.ini", /^script_location = .*/m, "script_location = src/migrations"),
  },
  {
    ...{ tool: knex, from: "migrations", to: "apps/api/src/database/migrations" },
    configure: (folder) =>
      edit(
        folder,
        "knexfile.js",
        "client:",
        'migrations: { directory: "./apps/api/src/database/migrations" }, client:',
      ),
  },
  {
    ...{ tool: dbmate, from: "db/migrations", to: "sql" },
    env: { DBMATE_MIGRATIONS_DIR: "./sql" },
  },
  {
    ...{ tool: sqitch, from: "deploy", to: "db/up" },
    configure: (folder) =>
      edit(folder, "sqitch.conf", "engine = pg", "engine = pg\n\tdeploy_dir = db/up"),
  },
  {
    ...{ tool: typeorm, from: "dist/migrations", to: "dist/db/steps" },
    configure: (folder) =>
      edit(folder, "dist/data-source.js", '"dist/migrations/*.js"', '__dirname + "/db/steps/*.js"'),
  },
  {
    ...{ tool: drizzle, from: "drizzle", to: "db/out" },
    configure: (folder) => edit(folder, "drizzle.config.js", "./drizzle", "./db/out"),
  },
];

for (const { tool, from, to, configure, env = {} } of elsewhere) {
  test(`M7 --migrator ${tool.preset} runs for a new file also where the tool's own configuration has the folder elsewhere`, async (t) => {
    if (!requireTool(t, tool)) return;
    const world = await makeWorld(tool);
    Object.assign(world.env, env);
    const project = makeProject(tool, fiveSteps);
    const move = (source: string, target: string): void => {
      cpSync(join(project.folder, source), join(project.folder, target), { recursive: true });
      rmSync(join(project.folder, source), { recursive: true });
    };
    configure?.(project.folder);
    move(from, to);
    assertServes(await world.serve(project), true);
    assertServes(await world.serve(project), false);
    move(to, from);
    project.add(sixthStep);
    move(from, to);
    const verified = await world.ask("verify", project);
    assert.equal(verified.exitCode, 3, verified.stderr);
    assertServes(await world.serve(project), true);
    assert.deepEqual(await world.applied(), [1, 2, 3, 4, 5, 6]);

    rmSync(join(project.folder, to), { recursive: true });
    const refused = await world.ask("verify", project);
    assert.equal(refused.exitCode, 64, refused.stderr);
    assert.match(refused.stderr, /none of the migrations of .* is there/);
  });
}

/** Changes what no migration depends on, as the correction of a release does. */
const files: { readonly [preset: string]: readonly [name: string, text: string] } = {
  alembic: ["alembic/env.py", "\n# a correction\n"],
  knex: ["knexfile.js", "\n// a correction\n"],
};
function correct(project: Project): Project {
  const copy = project.copy();
  const [name, text] = files[project.tool.preset] ?? assert.fail();
  appendFileSync(join(copy.folder, name), text);
  return copy;
}

/** Commits what is before it. */
const beside = (sql: string): Step => ({ up: [sql], inTransaction: false });

for (const tool of [alembic, knex]) {
  for (const artifact of artifacts) {
    testOn(
      artifact,
      `M7 --migrator ${tool.preset}: a newer release that is under way, was stopped or has failed half-way leaves the older one serving`,
      async (t) => {
        if (!requireTool(t, tool)) return;
        const world = await makeWorld(tool, artifact);
        const older = makeProject(tool, fiveSteps);
        assertServes(await world.serve(older), true);
        const newer = older.copy();
        newer.add(sixthStep);
        const failing = newer.copy();
        newer.add(beside("SELECT pg_sleep(600)"));
        failing.add(beside("SELECT 1/0"));
        const check = async (): Promise<void> => {
          for (const project of [older, correct(older)]) {
            assertServes(await world.serve(project, ["--lock-wait", "1ms"]), false);
            const verified = await world.ask("verify", project);
            assert.equal(verified.exitCode, 0, verified.stderr);
          }
        };

        const running = await world.start(newer);
        const isCommitted = async () => (await world.applied()).includes(6);
        await eventually("the first of its two migrations is committed", isCommitted);
        await check();
        running.signal("SIGTERM");
        assert.equal((await running.result).exitCode, 143);
        await check();

        const unlocked = await runBare(
          tool === knex ? ["node_modules/.bin/knex", "migrate:unlock"] : ["true"],
          newer,
          world.env,
        );
        assert.equal(unlocked.exitCode, 0, unlocked.all);
        const failed = await world.ask("migrate", failing);
        assert.equal(failed.exitCode, 1, failed.stderr);
        await check();
        assert.equal((await world.ask("verify", failing)).exitCode, 3);
        assert.deepEqual(await world.applied(), [1, 2, 3, 4, 5, 6]);
      },
    );

    testOn(
      artifact,
      `M7 --migrator ${tool.preset}: a release whose migration was taken back is run again, also after the older one ran`,
      async (t) => {
        if (!requireTool(t, tool)) return;
        const world = await makeWorld(tool, artifact);
        const older = makeProject(tool, fiveSteps);
        const newer = older.copy();
        newer.add(sixthStep);
        assertServes(await world.serve(older), true);
        assertServes(await world.serve(newer), true);
        const back = await runBare(tool.down ?? [], newer, world.env);
        assert.equal(back.exitCode, 0, back.all);
        assertServes(await world.serve(correct(older)), true);
        assert.equal((await world.ask("verify", newer)).exitCode, 3);
        assertServes(await world.serve(newer), true);
        assert.deepEqual(await world.applied(), [1, 2, 3, 4, 5, 6, -6, 6]);
        assertServes(await world.serve(older), false);
      },
    );
  }
}
