import assert from "node:assert/strict";
import { test } from "node:test";
import { isFramed, withoutFrame } from "../../../src/sql/frame.ts";
import { splitStatements } from "../../../src/sql/statements.ts";

const framed = (sql: string): boolean => isFramed(sql, splitStatements(sql).statements);
const inside = (sql: string): string => withoutFrame(sql, splitStatements(sql).statements);

test("M10 every plain way to begin and to commit a transaction is known, with comments anywhere", () => {
  for (const begin of ["BEGIN", "begin work", "Begin Transaction", "START  TRANSACTION"]) {
    for (const end of ["COMMIT", "end", "COMMIT WORK", "END TRANSACTION", "COMMIT AND NO CHAIN"]) {
      assert.ok(framed(`-- Deploy it\n\n${begin};\nSELECT 1;\n${end};\n-- done\n`), begin + end);
    }
  }
  assert.ok(framed("/* x */ BEGIN /* now; */ -- and\n WORK; SELECT 1; COMMIT /* all */"));
  assert.ok(framed("BEGIN;COMMIT"));
});

test("M10 a transaction of another kind, or one that does not begin and end the file, is not taken for it", () => {
  for (const sql of [
    "",
    "BEGIN;",
    "COMMIT;",
    "BEGIN; SELECT 1;",
    "SELECT 1; COMMIT;",
    "SELECT 1; BEGIN; SELECT 2; COMMIT;",
    "BEGIN; SELECT 1; COMMIT; SELECT 2;",
    "BEGIN; SELECT 1; ROLLBACK;",
    "BEGIN; SELECT 1; COMMIT AND CHAIN;",
    "BEGIN; SELECT 1; COMMIT PREPARED 'x';",
    "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT;",
    "START TRANSACTION READ ONLY; SELECT 1; COMMIT;",
    "BEGIN 'x'; SELECT 1; COMMIT;",
    "BEGIN; SELECT 1; COMMIT 1;",
  ]) {
    assert.ok(!framed(sql), sql);
  }
});

test("M8 without its BEGIN and COMMIT all else of a file stands where it stood", () => {
  assert.equal(
    inside("-- a BEGIN\nBEGIN /* 🙂 begin */ work;\nSELECT 'COMMIT';\nEnd Work ;"),
    "-- a BEGIN\n      /* 🙂       */     ;\nSELECT 'COMMIT';\n         ;",
  );
});
