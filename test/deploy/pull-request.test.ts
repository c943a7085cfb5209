/** The workflow of a pull request, in a repository with two branches, on a real Postgres. */
import assert from "node:assert/strict";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { files, image, root, tags } from "../cluster/images.ts";
import { makeRepository } from "../helpers/git.ts";
import { useServer } from "../helpers/use-server.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { deployTest } from "./deploy-test.ts";
import { type Ended, runJob, withScript } from "./workflow.ts";

const about = {
  files: "github-actions/pull-request.yml",
  how: "ran",
  needs: ["docker"],
} as const;
const [first = "", , newest = ""] = files;
const own = (name: string): string => readFileSync(`${root}migrations/${name}`, "utf8");

const server = await useServer();

deployTest(
  about,
  "its steps check, plan and migrate: as the target branch does, from there, again, from nothing",
  async () => {
    const steps = await pullRequest({
      [`migrations/${newest}`]: own(newest),
      [`migrations/undo/${newest}`]: own(`undo/${newest}`),
    });
    assert.deepEqual(
      steps.map(({ exitCode, stdout }) => (exitCode === 0 ? 0 : stdout)),
      [0, 0, 0, 0, 0, 0, 0],
    );
    const [, check, base, plan, head, again, empty] = steps.map(({ summary }) => summary);
    assert.match(check ?? "", /^checked 6 files, 3 up, 3 down and up again: nothing found$/m);
    assert.match(base ?? "", /0 applied, 2 pending \| 2 applied, 0 pending/);
    assert.match(plan ?? "", /^### headgate: 1 file to apply to /m);
    assert.match(plan ?? "", new RegExp(`\\| ${newest}:4 \\|.*CREATE INDEX CONCURRENTLY`));
    assert.match(head ?? "", /2 applied, 1 pending \| 3 applied, 0 pending/);
    assert.match(again ?? "", /^3 applied, none pending$/m);
    assert.match(empty ?? "", /0 applied, 3 pending \| 3 applied, 0 pending/);
  },
);

deployTest(
  about,
  "an edited file and an undo file that does not undo are annotations at their lines",
  async () => {
    const steps = await pullRequest({
      [`migrations/${first}`]: `${own(first)}-- edited\n`,
      [`migrations/${newest}`]: own(newest),
      [`migrations/undo/${newest}`]: "SELECT 1;\n",
    });
    const check = steps.at(-1);
    assert.equal(steps.length, 2);
    assert.equal(check?.exitCode, 65);
    const edited = `::error file=migrations/${first},line=8,col=1,title=headgate check%3A edited::differs here from origin/main%0A`;
    assert.ok(check.stdout.includes(edited), check.stdout);
    const undo = `::error file=migrations/undo/${newest},line=1,col=1,title=headgate check%3A undo-differs::`;
    assert.ok(check.stdout.includes(undo), check.stdout);
    assert.match(check.summary, /undo-differs/);
  },
);

deployTest(
  about,
  "a file that would keep others out of a table fails the plan, which tells a safer form, until it says why it may",
  async () => {
    const index = "CREATE INDEX notes_author ON notes (author);\n";
    const undo = { "migrations/undo/3_index-authors.sql": "DROP INDEX notes_author;\n" };
    const steps = await pullRequest({ "migrations/3_index-authors.sql": index, ...undo });
    assert.equal(steps.length, 4);
    const plan = steps.at(-1);
    assert.equal(plan?.exitCode, 1);
    assert.match(
      plan.stdout,
      /^::error title=headgate plan::dangerous .*index-build: builds an index/m,
    );
    assert.match(plan.summary, /^CREATE INDEX CONCURRENTLY notes_author ON notes \(author\);$/m);

    const reason = '-- headgate: allow=index-build reason="200 rows"\n';
    const allowed = await pullRequest({
      "migrations/3_index-authors.sql": reason + index,
      ...undo,
    });
    assert.equal(allowed.length, 7);
    assert.match(allowed[3]?.summary ?? "", /allowed: 200 rows/);
  },
);

/** Runs the job for a pull request that writes these files; the target branch has all migrations but the newest. */
async function pullRequest(changes: {
  readonly [path: string]: string;
}): Promise<readonly Ended[]> {
  const { path, git, commit } = makeRepository();
  withScript(path);
  cpSync(`${root}migrations`, join(path, "migrations"), { recursive: true });
  const copy = "USER root\nRUN rm -r migrations\nCOPY migrations migrations\nUSER 1000:1000\n";
  commit({
    Dockerfile: `FROM ${image}:${tags.now}\n${copy}`,
    [`migrations/${newest}`]: null,
    [`migrations/undo/${newest}`]: null,
  });
  git("switch", "--quiet", "--create", "change");
  commit(changes);
  // What the two actions/checkout of the workflow leave: the merge, the remote's branches, the target in a folder.
  git("update-ref", "refs/remotes/origin/main", "main");
  git("switch", "--quiet", "--detach", "main");
  git("merge", "--quiet", "--no-ff", "--message", "merge", "change");
  git("worktree", "add", "--quiet", "--detach", "base", "main");

  const database = await createDatabase(server);
  return runJob("pull-request.yml", "migrate", {
    folder: path,
    // Instead of the service container.
    services: { app: server.url(database), empty: server.url(`${database}_empty`) },
    env: { GITHUB_BASE_REF: "main" },
  });
}
