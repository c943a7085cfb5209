import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { budgetSeconds, fits, inOrder, mostSeconds } from "../../scripts/ci/choose.ts";
import { always, suites } from "../../scripts/ci/suites.ts";

const root = new URL("../..", import.meta.url).pathname;
const names = (list: readonly { name: string }[]): string[] => list.map(({ name }) => name);

test("CI runs first what a change is about, and the turn goes round among the rest", () => {
  for (const number of [0, 1, 7, 150]) {
    const [first, ...rest] = names(inOrder(suites, ["deploy/ecs/migrate.sh"], number));
    assert.equal(first, "npm run test:deploy");
    assert.deepEqual([first, ...rest].toSorted(), names(suites).toSorted());
  }
  const firsts = suites.map((_, number) => inOrder(suites, ["LICENSE"], number)[0]);
  assert.equal(new Set(firsts).size, suites.length);
});

test("CI ends in 25 minutes on the machine it was measured on, and in 75 on any", () => {
  for (const slowness of [0.5, 1, 2, 4, 8]) {
    const base = always.reduce((sum, { seconds }) => sum + seconds, 60) * slowness;
    let elapsed = base;
    const run = inOrder(suites, undefined, 3).filter((suite) => {
      if (!fits(suite, elapsed, slowness)) return false;
      elapsed += suite.seconds * slowness;
      return true;
    });
    assert.ok(elapsed <= Math.max(base, budgetSeconds(slowness)));
    assert.ok(elapsed <= Math.min(25 * 60 * slowness, mostSeconds), `${slowness}: ${elapsed}`);
    assert.ok(run.length > 0 || slowness > 4);
  }
});

test("each suite is a script of package.json, and each test file and source file belongs to one", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  for (const { name } of suites) assert.ok(name.replace("npm run ", "") in scripts, name);
  const wanted = ["entrypoint.ts", ...globSync("{src,test,deploy,docker}/**/*.*", { cwd: root })];
  const isUnit = /^test\/(unit|project)\//;
  const homeless = wanted.filter(
    (path) =>
      !/node_modules/.test(path) &&
      !isUnit.test(path) &&
      !suites.some(({ about }) => about.test(path)),
  );
  assert.deepEqual(homeless, []);
});

test("CI runs exactly the commands of the README", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  assert.match(readme, /npm ci && npm test/);
  assert.match(readFileSync(join(root, ".ci/run"), "utf8"), /^npm ci$/m);
  assert.deepEqual(
    always.map(({ command }) => command),
    ["npm test", "npm run check"],
  );
});
