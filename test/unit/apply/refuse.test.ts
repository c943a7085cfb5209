import assert from "node:assert/strict";
import { test } from "node:test";
import { readPending } from "../../../src/apply/refuse.ts";
import { HeadgateError } from "../../../src/errors.ts";
import { readFolder } from "../../../src/migrations/folder.ts";
import { makeMigrations } from "../../helpers/migrations.ts";

/** What is wrong with one file; nothing when it is taken. */
async function refusals(sql: string, { isPooled = false } = {}): Promise<string> {
  const files = await readFolder(makeMigrations({ "1_a.sql": sql }));
  try {
    readPending(files, isPooled);
    return "";
  } catch (error) {
    assert.ok(error instanceof HeadgateError, String(error));
    return error.problems.join("\n");
  }
}

test("M10 transaction control is found with its line, in every kind of line end", async () => {
  for (const end of ["\n", "\r\n", "\r"]) {
    const text = ["SELECT 1;", "-- BEGIN", "  begin", "; SELECT 2;"].join(end);
    assert.match(await refusals(text), /^\S+1_a\.sql:3: BEGIN inside the file[^\n]*$/);
  }
});

test("M10 a statement that cannot run in a transaction is found, however it is written", async () => {
  for (const sql of [
    "CREATE INDEX CONCURRENTLY ON t (a)",
    'create unique index /* now */ concurrently if not exists "I" on t (a)',
    "DROP INDEX CONCURRENTLY i",
    "REINDEX INDEX CONCURRENTLY i",
    "REINDEX (VERBOSE, CONCURRENTLY) TABLE t",
    "REINDEX (VERBOSE) TABLE CONCURRENTLY t",
    "REINDEX SCHEMA s",
    "ALTER TABLE p DETACH PARTITION c CONCURRENTLY",
    'ALTER TABLE IF EXISTS ONLY "a b"."p" DETACH PARTITION "x"."c" CONCURRENTLY',
    "VACUUM",
    "VACUUM (FULL) t",
    "CREATE DATABASE d",
    "DROP DATABASE d",
    "CREATE TABLESPACE t LOCATION '/x'",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "ALTER DATABASE d SET TABLESPACE t",
    "CREATE SUBSCRIPTION s CONNECTION 'host=h' PUBLICATION p",
    "DROP SUBSCRIPTION s",
    "DISCARD ALL",
    "CLUSTER",
  ]) {
    assert.match(
      await refusals(`SELECT 1;\n${sql};`),
      /^\S+1_a\.sql:2: .* cannot run in a transaction; .*`-- headgate: no-transaction`/,
      sql,
    );
    assert.equal(await refusals(`-- headgate: no-transaction\nSELECT 1;\n${sql};`), "", sql);
  }
});

test("M10 statements that only look like these are taken", async () => {
  for (const sql of [
    "CREATE INDEX concurrent ON t (a)",
    "SELECT 'CREATE INDEX CONCURRENTLY ON t (a)'",
    "CREATE TABLE concurrently (vacuum int)",
    "DROP INDEX i",
    "REINDEX TABLE t",
    "REINDEX (CONCURRENTLY false) TABLE t",
    "ALTER TABLE p DETACH PARTITION c",
    "ALTER TABLE p DETACH PARTITION c FINALIZE",
    "ALTER DATABASE d SET work_mem = '1MB'",
    "CREATE SUBSCRIPTION s CONNECTION 'host=h' PUBLICATION p WITH (connect = false)",
    "CLUSTER t",
    "DISCARD TEMP",
    "SAVEPOINT s; ROLLBACK TO s",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
    "ANALYZE t",
  ]) {
    assert.equal(await refusals(sql), "", sql);
  }
});

test("M10 a directive below the first statement is refused, not overlooked", async () => {
  assert.match(
    await refusals("SELECT 1;\n  -- headgate: no-transaction\nSELECT 2;"),
    /1_a\.sql:2: a directive counts only above the first statement/,
  );
  for (const sql of [
    "SELECT '\n-- headgate: no-transaction\n';",
    "/*\n-- headgate: no-transaction\n*/ SELECT 1;",
    "SELECT 1 /*\n-- headgate: no-transaction\n*/;",
  ]) {
    assert.equal(await refusals(sql), "", sql);
  }
});

test("L7 what outlives its transaction is refused behind a pooler", async () => {
  for (const sql of [
    "CREATE TEMP TABLE t (a int)",
    "CREATE TEMPORARY TABLE t AS SELECT 1",
    "PREPARE p AS SELECT 1",
    "LISTEN c",
    "LOAD 'auto_explain'",
    "-- headgate: no-transaction\nVACUUM",
  ]) {
    assert.match(await refusals(sql, { isPooled: true }), /1_a\.sql/, sql);
    assert.equal(await refusals(sql), "", sql);
  }
  const dropped = "CREATE TEMP TABLE t (a int) ON COMMIT DROP";
  assert.equal(await refusals(dropped, { isPooled: true }), "");
});
