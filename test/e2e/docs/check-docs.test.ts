import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ruleNames, rules } from "../../../src/check/rules.ts";
import { checkFindings } from "../../../src/migrations/allowances.ts";
import { makeRepository, type Repository } from "../../helpers/git.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type Artifact, artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const text = readFileSync(new URL("../../../docs/commands/check.md", import.meta.url), "utf8");

/** The SQL files of the page in the order in which they are shown, each with its path. */
const files = [...text.matchAll(/```sql\n-- (migrations\/\S+)\n[^]*?```/g)].map(
  ([block, path = ""]): [string, string] => [path, block.slice("```sql\n".length, -"```".length)],
);
/** The commands of the page with what they print. */
const samples = [...text.matchAll(/```console\n\$ headgate (.*)\n([^]*?)```/g)].map(
  ([, command = "", output = ""]) => ({ args: command.split(" "), output }),
);

const named = (...paths: string[]): Record<string, string> =>
  Object.fromEntries(
    paths.map((path) => [path, files.find(([own]) => own === path)?.[1] ?? assert.fail(path)]),
  );

const server = await useServer();

const onMain = named("migrations/1_create-users.sql", "migrations/2_index-users.sql");

function onBranch(): Repository {
  const repository = makeRepository();
  repository.commit(onMain);
  repository.git("checkout", "--quiet", "-b", "feature");
  const corrected = files.findLast(([path]) => path === "migrations/2_index-users.sql")?.[1] ?? "";
  repository.commit({
    "migrations/2_index-users.sql": corrected,
    ...named("migrations/3_full-name.sql"),
  });
  repository.git("checkout", "--quiet", "main");
  repository.commit({ "migrations/3_add-phone.sql": "ALTER TABLE users ADD COLUMN phone text;\n" });
  repository.git("checkout", "--quiet", "feature");
  return repository;
}

function inFolder(shown: Record<string, string>): Repository {
  const repository = makeRepository();
  repository.commit(shown);
  return repository;
}

/** The folder of each sample. */
const scenes: readonly (() => Repository)[] = [
  onBranch,
  () =>
    inFolder({
      ...onMain,
      ...Object.fromEntries(
        files.filter(([path]) => path.includes("/undo/") || path.includes("drop-plan")),
      ),
    }),
  () => inFolder(named("migrations/1_rename.sql")),
];

async function printed(artifact: Artifact, index: number): Promise<string> {
  const { path } = (scenes[index] ?? assert.fail("a sample without a scene"))();
  const env = { HEADGATE_SCRATCH_URL: server.url(await createDatabase(server)) };
  return (await runHeadgate(artifact, samples[index]?.args ?? [], { cwd: path, env })).stdout;
}

for (const artifact of artifacts) {
  testOn(artifact, "K9 what docs/commands/check.md shows is what its commands print", async () => {
    assert.equal(samples.length, scenes.length);
    for (const [index, { args, output }] of samples.entries()) {
      assert.equal(await printed(artifact, index), output, args.join(" "));
    }
  });
}

test("K9 the table in docs/commands/check.md lists every finding with its kind", () => {
  const rows = [...text.matchAll(/^\| `([a-z-]+)`\s*\| (\w+)\s*\|/gm)];
  assert.deepEqual(
    rows.map(([, name, kind]) => `${name} ${kind}`),
    ruleNames.map((name) => `${name} ${rules[name].severity}`),
  );
});

test("K9 what a file may allow is among what is found", () => {
  const unknown = checkFindings.filter((name) => !ruleNames.includes(name));
  assert.deepEqual(unknown, []);
});
