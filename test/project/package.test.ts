import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { execa } from "execa";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { useServer } from "../helpers/use-server.ts";
import { makeMigrations } from "../helpers/migrations.ts";
import { createDatabase } from "../helpers/postgres.ts";

const root = new URL("../..", import.meta.url).pathname;
const project = temporaryFolder("headgate-project-");
const server = await useServer();
before(async () => {
  // As it was built for this run of the tests: packing again would build again, under tests that use it.
  const { stdout } = await execa(
    "npm",
    ["pack", "--json", "--ignore-scripts", "--pack-destination", project],
    { cwd: root },
  );
  const [{ filename = "" } = {}] = JSON.parse(stdout) as { filename?: string }[];
  writeFileSync(join(project, "package.json"), '{ "name": "empty", "private": true }');
  await execa("npm", ["install", "--no-audit", "--no-fund", join(project, filename)], {
    cwd: project,
  });
});

test("the package installs into an empty project, and its program runs there", async () => {
  const { stdout } = await execa("npx", ["--no-install", "headgate", "--version"], {
    cwd: project,
  });
  assert.match(stdout, /^headgate \d+\.\d+\.\d+ \(commit .*node \d/);
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: makeMigrations() };
  const { exitCode } = await execa("npx", ["--no-install", "headgate", "migrate"], {
    ...{ cwd: project, env },
  });
  assert.equal(exitCode, 0);
});

test("the library tells a health route what is pending, from an ES module and from CommonJS", async () => {
  const database = await createDatabase(server);
  const folder = makeMigrations({ "1_one.sql": "SELECT 1", "2_two.sql": "SELECT 2" });
  const env = { DATABASE_URL: server.url(database) };
  const ask = `checkMigrations(process.env, { migrations: ${JSON.stringify(folder)} }).then((state) => console.log(JSON.stringify(state)))`;
  const sources = {
    "health.mjs": `import { checkMigrations } from "headgate"; ${ask}`,
    "health.cjs": `const { checkMigrations } = require("headgate"); ${ask}`,
  };
  const run = async (name: string): Promise<unknown> => {
    const { stdout } = await execa(process.execPath, [name], { cwd: project, env });
    return JSON.parse(stdout);
  };
  for (const [name, source] of Object.entries(sources)) {
    writeFileSync(join(project, name), source);
    assert.deepEqual(await run(name), {
      ...{ upToDate: false, pending: ["1_one.sql", "2_two.sql"], problems: [] },
    });
  }
  await execa("npx", ["--no-install", "headgate", "migrate", "--migrations", folder], {
    ...{ cwd: project, env },
  });
  for (const name of Object.keys(sources)) {
    assert.deepEqual(await run(name), { upToDate: true, pending: [], problems: [] });
  }
});

test("the types of the library are found by both kinds of module", async () => {
  for (const name of ["types.mts", "types.cts"]) {
    writeFileSync(
      join(project, name),
      `import { checkMigrations, type MigrationState } from "headgate";
      export const state: Promise<MigrationState> = checkMigrations({ DATABASE_URL: "postgres://a/b" });`,
    );
    const flags = ["--noEmit", "--strict", "--module", "nodenext", "--types", "", name];
    await execa(join(root, "node_modules/.bin/tsc"), flags, { cwd: project });
  }
});

test("the package is what its package.json says, in the eyes of publint", async () => {
  // "Packs" by reading the folder, so that nothing is built.
  await execa(join(root, "node_modules/.bin/publint"), [
    "--strict",
    "--pack",
    "false",
    join(project, "node_modules/headgate"),
  ]);
});
