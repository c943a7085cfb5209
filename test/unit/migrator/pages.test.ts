import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { presets } from "../../../src/migrator/presets.ts";
import { variablesOf } from "../../../src/migrator/variables.ts";
import { splitCommand } from "../../../src/migrator/words.ts";
import { tools } from "../../tools/tools.ts";

const docs = new URL("../../../docs", import.meta.url).pathname;
const page = (name: string): string => readFileSync(join(docs, `migrators/${name}.md`), "utf8");
const isTested = (name: string): boolean => tools.some(({ preset }) => preset === name);

/** The values in a row of the table of what a preset fills in. */
function rowOf(text: string, option: string): string[] {
  const line = text.split("\n").find((each) => each.startsWith(`| ${option} `)) ?? "";
  return [...line.slice(option.length + 4).matchAll(/`([^`]*)`/g)].map(([, value = ""]) => value);
}

for (const [name, { command, inputs, state }] of Object.entries(presets)) {
  test(`M7 the page of --migrator ${name} names the command, the inputs, the state and the variables that it fills in`, () => {
    const text = page(name);
    assert.deepEqual(rowOf(text, "command").map(splitCommand), [command]);
    assert.deepEqual(rowOf(text, "`--migrator-inputs`"), inputs);
    assert.deepEqual(rowOf(text, "`--migrator-state`"), state);
    const told = variablesOf(name).map((variable) => `${variable.name}=${variable.form}`);
    assert.deepEqual(rowOf(text, "`--migrator-env`"), told);
    assert.ok(text.includes(`+ENV HEADGATE_MIGRATOR=${name}\n`));
    assert.equal(/^\*\*Tested\*\* with .*\d/m.test(text), isTested(name));
    assert.equal(text.includes("**Untested.**"), !isTested(name));
  });
}

test("M7 docs/migrators.md lists each preset with its page, and says which are tested", () => {
  const index = readFileSync(join(docs, "migrators.md"), "utf8");
  const rows = [...index.matchAll(/^\| \[`([^`]+)`\]\(migrators\/(\S+)\.md\) +\| (yes|no) /gm)];
  assert.deepEqual(
    rows.map(([, name, file, tested]) => `${name} ${file} ${tested}`).toSorted(),
    Object.keys(presets)
      .map((name) => `${name} ${name} ${isTested(name) ? "yes" : "no"}`)
      .toSorted(),
  );
  const pages = globSync("*.md", { cwd: join(docs, "migrators") }).toSorted();
  assert.deepEqual(
    pages,
    Object.keys(presets)
      .map((name) => `${name}.md`)
      .toSorted(),
  );
});
