import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = new URL("../..", import.meta.url).pathname;
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const listed = [...read("docs/guarantees.md").matchAll(/^- \*\*([A-Z]\d+)\*\* /gm)].map(
  ([, name]) => name ?? "",
);

test("each guarantee in docs/guarantees.md has a test, and each identifier of a test stands for one", () => {
  const titles = globSync("test/**/*.test.ts", { cwd: root })
    .filter((path) => !path.includes("node_modules"))
    .flatMap((path) => [...read(path).matchAll(/[(,=]\s*["`]([A-Z]\d+) /g)])
    .map(([, name]) => name ?? "");
  assert.ok(listed.length > 50);
  assert.deepEqual(
    listed.filter((name) => !titles.includes(name)),
    [],
    "without a test",
  );
  assert.deepEqual(
    [...new Set(titles)].filter((name) => !listed.includes(name)),
    [],
    "without a guarantee",
  );
});
