import assert from "node:assert/strict";
import { chmodSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { surveyFolder } from "../../../src/migrations/folder.ts";
import { presets } from "../../../src/migrator/presets.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";

const survey = async (files: MigrationFiles) => {
  const { misfits, unread } = await surveyFolder(makeMigrations(files));
  return { refusal: misfits.find(({ rule }) => rule === "no-migration"), misfits, unread };
};

/** What is in a folder that holds no migration of headgate's, and how the refusal names its tool. */
const folders: readonly (readonly [tool: RegExp | undefined, files: MigrationFiles])[] = [
  [/prisma: is --migrator prisma/, { "20240101000000_a/migration.sql": "" }],
  [/prisma/, { "migration_lock.toml": 'provider = "postgresql"' }],
  [/drizzle/, { "meta/_journal.json": "{}" }],
  [/drizzle/, { "20240101_a/migration.sql": "", "20240101_a/snapshot.json": "{}" }],
  [/diesel or Hasura/, { "2024-01-01-000000_a/up.sql": "", "2024-01-01-000000_a/down.sql": "" }],
  [/diesel:/, { "00000000000000_diesel_initial_setup/up.sql": "" }],
  [/Hasura:/, { "default/1700000000_a/up.sql": "" }],
  [/flyway/, { "2024/V1__a.sql": "" }],
  [/alembic/, { "env.py": "", "versions/ab12_a.py": "" }],
  [/alembic/, { "ab12_a.py": "from alembic import op\ndown_revision = None\n" }],
  [/django/, { "__init__.py": "", "0001_initial.py": "from django.db import migrations\n" }],
  [/--migrator alembic or --migrator django/, { "0001_a.py": "" }],
  [/rails/, { "20240101000000_create_notes.rb": "class A < ActiveRecord::Migration[7.1]\nend" }],
  [/rails/, { "1_a.rb": "" }],
  [/knex: is --migrator knex/, { "20240101_a.ts": 'import type { Knex } from "knex";' }],
  [/typeorm/, { "1-A.ts": "export class A implements MigrationInterface {}" }],
  [/Sequelize/, { "1-a.cjs": "module.exports.up = (queryInterface) => {}" }],
  [/Kysely/, { "1-a.mts": 'import { Kysely } from "kysely";' }],
  [/node-pg-migrate/, { "1_a.ts": "export const up = (pgm) => {}" }],
  [/--migrator knex or --migrator typeorm/, { "1_a.ts": "" }],
  [/goose/, { "00001_a.go": "package migrations" }],
  [/Ecto/, { "1_a.exs": "" }],
  [/Laravel/, { "2024_01_01_a.php": "use Illuminate\\Database;" }],
  [/liquibase/, { "db.changelog-master.xml": "<databaseChangeLog/>" }],
  [/sqitch/, { "sqitch.plan": "%syntax-version=1.0.0" }],
  [/Atlas/, { "atlas.sum": "h1:" }],
  [/graphile-migrate/, { "committed/000001.sql": "" }],
  [undefined, { "2024/create_notes.sql": "" }],
  [undefined, { "sub/1_a.sql": "" }],
  [undefined, { "sub/deeper/20240101_a.sql": "" }],
  [undefined, { "schema.psql": "" }],
  [undefined, { "1_a.sql.bak": "" }],
  [/that these files undo/, { "undo/1_a.sql": "DROP TABLE a;" }],
];

for (const [tool, files] of folders) {
  test(`M15 a folder that holds only ${Object.keys(files).join(", ")} is refused`, async () => {
    const { refusal, unread } = await survey({ ...files, "README.md": "", ".gitkeep": "" });
    assert.match(refusal?.what ?? "", /is not empty: it holds /);
    assert.ok(refusal?.what.includes(Object.keys(files).toSorted()[0] ?? ""));
    assert.match(refusal?.fix ?? "", tool ?? /N_name\.sql, or name the folder/);
    for (const [, name = ""] of (refusal?.fix ?? "").matchAll(/--migrator ([\w-]+)/g)) {
      assert.ok(name === "with" || presets[name] !== undefined, name);
    }
    assert.deepEqual(unread, []);
  });
}

test("M15 a folder is empty with nothing in it but notes and what git, editors and file systems leave", async () => {
  for (const files of [
    {},
    { ".gitkeep": "" },
    { "README.md": "", README: "", LICENSE: "", ".gitignore": "", "notes.txt": "" },
    { "sub/.gitkeep": "", "undo/.gitkeep": "", "lost+found/1_a.sql": "" },
    // As Kubernetes mounts an empty ConfigMap.
    { "..2024_01_01/.keep": "" },
  ]) {
    assert.deepEqual(await survey(files), { refusal: undefined, misfits: [], unread: [] });
  }
});

test("M15 SQL in other folders is named beside migrations, and alone when it does not look like one", async () => {
  const beside = await survey({
    ...{ "1_a.sql": "", "undo/1_a.sql": "", "sub/2_b.sql": "", "2024/c.sql": "", "seed/x.SQL": "" },
    ...{
      "undo/old/1_a.sql": "",
      "sub/notes.md": "",
      "lib/help.js": "",
      "node_modules/p/1.sql": "",
    },
    ...{ "..data/1_a.sql": "", ".git/1_a.sql": "" },
  });
  assert.deepEqual(beside.misfits, []);
  assert.deepEqual(beside.unread, ["2024/c.sql", "seed/x.SQL", "sub/2_b.sql", "undo/old/1_a.sql"]);
  const alone = await survey({ "functions/total.sql": "" });
  assert.deepEqual([alone.misfits, alone.unread], [[], ["functions/total.sql"]]);
});

test("M15 code that is numbered as if it came between is named, and what a migration was compiled from is not", async () => {
  const { misfits, unread } = await survey({
    ...{ "1_a.js": "exports.generateSql = () => 'SELECT 1'", "1_a.ts": "", "1_a.d.ts": "" },
    ...{ "2_b.sql": "", "3_c.go": "", "4_d.sql.md": "", "5_e.d.ts": "", "index.ts": "" },
  });
  assert.deepEqual([misfits, unread], [[], ["3_c.go"]]);
});

test("M15 folders by way of symbolic links are looked into, and circles of them end", async (t) => {
  const folder = makeMigrations({ "1_a.sql": "" });
  const other = makeMigrations({ "2_b.sql": "" });
  symlinkSync(other, join(folder, "more"));
  symlinkSync(folder, join(folder, "again"));
  symlinkSync("nowhere", join(folder, "lost"));
  symlinkSync("itself", join(folder, "itself"));
  const { unread } = await surveyFolder(folder);
  assert.ok(unread.includes("more/2_b.sql"));
  assert.ok(unread.length < 20);
  if (process.getuid?.() === 0) return t.diagnostic("root may enter every folder");
  mkdirSync(join(folder, "closed"), { mode: 0 });
  assert.ok((await surveyFolder(folder)).unread.includes("closed/"));
  chmodSync(join(folder, "closed"), 0o700);
});
