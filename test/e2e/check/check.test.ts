import assert from "node:assert/strict";
import {
  type Artifact,
  artifacts,
  type HeadgateResult,
  runHeadgate,
} from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";

/** Checks a folder, with no database anywhere; findings are told without the folder. */
async function check(
  artifact: Artifact,
  files: MigrationFiles,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<HeadgateResult & { found: string[] }> {
  const folder = makeMigrations(files);
  const result = await runHeadgate(artifact, ["check", "--migrations", folder, ...args], { env });
  const found = result.stdout
    .split("\n")
    .filter((line) => line.startsWith(folder))
    .map((line) => line.slice(folder.length + 1));
  return { ...result, found };
}

const isOneOf = (found: string[], expected: RegExp[]): void => {
  for (const pattern of expected) {
    assert.ok(
      found.some((line) => pattern.test(line)),
      `${pattern} is none of:\n${found.join("\n")}`,
    );
  }
  assert.equal(found.length, expected.length, found.join("\n"));
};

for (const artifact of artifacts) {
  testOn(
    artifact,
    "K1 everything that is wrong with names and numbers is found at once, without a database",
    async () => {
      const files = {
        "1_a.sql": "",
        "01_b.sql": "",
        "3_a.sql": "",
        "6_c.sql": "",
        [`7_${"long".repeat(26)}.sql`]: "",
        "8_folder.sql/x": "",
        "9_no-function.js": "exports.generate = 1;",
        "seed.sql": "",
        "README.md": "left alone",
        "undo/1_a.sql": "SELECT 1;",
        "undo/3_other.sql": "",
        "undo/notes.txt": "left alone",
      };
      const { exitCode, found, lines } = await check(artifact, files);
      assert.equal(exitCode, 65);
      isOneOf(found, [
        /^1_a\.sql:1:1: error: duplicate-number: has the same number as 01_b\.sql/,
        /^3_a\.sql:1:1: error: gap: number 2 is missing/,
        /^3_a\.sql:1:1: error: duplicate-name: has the same name as 1_a\.sql/,
        /^6_c\.sql:1:1: error: gap: numbers 4 to 5 are missing/,
        /^7_\w+\.sql:1:1: error: file-name: the name is 104 characters long/,
        /^8_folder\.sql:1:1: error: unreadable: cannot be read \(EISDIR\)/,
        /^9_no-function\.js:1:1: error: unreadable: .*generateSql/,
        /^seed\.sql:1:1: error: file-name: the name does not start with a number/,
        /^undo\/3_other\.sql:1:1: error: undo-without-migration: there is no migration/,
        /^3_a\.sql:1:1: warning: no-undo/,
        /^6_c\.sql:1:1: warning: no-undo/,
        /^7_\w+\.sql:1:1: warning: no-undo/,
      ]);
      assert.match(lines.at(-1)?.msg ?? "", /^the migrations have 9 errors/);
    },
  );

  testOn(
    artifact,
    "K1 what cannot be sent or cannot run in a transaction is found with its place, in undo files too",
    async () => {
      const { exitCode, found } = await check(artifact, {
        "1_a.sql": "SELECT 1;\n  COMMIT;\n",
        "2_b.sql": "-- é\n/* ü */ CREATE INDEX CONCURRENTLY i ON t (a);\n",
        "3_c.sql": "SELECT 'never closed;\n",
        "4_d.sql": "\\d\nSELECT (1;\n",
        "5_e.sql": Buffer.from([...Buffer.from("SELECT 1;\n-- é "), 0xff, 0x0a]),
        "6_f.sql": "SELECT '\0';",
        "7_g.sql": "-- headgate: no-transacton\n-- headgate: allow=drop-table\nSELECT 1;\n",
        "8_h.sql": "SELECT 1;\n-- headgate: no-transaction\n",
        "9_i.sql": "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY i ON t (a);\nBEGIN;\n",
        "undo/9_i.sql": "DROP INDEX CONCURRENTLY i;\n",
      });
      assert.equal(exitCode, 65);
      isOneOf(found, [
        /^1_a\.sql:2:3: error: transaction-control: COMMIT inside the file/,
        /^2_b\.sql:2:9: error: outside-transaction: CREATE INDEX CONCURRENTLY/,
        /^3_c\.sql:1:8: error: syntax: a string starts here/,
        /^4_d\.sql:2:8: error: syntax: a parenthesis opens here/,
        /^4_d\.sql:1:1: error: syntax: \\d is a command for the psql client/,
        /^5_e\.sql:2:6: error: encoding: is not valid UTF-8/,
        /^6_f\.sql:1:9: error: encoding: contains a NUL byte/,
        /^7_g\.sql:1:1: error: directive: "no-transacton" is not a directive/,
        /^7_g\.sql:2:1: error: directive: the directive "allow=drop-table" needs a reason/,
        /^8_h\.sql:2:1: error: directive: a directive counts only above/,
        /^9_i\.sql:3:1: error: transaction-control: BEGIN in a file without a transaction/,
        /^undo\/9_i\.sql:1:1: error: outside-transaction: DROP INDEX CONCURRENTLY i/,
      ]);
    },
  );

  testOn(
    artifact,
    "K1 byte order marks, line ends of Windows and SQL that headgate does not know are harmless",
    async () => {
      const { exitCode, stdout } = await check(artifact, {
        "1_a.sql": "\uFEFF-- headgate: statement-timeout=5s\r\nSELECT 1;\r\n",
        "2_b.sql": "FROBNICATE THE ALTER TABLE; ) ALTER TABLE; DROP; ALTER TABLE a RENAME;",
        "3_c.js": "exports.generateSql = () => 'SELECT 1';",
        "4_d.sql": "",
      });
      assert.deepEqual([exitCode, stdout], [0, "checked 4 files: nothing found\n"]);
    },
  );

  testOn(
    artifact,
    "K4 a warning does not fail; with --strict it does; an allowance silences it with its reason",
    async () => {
      const files = { "1_a.sql": "SELECT 1;\nALTER TABLE users\n  DROP COLUMN name;\n" };
      const plain = await check(artifact, files);
      assert.equal(plain.exitCode, 0);
      assert.match(
        plain.stdout,
        /^\S+1_a\.sql:3:3: warning: drop-column: drops the column users\.name\n {2}why: .+\n {2}to do: .+\nchecked 1 file: 1 warning\n$/,
      );
      const strict = await check(artifact, files, ["--strict"]);
      assert.deepEqual([strict.exitCode, strict.found.length], [65, 1]);
      assert.match(strict.lines.at(-1)?.msg ?? "", /^the migrations have 1 warning$/);

      const allowed = await check(
        artifact,
        {
          "1_a.sql": `-- headgate: allow=drop-column reason="unused since 4.2"\n${files["1_a.sql"]}`,
        },
        ["--strict"],
      );
      assert.equal(allowed.exitCode, 0);
      assert.match(
        allowed.stdout,
        /^\S+:4:3: allowed: drop-column: drops the column users\.name\n {2}reason: unused since 4\.2\nchecked 1 file: 1 allowed\n$/,
      );
      const other = await check(artifact, {
        "1_a.sql": `-- headgate: allow=drop-table reason="x"\n${files["1_a.sql"]}COMMIT;`,
      });
      assert.equal(other.exitCode, 65);
      assert.match(other.found.join(), /warning: drop-column.*error: transaction-control/);
    },
  );

  testOn(
    artifact,
    "K1 undo files are wanted from the first on; none at all is a choice",
    async () => {
      const files = { "1_a.sql": "", "2_b.sql": "", "3_c.sql": "" };
      assert.deepEqual((await check(artifact, files, ["--strict"])).exitCode, 0);
      const { exitCode, found } = await check(artifact, { ...files, "undo/2_b.sql": "SELECT 1;" });
      assert.deepEqual([exitCode, found], [0, ["3_c.sql:1:1: warning: no-undo: has no undo file"]]);
    },
  );

  testOn(artifact, "K5 --json has a version, the counts and every finding in parts", async () => {
    const files = {
      "1_a.sql": '-- headgate: allow=drop-table reason="old"\nDROP TABLE a;\n',
      "2_b.sql": "COMMIT;\n",
    };
    // Annotations are for lines, not for JSON.
    const { stdout, exitCode } = await check(artifact, files, ["--json"], {
      GITHUB_ACTIONS: "true",
    });
    const { findings, ...counts } = JSON.parse(stdout) as {
      findings: Record<string, unknown>[];
    };
    assert.equal(exitCode, 65);
    assert.deepEqual(counts, { version: 1, files: 2, errors: 1, warnings: 0, allowed: 1 });
    assert.deepEqual(
      findings.map(({ file, why, fix, ...rest }) => [
        String(file).slice(-8),
        typeof why,
        typeof fix,
        rest,
      ]),
      [
        [
          "/1_a.sql",
          "string",
          "string",
          {
            ...{ rule: "drop-table", severity: "warning", line: 2, column: 1 },
            ...{ what: "drops the table a", allowed: "old" },
          },
        ],
        [
          "/2_b.sql",
          "string",
          "string",
          {
            ...{ rule: "transaction-control", severity: "error", line: 1, column: 1 },
            what: "COMMIT inside the file: headgate already runs each file in a transaction",
          },
        ],
      ],
    );
  });

  testOn(
    artifact,
    "K1 no database is asked for or looked at, also when one is configured badly",
    async () => {
      const files = { "1_a.sql": "SELECT 1;" };
      for (const env of [
        {},
        { DATABASE_URL: "mysql://nonsense" },
        { DATABASE_URL: "postgres://127.0.0.1:1/x" },
      ]) {
        const { exitCode, stdout, lines } = await check(artifact, files, [], env);
        assert.deepEqual([exitCode, stdout], [0, "checked 1 file: nothing found\n"]);
        assert.equal(lines.length, 1, "the configuration, and nothing to warn of");
        assert.equal("host" in (lines[0] ?? {}), false);
      }
      const none = await runHeadgate(artifact, ["check"], {
        env: { HEADGATE_SETS: '[{"name": "theirs", "migrator": "alembic"}]' },
      });
      assert.equal(none.exitCode, 64);
      assert.match(
        none.lines.at(-1)?.msg ?? "",
        /nothing that can be checked: set "theirs", the migrations of alembic: only that tool/,
      );
      const gone = await runHeadgate(artifact, ["check", "--migrations", "/nowhere"]);
      assert.equal(gone.exitCode, 64);
      assert.match(gone.lines.at(-1)?.msg ?? "", /cannot read the migrations folder \/nowhere/);
    },
  );
}
