import assert from "node:assert/strict";
import { test } from "node:test";
import { HeadgateError } from "../../../src/errors.ts";
import type { Migration } from "../../../src/migrations/folder.ts";
import { explainSqlError } from "../../../src/apply/sql-failure.ts";
import { splitStatements } from "../../../src/sql/statements.ts";

function migrationOf(sql: string): Migration {
  const names = { name: "x", fileName: "1_x.sql", path: "m/1_x.sql" };
  const own = { directives: { isTransactional: true }, defects: [] };
  return { id: 1, ...names, text: sql, sql, checksum: "", ...own };
}

function sentBehindTen(sql: string, completed: number): Parameters<typeof explainSqlError>[1] {
  const parts = [
    { own: "x".repeat(10), statements: 1 },
    { from: 0, to: sql.length },
  ];
  const { statements } = splitStatements(sql);
  return { migration: migrationOf(sql), statements, parts, completed, state: "as before" };
}

/** An error as pg gives it for text that was sent behind ten characters and one statement. */
function explain(
  sql: string,
  fields: { position?: number; code?: string; message?: string; where?: string; hint?: string },
  completed = 1,
): HeadgateError {
  const { position, message = "wrong", code = "42601", ...more } = fields;
  const at = position === undefined ? {} : { position: String(position + 10) };
  const error = Object.assign(new Error(message), { code, severity: "ERROR", ...at, ...more });
  const explained = explainSqlError(error, sentBehindTen(sql, completed));
  assert.ok(explained instanceof HeadgateError);
  return explained;
}

test("M8 a position is counted in characters, not in UTF-16 units", () => {
  const sql = "SELECT '🙂🙂';\nSELECT '𝄞', wrong;";
  const { details, message } = explain(sql, { position: [...sql].indexOf("w") + 1 });
  assert.deepEqual([details["line"], details["column"]], [2, 13]);
  assert.equal(message, "m/1_x.sql:2:13: wrong (42601 syntax_error)");
});

test("M8 without a position the statement is the one after those that were completed", () => {
  const sql = "SELECT 1;\n-- two\nSELECT 2;\nSELECT 3";
  for (const [completed, line, statement] of [
    [1, 1, "SELECT 1"],
    [2, 3, "SELECT 2"],
    [3, 4, "SELECT 3"],
  ] as const) {
    const { details } = explain(sql, {}, completed);
    assert.deepEqual([details["line"], details["statement"]], [line, statement]);
  }
});

test("M8 what fails behind the last statement has no place in the file", () => {
  const sql = "SELECT 1; SELECT 2";
  for (const failure of [explain(sql, {}, 4), explain(sql, { position: sql.length + 3 })]) {
    assert.match(
      failure.message,
      /^m\/1_x\.sql \(at the end, when it was recorded and committed\)/,
    );
    assert.equal(failure.details["line"], undefined);
  }
  // The semicolon that headgate adds is where the server notices that a statement is not finished.
  assert.equal(explain(sql, { position: sql.length + 2 }).details["column"], sql.length + 1);
});

test("M8 anything but an error of the server is left as it is", () => {
  const error = new Error("connection reset");
  assert.equal(explainSqlError(error, sentBehindTen("SELECT 1", 0)), error);
});

test("M8 a long statement is shortened, and a long line too", () => {
  const { details } = explain(`SELECT '${"x".repeat(5000)}', wrong`, { position: 5013 });
  assert.ok(String(details["statement"]).length < 600);
  for (const line of String(details["excerpt"]).split("\n")) assert.ok(line.length < 220);
});

test("P1 the passwords in a statement that failed are not shown, in whatever way they are written", () => {
  for (const sql of [
    "CREATE ROLE a PASSWORD 'hunter2';",
    "CREATE ROLE a PASSWORD 'it''s hunter2';",
    "CREATE ROLE a PASSWORD E'it\\'s hunter2';",
    "CREATE ROLE a ENCRYPTED PASSWORD U&'hunter2';",
    "CREATE ROLE a PASSWORD $$hunter2$$;",
    "CREATE ROLE a PASSWORD $x$ $$hunter2 $x$;",
    "CREATE ROLE a PASSWORD\n  'hunter2';",
    "CREATE ROLE a PASSWORD\n  'hunter2\nhunter2';\nSELECT 1;",
    "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'a', password 'hunter2');",
    "CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2 user=a' PUBLICATION p;",
    "SELECT dblink('host=h password=''hunter2 hunter2''');",
    "UPDATE accounts SET password = 'hunter2 hunter2';",
  ]) {
    for (const position of [1, sql.indexOf("2") + 2, sql.length]) {
      const where = `SQL statement "${sql}"`;
      const { message, details } = explain(sql, { position, where, message: `at "${sql}"` });
      const all = JSON.stringify({ message, details: { ...details } });
      assert.doesNotMatch(all, /hunter2/, `${sql} at ${position}`);
    }
  }
  const harmless = explain("CREATE TABLE a (password text NOT NULL, b int);", { position: 1 });
  assert.match(String(harmless.details["statement"]), /password text NOT NULL/);
});

test("M8 what to do about a statement that was cancelled, or that ran out of locks, is said in words that are true", () => {
  const cancelled = explain("SELECT 1;", { code: "57014", message: "canceling statement" });
  assert.match(
    cancelled.fix,
    /^raise --statement-timeout.*; or somebody has cancelled the statement/,
  );
  const hint = 'You might need to increase "max_locks_per_transaction".';
  const locks = explain("SELECT 1;", { code: "53200", message: "out of shared memory", hint });
  assert.match(locks.fix, /^raise max_locks_per_transaction on the server, or split the file/);
  const memory = explain("SELECT 1;", { code: "53200", message: "out of memory" });
  assert.doesNotMatch(memory.fix, /max_locks/);
});
