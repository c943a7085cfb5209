import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { artifacts, type HeadgateResult, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { addMigrations } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { makePlace, undoable, undoneBy } from "../../helpers/undo.ts";

const server = await useServer({ own: true });

const failureOf = ({ lines }: HeadgateResult) => lines.at(-1) ?? {};

for (const artifact of artifacts) {
  testOn(
    artifact,
    "U1 rollback undoes the last migration and its history row together, and says so",
    async () => {
      const { ok, history, has } = await makePlace(server, artifact);
      await ok("migrate");
      const result = await ok("rollback");
      assert.equal(result.stdout, "");
      assert.deepEqual(await history(), [0, 1, 2]);
      assert.equal(await has("notes_author"), false);
      const line = result.lines.find(({ msg }) => msg === "undone");
      assert.deepEqual([line?.["phase"], line?.["migration"]], ["rollback", "3_index-authors.sql"]);
      assert.equal(typeof line?.["ms"], "number");
      const end = result.lines.at(-1);
      assert.deepEqual([end?.msg, end?.["undone"], end?.["phase"]], ["rolled back", 1, "rollback"]);
      assert.ok(result.lines.some(({ msg }) => msg === "marked"));
      // The way back is the ordinary one.
      await ok("migrate");
      assert.deepEqual([await history(), await has("notes_author")], [[0, 1, 2, 3], true]);
    },
  );

  testOn(
    artifact,
    "U1 the history row is removed in the transaction of the undo file: if one cannot be committed, neither is",
    async () => {
      const { ok, run, folder, history, has } = await makePlace(server, artifact);
      await ok("migrate");
      addMigrations(folder, {
        "undo/3_index-authors.sql": `DROP INDEX notes_author;
        CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO late VALUES (1), (1);`,
      });
      const result = await run("rollback");
      assert.equal(result.exitCode, 1, result.stderr);
      assert.match(failureOf(result).msg ?? "", /recorded and committed\): duplicate key/);
      assert.deepEqual([await history(), await has("notes_author")], [[0, 1, 2, 3], true]);
      addMigrations(folder, {
        "undo/3_index-authors.sql": "DROP INDEX notes_author; SELECT pg_advisory_unlock_all();",
      });
      const lost = await run("rollback");
      assert.equal(lost.exitCode, 75, lost.stderr);
      assert.match(failureOf(lost).msg ?? "", /the migration lock was lost while \S+undo\/3_index/);
      assert.deepEqual([await history(), await has("notes_author")], [[0, 1, 2, 3], true]);
    },
  );

  testOn(
    artifact,
    "U1 a folder with undo files is one that postgres-migrations accepts, and so is the history after a rollback",
    async () => {
      const { ok, database, folder, history } = await makePlace(server, artifact);
      const plain = (): Promise<string[]> => startPackage(server, database, folder).applied;
      assert.equal((await plain()).length, 4);
      await ok("rollback", "--steps", "2");
      assert.deepEqual(await history(), [0, 1]);
      assert.deepEqual(await plain(), ["2_add-author.sql", "3_index-authors.sql"]);
      await ok("rollback", "--to", "0");
      assert.deepEqual(await plain(), [
        ...["1_create-notes.sql", "2_add-author.sql", "3_index-authors.sql"],
      ]);
      assert.deepEqual(await plain(), []);
    },
  );

  testOn(
    artifact,
    "U2 rollback goes back by --steps, or until --to is the newest; 0 undoes all but the history's own entry",
    async () => {
      const { ok, history, has } = await makePlace(server, artifact);
      await ok("migrate");
      const two = await ok("rollback", "--steps", "2");
      assert.deepEqual(undoneBy(two), ["3_index-authors.sql", "2_add-author.sql"]);
      assert.deepEqual(await history(), [0, 1]);
      await ok("migrate");
      assert.deepEqual(undoneBy(await ok("rollback", "--to", "2")), ["3_index-authors.sql"]);
      assert.equal(undoneBy(await ok("rollback", "--to", "0")).length, 2);
      assert.deepEqual([await history(), await has("notes")], [[0], false]);
    },
  );

  testOn(
    artifact,
    "U2 a migration in JavaScript, or with an extension in capital letters, is undone by the .sql file of its name",
    async () => {
      const { ok, has } = await makePlace(server, artifact, {
        "1_script.js": "exports.generateSql = () => 'CREATE TABLE script ()';",
        "2_UPPER.SQL": "CREATE TABLE upper ();",
        "undo/1_script.sql": "DROP TABLE script;",
        "undo/2_UPPER.sql": "DROP TABLE upper;",
        "undo/README.md": "Not an undo file.",
      });
      await ok("migrate");
      await ok("rollback", "--to", "0");
      assert.deepEqual([await has("script"), await has("upper")], [false, false]);
    },
  );

  testOn(
    artifact,
    "U2 with nothing to undo rollback says so, takes no lock and exits 0",
    async () => {
      const { ok, database, history } = await makePlace(server, artifact);
      const holder = await server.connect(database);
      await holder.query("SELECT pg_advisory_lock(-8525285245963000605)");
      const isNothing = ({ lines }: HeadgateResult): void =>
        assert.equal(lines.at(-1)?.msg, "found nothing to undo");
      isNothing(await ok("rollback", "--lock-wait", "1ms"));
      isNothing(await ok("rollback", "--to", "0", "--lock-wait", "1ms"));
      await holder.end();
      const tables = "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace";
      assert.equal((await server.psql(database, tables)).length, 0, "it creates no history table");
      await ok("migrate");
      isNothing(await ok("rollback", "--to", "3"));
      assert.deepEqual(await history(), [0, 1, 2, 3]);
      await ok("rollback", "--to", "0");
      isNothing(await ok("rollback"));
      assert.deepEqual(await history(), [0], "the history's own entry is never undone");
    },
  );

  testOn(
    artifact,
    "U3 numbers that make no sense are refused before anything is undone",
    async () => {
      const { ok, run, history, folder } = await makePlace(server, artifact);
      await ok("migrate");
      addMigrations(folder, { "4_later.sql": "" });
      const cases: [string[], RegExp][] = [
        [["--steps", "1", "--to", "2"], /--steps and --to are both given; choose one/],
        [["--steps", "0"], /--steps: "0" is not a whole number from 1/],
        [
          ["--steps", "x", "--to", "-1"],
          /--steps: "x" is not a whole number[^]*--to: "-1" is not a/,
        ],
        [["--to", "9"], /there is no migration 9, neither in the folder nor in the history/],
        [["--to", "4"], /--to 4: \S+4_later\.sql is not applied; the newest that is applied is 3/],
        [["--steps", "4"], /--steps 4, but only 3 can be undone/],
      ];
      for (const [args, message] of cases) {
        const { exitCode, stderr } = await run("rollback", ...args);
        assert.equal(exitCode, 64, stderr);
        assert.match(stderr.replaceAll('\\"', '"'), message);
      }
      assert.deepEqual(await history(), [0, 1, 2, 3]);
    },
  );

  testOn(
    artifact,
    "U3 missing undo files, edited, missing and late migrations in between are refused before anything is undone, all at once",
    async () => {
      const { ok, run, folder, database, history } = await makePlace(server, artifact, {
        ...undoable,
        ...{ "4_d.sql": "", "5_e.sql": "", "6_f.sql": "", "7_g.sql": "" },
        ...{
          "undo/6_f.sql": "-- headgate: no-transactoin\nSELECT 1;",
          "undo/7_g.sql": "SELECT 1;",
        },
      });
      await ok("migrate");
      rmSync(join(folder, "7_g.sql"));
      rmSync(join(folder, "undo/2_add-author.sql"));
      addMigrations(folder, { "3_index-authors.sql": "-- edited" });
      await server.psql(database, "DELETE FROM migrations WHERE id = 5");
      const result = await run("rollback", "--to", "1");
      assert.equal(result.exitCode, 65, result.stderr);
      const problems = failureOf(result)["problems"] as string[];
      const expected = [
        /5_e\.sql: out of order/,
        /^7 g: missing: applied to the database, but not in the folder/,
        /undo\/6_f\.sql: "no-transactoin" is not a directive of headgate/,
        /undo\/4_d\.sql: missing: the file that undoes 4_d\.sql/,
        /3_index-authors\.sql: changed: edited after it was applied/,
        /undo\/2_add-author\.sql: missing: the file that undoes 2_add-author\.sql/,
      ];
      assert.equal(problems.length, expected.length, problems.join("\n"));
      for (const [index, pattern] of expected.entries())
        assert.match(problems[index] ?? "", pattern);
      assert.deepEqual(await history(), [0, 1, 2, 3, 4, 6, 7]);
    },
  );

  testOn(
    artifact,
    "U3 an undo file that would leave its transaction is refused before anything is undone",
    async () => {
      const { ok, run, folder, history } = await makePlace(server, artifact);
      await ok("migrate");
      addMigrations(folder, {
        "undo/2_add-author.sql": "COMMIT;",
        "undo/1_create-notes.sql": "DROP INDEX CONCURRENTLY notes_pkey;",
      });
      const result = await run("rollback", "--to", "0");
      assert.equal(result.exitCode, 1, result.stderr);
      const problems = failureOf(result)["problems"] as string[];
      assert.match(problems[0] ?? "", /undo\/2_add-author\.sql:1: COMMIT inside the file/);
      assert.match(problems[1] ?? "", /undo\/1_create-notes\.sql:1: DROP INDEX CONCURRENTLY/);
      assert.deepEqual(await history(), [0, 1, 2, 3]);
    },
  );

  testOn(
    artifact,
    "U3 sets or a migrator that are configured for the servers are not overlooked",
    async () => {
      const { ok, env, folder } = await makePlace(server, artifact);
      await ok("migrate");
      for (const name of ["HEADGATE_SETS", "HEADGATE_MIGRATOR"]) {
        const bare = { DATABASE_URL: env.DATABASE_URL, [name]: "alembic" };
        const result = await runHeadgate(artifact, ["rollback"], { env: bare });
        assert.equal(result.exitCode, 64, result.stderr);
        assert.match(result.stderr, new RegExp(`${name} is set, and .*works on one folder`));
        const named = ["rollback", "--migrations", folder];
        const { exitCode, stderr } = await runHeadgate(artifact, named, { env: bare });
        assert.equal(exitCode, 0, stderr);
      }
    },
  );

  testOn(
    artifact,
    "U4 an undo that fails says where, rolls its file back, and names what stays undone",
    async () => {
      const { ok, run, folder, history, has } = await makePlace(server, artifact);
      await ok("migrate");
      addMigrations(folder, {
        "undo/2_add-author.sql":
          "DROP TABLE IF EXISTS nothing;\nALTER TABLE notes\n  DROP COLUMN autor;\n",
      });
      const result = await run("rollback", "--to", "0");
      assert.equal(result.exitCode, 1, result.stderr);
      const failure = failureOf(result);
      assert.match(
        failure.msg ?? "",
        /undo\/2_add-author\.sql:2:1: column "autor" of relation "notes" does not exist \(42703/,
      );
      assert.deepEqual([failure["line"], failure["column"]], [2, 1]);
      assert.match(String(failure["excerpt"]), /DROP COLUMN autor/);
      assert.match(String(failure["state"]), /rolled back/);
      assert.deepEqual(failure["problems"], ["undone before, and stays so: 3 index-authors"]);
      assert.match(
        String(failure["fix"]),
        /`headgate rollback --to 0` undoes exactly what is left/,
      );
      assert.deepEqual([await history(), await has("notes_author")], [[0, 1, 2], false]);
      addMigrations(folder, undoable);
      assert.equal(undoneBy(await ok("rollback", "--to", "0")).length, 2);
    },
  );

  testOn(
    artifact,
    "U4 a role without the right to remove history rows is refused before anything is undone",
    async () => {
      const { ok, run, env, database } = await makePlace(server, artifact);
      await ok("migrate");
      const role = `clerk_${database}`;
      await server.psql(
        database,
        `CREATE ROLE ${role} LOGIN PASSWORD 'clerk-password'; GRANT SELECT, INSERT ON migrations TO ${role}`,
      );
      env.DATABASE_URL = server.url(database, { user: role, password: "clerk-password" });
      const result = await run("rollback");
      assert.equal(result.exitCode, 77, result.stderr);
      assert.match(String(failureOf(result)["fix"]), /grant delete on "public"\."migrations"/);
    },
  );
}
