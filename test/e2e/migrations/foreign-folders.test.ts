import assert from "node:assert/strict";
import { join } from "node:path";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, type HeadgateResult, runHeadgate } from "../../helpers/headgate.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { makePlace } from "../../helpers/undo.ts";

const server = await useServer();

const folders: readonly (readonly [what: string, says: RegExp, files: MigrationFiles])[] = [
  ["Knex", /knex/, { "20240101000000_a.ts": 'import type { Knex } from "knex";' }],
  ["Alembic", /alembic/, { "env.py": "", "versions/ab12_a.py": "" }],
  ["Rails", /rails/, { "20240101000000_create_notes.rb": "" }],
  ["Prisma", /prisma/, { "20240101000000_a/migration.sql": "CREATE TABLE a ();" }],
  ["diesel", /diesel/, { "2024-01-01-000000_a/up.sql": "CREATE TABLE a ();" }],
  ["nobody, by years", /2024\/01_a\.sql/, { "2024/01_a.sql": "CREATE TABLE a ();" }],
];

const problemsOf = ({ lines }: HeadgateResult): string[] =>
  (lines.at(-1)?.["problems"] ?? []) as string[];
const warningsOf = ({ lines }: HeadgateResult) => lines.filter(({ level }) => level === "warn");

for (const artifact of artifacts) {
  for (const [what, says, files] of folders) {
    testOn(
      artifact,
      `M15 a folder of ${what} is refused with 65 by every command that reads it, before a socket opens`,
      async () => {
        const folder = makeMigrations({ ...files, "README.md": "" });
        const env = { DATABASE_URL: "postgres://127.0.0.1:1/none", HEADGATE_MIGRATIONS: folder };
        for (const args of [
          ["--", "echo", "started"],
          ["migrate"],
          ["verify"],
          ["status"],
          ["plan"],
          ["rollback"],
          ["stamp", "1"],
          ["new", "add tags"],
        ]) {
          const result = await runHeadgate(artifact, args, { env });
          assert.deepEqual([result.exitCode, result.stdout], [65, ""], args.join(" "));
          assert.equal(problemsOf(result).length, 1);
          assert.match(problemsOf(result)[0] ?? "", says);
        }
        const check = await runHeadgate(artifact, ["check"], { env });
        assert.equal(check.exitCode, 65);
        assert.match(check.stdout, /:1:1: error: no-migration: /);
      },
    );
  }

  testOn(
    artifact,
    "M15 SQL in other folders beside migrations is one warning at each start, an error of check, and refused by --strict",
    async () => {
      const { ok, run, folder } = await makePlace(server, artifact, {
        ...{ "1_a.sql": "CREATE TABLE a ();", "undo/1_a.sql": "DROP TABLE a;" },
        ...{ "sub/2_b.sql": "CREATE TABLE b ();", "functions/f.sql": "SELECT 1;", "3_c.go": "" },
      });
      const strict = await run("migrate", "--strict");
      assert.equal(strict.exitCode, 65, strict.stderr);
      const unread = ["3_c.go", "functions/f.sql", "sub/2_b.sql"];
      assert.deepEqual(
        problemsOf(strict),
        unread.map((path) => join(folder, path)),
      );
      for (const args of [["migrate"], ["--", "echo", "started"], ["migrate"]]) {
        const [warning, ...others] = warningsOf(await ok(...args));
        assert.equal(others.length, 0);
        assert.match(warning?.msg ?? "", /not read/);
        assert.equal(warning?.["files"], unread.join(", "));
      }
      assert.equal((await ok("verify")).stdout, "1 applied, none pending\n");
      for (const args of [
        ["--strict", "--", "echo", "started"],
        ["verify", "--strict"],
      ]) {
        assert.equal((await run(...args)).exitCode, 65);
      }
      const check = await run("check");
      assert.equal(check.exitCode, 65);
      for (const path of unread) {
        assert.ok(check.stdout.includes(`${join(folder, path)}:1:1: error: unread: `), path);
      }
      assert.match(check.stdout, /: 3 errors\n$/);
    },
  );

  testOn(
    artifact,
    "M15 a folder that is really empty is warned of, and verify says that it verified nothing",
    async () => {
      const { ok, folder } = await makePlace(server, artifact, { ".gitkeep": "", "README.md": "" });
      const result = await ok("--strict", "--", "echo", "started");
      assert.equal(result.stdout, "started\n");
      const [warning, ...others] = warningsOf(result);
      assert.deepEqual([warning?.msg, others.length], ["found no migrations in the folder", 0]);
      const nothing = `verified nothing: there are no migrations in ${folder}\n`;
      assert.equal((await ok("verify")).stdout, nothing);
    },
  );
}
