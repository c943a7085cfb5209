import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { useServer } from "../../helpers/use-server.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const page = new URL("../../../docs/commands/plan.md", import.meta.url).pathname;
const server = await useServer({ major: 18, settings: { autovacuum: "off" } });
// Sizes differ a little from version to version.

/** The block of code behind a mark, which Markdown does not show. */
function blocks(text: string): Map<string, string> {
  const found = text.matchAll(/<!-- (schema|output|file [\w.]+) -->\n\n```(?:\w*)\n([^]*?)```\n/g);
  return new Map([...found].map(([, mark = "", code = ""]) => [mark, code]));
}

test("N10 the sample in docs/commands/plan.md is what headgate plan prints", async () => {
  const text = readFileSync(page, "utf8");
  const marked = blocks(text);
  const database = await createDatabase(server);
  await server.psql(database, marked.get("schema") ?? assert.fail("no schema"));
  const files = [...marked].flatMap(([mark, code]) =>
    mark.startsWith("file ") ? [[mark.slice(5), code]] : [],
  );
  assert.equal(files.length, 3);
  const folder = makeMigrations(Object.fromEntries(files));
  const { stdout, stderr, exitCode } = await runHeadgate(
    artifacts[0] ?? assert.fail(),
    ["plan", "--scratch-create", "--migrations", folder],
    { env: { DATABASE_URL: server.url(database) } },
  );
  assert.equal(exitCode, 0, stderr);
  const printed = stdout.replaceAll(database, "app");
  assert.equal(marked.get("output"), `$ headgate plan --scratch-create\n${printed}`);
});

test("N8 docs/commands/plan.md names every finding and level that headgate knows", async () => {
  const text = readFileSync(page, "utf8");
  for (const name of ["rewrite", "index-build", "scan", "data-change", "unknown", "lock"]) {
    assert.ok(text.includes(`\`${name}\``), name);
  }
  const refused = await runHeadgate(
    artifacts[0] ?? assert.fail(),
    ["plan", "--fail-on", "everything"],
    { env: { DATABASE_URL: "postgres://u:p@127.0.0.1/x" } },
  );
  const [, levels = ""] =
    /is not one of ([\w, ]+)/.exec(String(refused.lines.at(-1)?.["problems"])) ?? [];
  assert.deepEqual(levels.split(", "), ["rewrite", "scan", "blocking"]);
  for (const level of levels.split(", ")) assert.match(text, new RegExp(`\\| \`${level}\` +\\|`));
});
