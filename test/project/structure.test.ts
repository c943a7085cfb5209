import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const root = new URL("../..", import.meta.url).pathname;

/** From the top of the house to its foundation. A file may import from its own room and from any floor below. */
const floors: readonly (readonly string[])[] = [
  ["entrypoint", "library"],
  ["commands"],
  ["status", "plan", "check"],
  ["gate"],
  ["scratch"],
  ["look"],
  ["describe-config"],
  ["completion"],
  ["config", "help"],
  ["read-options", "sets"],
  ["cli", "database-source", "requests", "unknown-variables"],
  ["options"],
  ["apply"],
  ["git"],
  ["adopt", "migrator"],
  ["copy"],
  ["readiness", "lock", "migrations", "table-locks", "handover", "fingerprint"],
  ["postgres"],
  ["report", "sql"],
  ["errors", "deadline", "duration", "nearest", "version"],
];

/** The one folder or file in which each library may be imported. */
const doors: { readonly [library: string]: string } = {
  pg: "src/postgres/",
  pino: "src/report/log.ts",
  "wait-on": "src/readiness/dependencies.ts",
  execa: "src/migrator/child.ts",
  "postgres-migrations": "src/migrations/folder.ts",
};

const files = ["entrypoint.ts", ...globSync("src/**/*.ts", { cwd: root })].filter(
  (file) => !file.endsWith(".d.ts"),
);

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const statements = text.matchAll(/(?:^import[^;]*?from|^import|\bimport\()\s*"([^"]+)"/gm);
  return [...statements].map(([, name = ""]) => name);
}

function roomOf(file: string): string {
  return (
    file
      .replace(/^src\//, "")
      .replace(/\.ts$/, "")
      .split("/")[0] ?? ""
  );
}

function floorOf(file: string): number {
  const floor = floors.findIndex((rooms) => rooms.includes(roomOf(file)));
  assert.notEqual(floor, -1, `${file} belongs to no room; give it one in test/structure.test.ts`);
  return floor;
}

test("imports go down only, and no command imports another", () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const name of importsOf(file).filter((path) => path.startsWith("."))) {
      const target = join(dirname(file), name);
      if (!target.startsWith("src/")) continue; // package.json
      const isOwnRoom = roomOf(target) === roomOf(file) && roomOf(file) !== "commands";
      if (!isOwnRoom && floorOf(target) <= floorOf(file)) wrong.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("each foreign library has one door", () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const name of importsOf(file)) {
      if (name.startsWith(".") || name.startsWith("node:") || name.startsWith("bun:")) continue;
      const door = doors[name.split("/")[0] ?? ""];
      if (door === undefined || !file.startsWith(door)) wrong.push(`${file} imports ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("only the front door reads the arguments and the environment and ends the process", () => {
  const wrong = files
    .filter((file) => file !== "entrypoint.ts")
    .filter((file) => {
      const code = readFileSync(join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
      // The way out of a process that has a thread stuck in the resolver; called by the front door alone.
      const words =
        file === "src/handover/leave.ts"
          ? /process\.(argv|env|exitCode)\b/
          : /process\.(argv|env|exit|exitCode)\b/;
      return words.test(code);
    });
  assert.deepEqual(wrong, []);
});

test("no source file is longer than a person reads in one go", () => {
  const long = files.filter(
    // A table is looked up, not read.
    (file) =>
      file !== "src/options.ts" && readFileSync(join(root, file), "utf8").split("\n").length > 270,
  );
  assert.deepEqual(long, []);
});
