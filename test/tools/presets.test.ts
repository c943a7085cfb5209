import assert from "node:assert/strict";
import { test } from "node:test";
import { artifacts, type HeadgateResult, runHeadgate } from "../helpers/headgate.ts";
import { useServer } from "../helpers/use-server.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { tools } from "./tools.ts";
import {
  appliedSteps,
  commandOf,
  environmentOf,
  fiveSteps,
  makeProject,
  type Project,
  requireTool,
  runBare,
  sixthStep,
} from "./tool.ts";

const server = await useServer();

const started = ({ lines }: HeadgateResult): boolean =>
  lines.some(({ phase, msg }) => phase === "migrator" && msg === "started");
const why = ({ lines }: HeadgateResult): unknown =>
  lines.find(({ msg }) => msg === "locked")?.["why"];

for (const tool of tools) {
  const prepare = async () => {
    const database = await createDatabase(server);
    const env = environmentOf(server, database);
    const boot = async (project: Project, artifact = artifacts[0]): Promise<HeadgateResult> => {
      assert.ok(artifact);
      const args = ["--migrator", tool.preset, "--", "echo", "serving"];
      const result = await runHeadgate(artifact, args, { cwd: project.folder, env });
      assert.deepEqual([result.exitCode, result.stdout], [0, "serving\n"], result.stderr);
      return result;
    };
    const bare = (command: readonly string[], project: Project) => runBare(command, project, env);
    const applied = () => appliedSteps(server, database);
    return { database, boot, bare, applied };
  };
  const title = `--migrator ${tool.preset}`;

  for (const artifact of artifacts) {
    test(`L3 ${title} runs on the tool's own layout, is not started with nothing to do, and runs for a new file (${artifact.name})`, async (t) => {
      if (!requireTool(t, tool)) return;
      const { boot, applied } = await prepare();
      const project = makeProject(tool, fiveSteps);
      assert.equal(why(await boot(project, artifact)), "no successful run is recorded");
      assert.deepEqual(await applied(), [1, 2, 3, 4, 5]);

      const second = await boot(project, artifact);
      assert.ok(!started(second), second.stderr);
      assert.match(second.stderr, /"msg":"found nothing pending"/);

      project.add(sixthStep);
      assert.equal(why(await boot(project, artifact)), "the inputs have changed");
      assert.deepEqual(await applied(), [1, 2, 3, 4, 5, 6]);
      assert.ok(!started(await boot(project, artifact)));
    });
  }

  test(`M7 ${title}: an older image on a newer database serves, says that it is ahead, and does not start the tool`, async (t) => {
    if (!requireTool(t, tool)) return;
    const { boot, bare } = await prepare();
    const project = makeProject(tool, fiveSteps);
    await boot(project);
    const older = project.copy();
    project.add(sixthStep);
    await boot(project);

    const result = await boot(older);
    assert.ok(!started(result), result.stderr);
    assert.match(result.stderr, /found the database ahead of this image/);
    const alone = await bare(commandOf(tool), older);
    assert.equal(alone.exitCode !== 0, tool.refusesAhead, alone.all);
  });

  test(`L6 ${title}: its sessions have the name by which they are ended, and notice that it is gone`, async (t) => {
    if (!requireTool(t, tool)) return;
    const { database, boot } = await prepare();
    await boot(makeProject(tool, fiveSteps));
    const sessions = await server.psql<{ by: string; looks_after: string }>(
      database,
      "SELECT DISTINCT by, looks_after FROM applied",
    );
    const [run] = await server.psql<{ application: string }>(
      database,
      "SELECT application FROM headgate_runs",
    );
    assert.deepEqual(sessions, [{ by: run?.application, looks_after: "500ms" }]);
  });

  const { down } = tool;
  if (down === undefined) continue;
  test(`M7 ${title}: what was taken back by hand is applied by the next boot`, async (t) => {
    if (!requireTool(t, tool)) return;
    const { boot, bare, applied } = await prepare();
    const project = makeProject(tool, [...fiveSteps, sixthStep]);
    await boot(project);
    const back = await bare(down, project);
    assert.equal(back.exitCode, 0, back.all);
    assert.match(String(why(await boot(project))), /own table has changed/);
    assert.deepEqual(await applied(), [1, 2, 3, 4, 5, 6, -6, 6]);
    assert.ok(!started(await boot(project)));
  });
}
