import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { optionsOf, commandNames } from "../../../src/options.ts";
import { mask, openConsole, readActs } from "../../helpers/console.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts } from "../../helpers/headgate.ts";

const root = new URL("../../..", import.meta.url).pathname;
const pages = globSync("docs/commands/*.md", { cwd: root }).toSorted();
/** They have a repository or tables of their own to show; see check-docs.test.ts and plan-docs.test.ts. */
const elsewhere = ["docs/commands/check.md", "docs/commands/plan.md"];
const read = (page: string): string => readFileSync(join(root, page), "utf8");

const server = await useServer();

for (const artifact of artifacts) {
  for (const page of pages.filter((path) => !elsewhere.includes(path))) {
    testOn(artifact, `D1 what ${page} shows is what headgate prints`, async () => {
      const run = await openConsole(server, artifact);
      for (const act of readActs(read(page))) {
        if ("given" in act) {
          await run(act.given);
          continue;
        }
        const printed = await run(act.command);
        assert.equal(mask(printed), mask(act.output), `$ ${act.command}`);
      }
    });
  }
}

test("D5 the report in docs/reports.md is what --summary writes", async () => {
  const shown = /<!-- report of `([^`]+)` -->\n([^]*?)\n<!-- end of the report -->/;
  const [, command = "", report = ""] = shown.exec(read("docs/reports.md")) ?? [];
  const run = await openConsole(server, artifacts[0] ?? assert.fail());
  const sql = "ALTER TABLE notes ADD COLUMN done boolean;\\nUPDATE notes SET doen = false;\\n";
  await run(`printf '${sql}' > migrations/4_add-done.sql; ${command}`);
  const maskReport = (text: string): string =>
    mask(text.trim())
      .replace(/`app_\w+`/, "`app`")
      .replace(/after [\d.]+ s$/m, "after 1.3 s")
      .replace(/\| \d+ ms/g, "| 12 ms")
      .replace(/\b\d{13}\b/g, "1795277661878");
  assert.equal(maskReport(await run("cat report.md")), maskReport(report));
});

test("D2 each command has a page, which shows it at work, its options that are special to it and its exit codes", () => {
  const index = read("docs/commands/README.md");
  for (const name of commandNames) {
    assert.ok(pages.includes(`docs/commands/${name}.md`), `${name} has no page`);
    assert.ok(index.includes(`(${name}.md)`), `${name} is not listed`);
    const page = read(`docs/commands/${name}.md`);
    const shown = readActs(page).filter((act) => "command" in act);
    assert.ok(shown.length > 0, `${name}: no console block`);
    for (const option of optionsOf(name).filter(({ commands }) => commands?.length === 1)) {
      assert.ok(page.includes(`--${option.name}`), `${name}: --${option.name} is not described`);
    }
    assert.match(page, /^\| code +\| meaning/m, `${name}: no table of exit codes`);
  }
});

test("D2 the links of the pages about commands lead somewhere", () => {
  const wrong = pages.flatMap((page) => {
    const links = read(page).matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)/g);
    return [...links]
      .filter(([, target = ""]) => !existsSync(join(root, dirname(page), target)))
      .map(([, target]) => `${basename(page)}: ${target}`);
  });
  assert.deepEqual(wrong, []);
});
