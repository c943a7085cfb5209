import assert from "node:assert/strict";
import { type Artifact, artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type MigrationFiles, happy, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const serving = ["--", "echo", "serving"];

async function run(
  artifact: Artifact,
  database: string,
  files: MigrationFiles,
  args: string[] = serving,
): Promise<{ exitCode: number | undefined; stdout: string; problems: string[]; stderr: string }> {
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: makeMigrations(files) };
  const { exitCode, stdout, stderr, lines } = await runHeadgate(artifact, args, { env });
  const problems = (lines.at(-1)?.["problems"] ?? []) as string[];
  return { exitCode, stdout, problems, stderr };
}

function assertListed(problems: string[], expected: readonly RegExp[]): void {
  for (const pattern of expected) {
    assert.ok(
      problems.some((problem) => pattern.test(problem)),
      `${pattern} is none of:\n${problems.join("\n")}`,
    );
  }
  assert.equal(problems.length, expected.length, problems.join("\n"));
}

/** Every statement that the server saw from headgate in this database since the mark. */
function statementsSince(mark: number, database: string): string[] {
  return server
    .log()
    .slice(mark)
    .split(/\n(?=\d{4}-)/)
    .filter((entry) => entry.includes(`@${database}/headgate`) && entry.includes("LOG:  "));
}

async function state(database: string): Promise<unknown> {
  const sql = "SELECT id, name, hash, executed_at::text FROM migrations ORDER BY id";
  return {
    rows: await server.psql(database, sql),
    tables: await server.psql(
      database,
      "SELECT relname FROM pg_class WHERE relkind = 'r' ORDER BY 1",
    ),
  };
}

