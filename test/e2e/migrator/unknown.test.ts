import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer();
const [artifact] = artifacts;
assert.ok(artifact);

/** An image with Knex's migrations, in the folder that headgate's own would have. */
function knexProject(): string {
  const folder = temporaryFolder("headgate-knex-");
  mkdirSync(join(folder, "migrations"));
  writeFileSync(join(folder, "knexfile.js"), "");
  writeFileSync(join(folder, "migrations/20260101000001_a.js"), "exports.up = () => {};\n");
  return folder;
}

test("K1 where a migrator is set, check says that only the tool can read its files, and complains of none", async () => {
  const cwd = knexProject();
  for (const preset of ["knex", "alembic"]) {
    const env = { HEADGATE_MIGRATOR: preset };
    const { exitCode, stdout, stderr, lines } = await runHeadgate(artifact, ["check"], {
      cwd,
      env,
    });
    assert.deepEqual([exitCode, stdout], [64, ""], stderr);
    assert.equal(
      lines.at(-1)?.msg,
      `there is nothing that can be checked: the migrations of ${preset}: only that tool can read what is in them`,
    );
    assert.doesNotMatch(stderr, /generateSql|cannot read the migrations folder/);
  }
  const args = ["check", "--migrations", makeMigrations()];
  const beside = await runHeadgate(artifact, args, { cwd, env: { HEADGATE_MIGRATOR: "knex" } });
  assert.equal(beside.exitCode, 0, beside.stderr);
  assert.match(beside.stdout, /^checked 3 files/);

  const sets = [
    { name: "ours", migrations: makeMigrations() },
    { name: "theirs", migrator: "npm run migrate" },
  ];
  const mixed = await runHeadgate(artifact, ["check"], {
    env: { HEADGATE_SETS: JSON.stringify(sets) },
  });
  assert.equal(mixed.exitCode, 0, mixed.stderr);
  assert.match(
    mixed.stderr,
    /checked nothing of set \\"theirs\\", the migrations of `npm run migrate`: only that tool/,
  );
});

test("M7 status says what it cannot know of a migrator, and which command of the tool tells", async () => {
  const cwd = knexProject();
  const env = { DATABASE_URL: server.url(await createDatabase(server)) };
  const ask = (migrator: string) =>
    runHeadgate(artifact, ["status"], { cwd, env: { ...env, HEADGATE_MIGRATOR: migrator } });
  const knex = await ask("knex");
  assert.equal(knex.exitCode, 0, knex.stderr);
  assert.match(
    knex.stdout,
    /^unknown +which of its migrations are applied: `knex migrate:status` tells$/m,
  );
  const other = await ask("npm run migrate");
  assert.match(other.stdout, /^unknown +.*: only the tool knows$/m);
});
