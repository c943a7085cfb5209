import assert from "node:assert/strict";
import { type LogLine, artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

type Case = {
  /** What a user would say. */
  readonly sentence: string;
  readonly fileName?: string;
  readonly sql: string | Buffer;
  /** `line:column` of the failure; absent when it has no place in the file. */
  readonly at?: string;
  readonly sqlstate: string;
  readonly statement?: RegExp;
  /** Further fields of the log line, and its message as `msg`. */
  readonly fields?: Record<string, RegExp>;
};

const cases: readonly Case[] = [
  {
    sentence: "a syntax error",
    sql: "CREATE TABLE a (id int);\n\nCREATE TABLE b (\n  id int,\n  name txet,,\n);\n",
    at: "5:13",
    sqlstate: "42601",
    statement: /^CREATE TABLE b \(.*\)$/s,
    fields: { msg: /syntax error at or near "," \(42601 syntax_error\)/ },
  },
  {
    sentence: "an unknown column, with the server's hint",
    sql: "SELECT 1;\nSELECT   idd FROM keyed;",
    at: "2:10",
    sqlstate: "42703",
    statement: /^SELECT {3}idd FROM keyed$/,
    fields: { hint: /Perhaps you meant to reference the column "keyed.id"/ },
  },
  {
    sentence: "an unknown type in the first statement, on the first line",
    sql: "CREATE TABLE a (id no_such_type);",
    at: "1:20",
    sqlstate: "42704",
  },
  {
    sentence: "an error that only running the third statement shows, with its detail",
    sql: "INSERT INTO keyed VALUES (1);\nINSERT INTO keyed VALUES (2);\n  INSERT INTO keyed\n    VALUES (1);\nSELECT 4;",
    at: "3:3",
    sqlstate: "23505",
    statement: /^INSERT INTO keyed\n {4}VALUES \(1\)$/,
    fields: { detail: /Key \(id\)=\(1\) already exists/ },
  },
  {
    sentence: "an error behind statements whose text holds semicolons",
    sql: "SELECT 'a;b', $$c;d$$; /* e; */ -- f;\nDO $$ BEGIN PERFORM 1; PERFORM 2; END $$;\nSELECT 1/0;",
    at: "3:1",
    sqlstate: "22012",
    statement: /^SELECT 1\/0$/,
  },
  {
    sentence: "an error inside a function, with the function and its line",
    sql: `CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'too few beans' USING DETAIL = 'three left', HINT = 'buy beans', ERRCODE = 'BEANS';
END $$;
SELECT fail();`,
    at: "5:1",
    sqlstate: "BEANS",
    statement: /^SELECT fail\(\)$/,
    fields: {
      msg: /too few beans/,
      detail: /three left/,
      hint: /buy beans/,
      context: /PL\/pgSQL function fail\(\) line 3/,
    },
  },
  {
    sentence: "an error in SQL that a function runs, whose position is the function's own",
    sql: "SELECT 1;\nDO $$ BEGIN EXECUTE 'SELECT nothing FROM nowhere'; END $$;",
    at: "2:1",
    sqlstate: "42P01",
    statement: /^DO /,
  },
  {
    sentence: "a deferred constraint, which fails at the commit",
    sql: "INSERT INTO referring VALUES (99);\nSELECT 2;",
    sqlstate: "23503",
    fields: { msg: /at the end, when it was recorded and committed/, detail: /\(id\)=\(99\)/ },
  },
  {
    sentence: "an error behind text that is not ASCII",
    sql: "SELECT 'é日本🙂𝄞';\n/* 🙂🙂 */ SELECT 'ünï' AS ö, wrong;",
    at: "2:29",
    sqlstate: "42703",
    statement: /^SELECT 'ünï' AS ö, wrong$/,
  },
  {
    sentence: "an error in a file with CRLF line ends",
    sql: "SELECT 1;\r\n\r\nSELECT\r\n  wrong;\r\n",
    at: "4:3",
    sqlstate: "42703",
    statement: /^SELECT\r\n {2}wrong$/,
  },
  {
    sentence: "an error in a file with a byte order mark",
    sql: "\uFEFFSELECT wrong;",
    at: "1:8",
    sqlstate: "42703",
  },
  {
    sentence: "a statement that is not finished at the end of the file",
    sql: "SELECT 1;\nCREATE TABLE a",
    at: "2:15",
    sqlstate: "42601",
    statement: /^CREATE TABLE a$/,
  },
  {
    sentence: "an error in the SQL that a script made",
    fileName: "2_script.js",
    sql: "exports.generateSql = () => ['SELECT 1;', 'SELECT wrong;'].join('\\n');",
    at: "2:8",
    sqlstate: "42703",
    statement: /^SELECT wrong$/,
  },
  {
    sentence: "an error in a later statement of a file without a transaction",
    sql: "-- headgate: no-transaction\nINSERT INTO keyed VALUES (5);\n-- é🙂\nINSERT INTO keyed SELECT wrong;",
    at: "4:26",
    sqlstate: "42703",
    statement: /^INSERT INTO keyed SELECT wrong$/,
    fields: { state: /1 of 2 steps of the file are done/ },
  },
  {
    sentence: "a missing right, with the remedy",
    sql: "CREATE ROLE nobody_special; SET ROLE nobody_special;\nSELECT * FROM keyed;",
    at: "2:1",
    sqlstate: "42501",
    fields: { fix: /HEADGATE_DATABASE_URL/ },
  },
  {
    sentence: "a file that drops the history table, at the end where it is recorded",
    sql: "SELECT 1;\nDROP TABLE migrations;",
    sqlstate: "42P01",
    fields: { msg: /at the end, when it was recorded/, state: /rolled back/ },
  },
  {
    sentence: "a file without a transaction that drops the history table",
    sql: "-- headgate: no-transaction\nDROP TABLE migrations;",
    sqlstate: "42P01",
    fields: { msg: /at the end, when it was recorded/, state: /is not recorded/ },
  },
];

const base: MigrationFiles = {
  "1_base.sql": `CREATE TABLE keyed (id int PRIMARY KEY);
    CREATE TABLE referring (id int REFERENCES keyed DEFERRABLE INITIALLY DEFERRED);`,
};

function assertExplained(failure: LogLine, expected: Case, path: string): void {
  const where = expected.at === undefined ? `${path} (` : `${path}:${expected.at}: `;
  assert.ok(failure.msg?.startsWith(where), `${where} … ${failure.msg}`);
  const [line, column] = expected.at?.split(":").map(Number) ?? [];
  assert.deepEqual([failure["line"], failure["column"]], [line, column]);
  assert.equal(failure["code"], "sql_failed");
  assert.equal(failure["sqlstate"], expected.sqlstate);
  assert.match(String(failure["fix"]), /\w/);
  if (expected.at === undefined) assert.equal(failure["statement"], undefined);
  if (expected.statement) assert.match(String(failure["statement"]), expected.statement);
  for (const [field, pattern] of Object.entries(expected.fields ?? {})) {
    assert.match(String(failure[field]), pattern, field);
  }
  assert.equal(failure["stack"], undefined);
}

for (const artifact of artifacts) {
  for (const expected of cases) {
    testOn(artifact, `M8 the log says where and why: ${expected.sentence}`, async () => {
      const database = await createDatabase(server);
      const fileName = expected.fileName ?? "2_file.sql";
      const migrations = makeMigrations({ ...base, [fileName]: expected.sql });
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
      const { exitCode, stdout, stderr, lines } = await runHeadgate(
        artifact,
        ["--", "echo", "up"],
        {
          env,
        },
      );
      assert.equal(exitCode, 1, stderr);
      assert.equal(stdout, "");
      assertExplained(lines.at(-1) ?? {}, expected, `${migrations}/${fileName}`);
      assert.equal(lines.filter(({ msg }) => msg?.includes(fileName)).length, 1, "said once");
    });
  }

  testOn(
    artifact,
    "M8 the failure shows the lines around it with a caret, and hides a password",
    async () => {
      const migrations = makeMigrations({
        "1_role.sql": "SELECT 1;\n\tCREATE ROLE api PASSWORD 'hunter2hunter2' NOSUCH;\nSELECT 3;",
      });
      const database = await createDatabase(server);
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
      const { stderr, lines } = await runHeadgate(artifact, ["migrate"], { env });
      assert.deepEqual(String(lines.at(-1)?.["excerpt"]).split("\n"), [
        "1 | SELECT 1;",
        "2 | \tCREATE ROLE api PASSWORD '[redacted]' NOSUCH;",
        `  | \t${" ".repeat("CREATE ROLE api PASSWORD '[redacted]' ".length)}^`,
        "3 | SELECT 3;",
      ]);
      assert.doesNotMatch(stderr, /hunter2/);
    },
  );
}