const numbered = (count: number): MigrationFiles =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `${index + 1}_create-t${index + 1}.sql`,
      `CREATE TABLE t${index + 1} (id int);\n`,
    ]),
  );

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M6 everything wrong with the names and numbers in a folder is listed at once, before a connection is tried",
    async () => {
      const files = {
        "-1_negative.sql": "",
        "0_zero.sql": "",
        "1_a.sql": "",
        "01_b.sql": "",
        "3_a.sql": "",
        "6_c.sql": "",
        [`7_${"long".repeat(26)}.sql`]: "",
        "8_no-function.js": "exports.generate = 1;",
        "9_not-text.js": "exports.generateSql = () => 1;",
        "10_throws.JS": "throw new Error('out of coffee');",
        "seed.sql": "",
        "99999999999_large.sql": "",
        "README.md": "left alone",
      };
      const env = {
        // Nothing listens there.
        DATABASE_URL: "postgres://nobody@127.0.0.1:1/none",
        HEADGATE_MIGRATIONS: makeMigrations(files),
      };
      for (const args of [serving, ["migrate"], ["verify"], ["status"]]) {
        const { exitCode, stdout, lines } = await runHeadgate(artifact, args, { env });
        assert.equal(exitCode, 65);
        assert.equal(stdout, "");
        assertListed(lines.at(-1)?.["problems"] as string[], [
          /-1_negative\.sql: numbers start at 1/,
          /0_zero\.sql: numbers start at 1/,
          /(01_b|1_a)\.sql: has the same number as (01_b|1_a)\.sql/,
          /3_a\.sql: number 2 is missing before it/,
          /3_a\.sql: has the same name as 1_a\.sql/,
          /6_c\.sql: numbers 4 to 5 are missing before it/,
          /7_long\S+: the name is 104 characters long; the history table holds 100/,
          /8_no-function\.js: .*generateSql/s,
          /9_not-text\.js: .*must return a string/s,
          /10_throws\.JS: out of coffee/,
          /seed\.sql: the name does not start with a number/,
          /99999999999_large\.sql: the number 99999999999 is larger than/,
          /99999999999_large\.sql: numbers 8 to 99999999998 are missing/,
        ]);
      }
    },
  );

  testOn(
    artifact,
    "M6 edited, renamed, out-of-order and unsendable files are refused together, before any SQL runs",
    async () => {
      const database = await createDatabase(server);
      const files = numbered(7);
      assert.equal((await run(artifact, database, files)).exitCode, 0);
      await server.psql(database, "DELETE FROM migrations WHERE id IN (4, 5)");
      const before = await state(database);
      await server.psql("postgres", `ALTER DATABASE ${database} SET log_statement = 'all'`);
      const { "3_create-t3.sql": third = "", ...others } = files;
      const now: MigrationFiles = {
        ...others,
        "1_create-t1.sql": "CREATE TABLE t1 (id bigint);\n",
        "2_create-t2.sql": `${String(files["2_create-t2.sql"])}\n`,
        "3_create-t-three.sql": third,
        "8_latin1.sql": Buffer.from("-- caf\xe9\nSELECT 1;", "latin1"),
        "9_nul.sql": "SELECT 'a\0b';",
        "10_fine.sql": "CREATE TABLE t10 (id int);",
      };
      for (const args of [
        serving,
        ["migrate"],
        ["verify"],
        ["verify", "--wait"],
        ["status", "--exit-code"],
      ]) {
        const mark = server.log().length;
        const { exitCode, stdout, problems } = await run(artifact, database, now, args);
        assert.equal(exitCode, 65, args.join(" "));
        assert.ok(!stdout.includes("serving"));
        assertListed(problems, [
          /1_create-t1\.sql: changed: edited after it was applied on \d{4}-/,
          /2_create-t2\.sql: changed: edited/,
          /3_create-t-three\.sql: changed: renamed or replaced \(the history has 3 create-t3\)/,
          /4_create-t4\.sql: out of order/,
          /5_create-t5\.sql: out of order/,
          /8_latin1\.sql: is not valid UTF-8/,
          /9_nul\.sql: contains a NUL byte/,
        ]);
        // status also asks for steps, and the journal who applied what is there.
        const statements = statementsSince(mark, database);
        assert.equal(statements.length, args[0] === "status" ? 5 : 1, statements.join("\n"));
        for (const statement of statements) assert.match(statement, /statement: select /);
      }
      assert.deepEqual(await state(database), before);
    },
  );

  testOn(
    artifact,
    "M6 a file that was applied and is gone leaves a gap, and is refused",
    async () => {
      const database = await createDatabase(server);
      assert.equal((await run(artifact, database, numbered(4))).exitCode, 0);
      const { "2_create-t2.sql": _gone, ...left } = numbered(5);
      const { exitCode, problems } = await run(artifact, database, left);
      assert.equal(exitCode, 65);
      assertListed(problems, [/3_create-t3\.sql: number 2 is missing before it; restore the file/]);
    },
  );

  testOn(artifact, "M6 line endings and a byte order mark never count as an edit", async () => {
    const text = "-- first\nCREATE TABLE t (\n  id int\n);\n";
    const crlf = text.replaceAll("\n", "\r\n");
    const forms = [text, crlf, `\uFEFF${text}`, `\uFEFF${crlf}`];
    for (const recorded of forms) {
      const database = await createDatabase(server);
      assert.equal((await run(artifact, database, { "1_t.sql": recorded })).exitCode, 0);
      for (const now of forms) {
        const { exitCode, stdout, stderr } = await run(artifact, database, { "1_t.sql": now });
        assert.deepEqual([exitCode, stdout], [0, "serving\n"], stderr);
      }
    }
  });

  testOn(
    artifact,
    "M7 a database ahead of the image is said in words and the server starts, or is refused where --on-ahead=fail asks for it",
    async () => {
      const database = await createDatabase(server);
      assert.equal((await run(artifact, database, numbered(9))).exitCode, 0);
      const older = await run(artifact, database, numbered(2));
      assert.deepEqual([older.exitCode, older.stdout], [0, "serving\n"]);
      assert.match(older.stderr, /database ahead of this image.*proceeding/);
      assert.match(older.stderr, /"ahead":"3 create-t3, 4 [^"]* and 2 more"/);
      assert.match(older.stderr, /"level":"warn"/);

      const fail = ["--on-ahead", "fail"];
      for (const args of [
        [...fail, ...serving],
        ["migrate", ...fail],
        ["verify", ...fail],
        ["status", "--exit-code", ...fail],
      ]) {
        const { exitCode, stdout, problems } = await run(artifact, database, numbered(2), args);
        assert.equal(exitCode, 65, args.join(" "));
        assert.ok(!stdout.includes("serving"));
        assertListed(problems, [/the database is ahead of this image .*3 create-t3/]);
      }
      for (const args of [["migrate"], ["verify"], ["status", "--exit-code"]]) {
        assert.equal(
          (await run(artifact, database, numbered(2), args)).exitCode,
          0,
          args.join(" "),
        );
      }
      // A file that is not applied although the database is beyond it is out of order all the same.
      await server.psql(database, "DELETE FROM migrations WHERE id = 2");
      const { exitCode, problems } = await run(artifact, database, numbered(2));
      assert.equal(exitCode, 65);
      assertListed(problems, [/2_create-t2\.sql: out of order/]);
    },
  );

  testOn(
    artifact,
    "M10 BEGIN, COMMIT and their kin in a file are refused before anything runs, all at once",
    async () => {
      const database = await createDatabase(server);
      const { exitCode, stdout, problems } = await run(artifact, database, {
        ...happy,
        "4_begin.sql": "-- in the middle\n\nBEGIN;\nCREATE TABLE four ();\ncommit ;\nSELECT 1;\n",
        "5_others.sql":
          "START TRANSACTION; END; ROLLBACK; ABORT; ROLLBACK WORK; COMMIT AND CHAIN;\nPREPARE TRANSACTION 'x';",
        "6_unread.sql": "SELECT 'never closed;",
        "7_no-transaction.sql":
          "-- headgate: no-transaction\nBEGIN; CREATE TABLE seven (); COMMIT;",
        "8_two.sql": "BEGIN; CREATE TABLE eight (); COMMIT;\nBEGIN; SELECT 1; COMMIT;",
        "9_mode.sql": "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;",
        "10_hidden.sql": "BEGIN;\n-- headgate: no-transaction\nVACUUM;\nCOMMIT;",
      });
      assert.equal(exitCode, 1);
      assert.equal(stdout, "");
      assertListed(problems, [
        /4_begin\.sql:3: BEGIN inside the file: .*; remove it/,
        /4_begin\.sql:5: COMMIT inside the file/,
        /5_others\.sql:1: START TRANSACTION inside/,
        /5_others\.sql:1: END inside/,
        /5_others\.sql:1: ROLLBACK inside/,
        /5_others\.sql:1: ABORT inside/,
        /5_others\.sql:1: ROLLBACK inside/,
        /5_others\.sql:1: COMMIT inside/,
        /5_others\.sql:2: PREPARE TRANSACTION inside/,
        /6_unread\.sql:1: a string starts here and is never closed/,
        /7_no-transaction\.sql:2: BEGIN in a file without a transaction/,
        /7_no-transaction\.sql:2: COMMIT in a file without a transaction/,
        /8_two\.sql:1: BEGIN inside/,
        /8_two\.sql:1: COMMIT inside/,
        /8_two\.sql:2: BEGIN inside/,
        /8_two\.sql:2: COMMIT inside/,
        /9_mode\.sql:1: BEGIN inside/,
        /9_mode\.sql:3: COMMIT inside/,
        /10_hidden\.sql:3: VACUUM cannot run in a transaction/,
        /10_hidden\.sql:2: a directive counts only above the first statement/,
      ]);
      const tables = await server.psql(
        database,
        "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace",
      );
      assert.equal(tables.length, 0, "not even the history table was made");
    },
  );

  testOn(
    artifact,
    "M10 words like BEGIN where they are not transaction control are accepted",
    async () => {
      const database = await createDatabase(server);
      const { exitCode, stderr } = await run(artifact, database, {
        "1_savepoints.sql":
          "CREATE TABLE t (id int); SAVEPOINT a; INSERT INTO t VALUES (1); ROLLBACK TO a; ROLLBACK WORK TO SAVEPOINT a; RELEASE a;",
        "2_bodies.sql": `-- COMMIT; BEGIN;
        DO $$ BEGIN PERFORM 1; END $$;
        CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN RETURN 1; END; $body$;
        COMMENT ON TABLE t IS 'BEGIN; COMMIT;';
        CREATE TABLE "commit" ("end" int);`,
      });
      assert.equal(exitCode, 0, stderr);
    },
  );

  testOn(
    artifact,
    "M10 a COMMIT that hides in a procedure cannot end the file's transaction",
    async () => {
      const database = await createDatabase(server);
      const { exitCode, stderr } = await run(artifact, database, {
        "1_create-t.sql": "CREATE TABLE t (id int);",
        "2_hidden.sql":
          "INSERT INTO t VALUES (1);\nDO $$ BEGIN COMMIT; END $$;\nINSERT INTO t VALUES (2);",
      });
      assert.equal(exitCode, 1, stderr);
      assert.match(stderr, /2_hidden\.sql:2:1: invalid transaction termination/);
      assert.equal((await server.psql(database, "SELECT FROM t")).length, 0);
    },
  );
}
