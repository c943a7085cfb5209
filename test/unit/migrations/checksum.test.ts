import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { checksumOf, isSameText, withoutByteOrderMark } from "../../../src/migrations/checksum.ts";
import { builtIn, createHistoryTable } from "../../../src/migrations/history.ts";

const text = "CREATE TABLE é (\n  id int\n);\n";
const crlf = text.replaceAll("\n", "\r\n");

test("M1 the checksum is SHA-1 over the file's name and its text as UTF-8", () => {
  // printf '1_a.sqlSELECT 1' | sha1sum
  assert.equal(checksumOf("1_a.sql", "SELECT 1"), "bae879192858802ff596c33e356783aadbffd641");
  assert.notEqual(checksumOf("1_a.sql", text), checksumOf("01_a.sql", text));
});

test("M1 the row and the table of migration 0 are those that postgres-migrations ships", () => {
  const main = createRequire(import.meta.url).resolve("postgres-migrations");
  const fileName = "0_create-migrations-table.sql";
  const sql = readFileSync(join(dirname(main), "migrations", fileName), "utf8");
  assert.equal(checksumOf(fileName, sql), builtIn.hash);
  const squeeze = (statement: string): string =>
    statement
      .toLowerCase()
      .replaceAll(/["\s;]+/g, " ")
      .trim();
  assert.equal(squeeze(createHistoryTable(["migrations"])), squeeze(sql));
});

test("M6 a recorded checksum belongs to the text in each of its four forms", () => {
  const forms = [text, crlf, `\uFEFF${text}`, `\uFEFF${crlf}`];
  for (const recorded of forms) {
    for (const now of forms) {
      assert.ok(isSameText(checksumOf("1_a.sql", recorded), "1_a.sql", now));
    }
  }
});

test("M6 a file with mixed line ends is the same as itself, and as what git makes of it", () => {
  const mixed = "a\r\nb\nc\r\n";
  assert.ok(isSameText(checksumOf("1_a.sql", mixed), "1_a.sql", mixed));
  assert.ok(isSameText(checksumOf("1_a.sql", "a\nb\nc\n"), "1_a.sql", mixed));
});

test("M6 any other difference is an edit", () => {
  const recorded = checksumOf("1_a.sql", text);
  for (const edited of [
    `${text} `,
    text.trimEnd(),
    text.replace("id", "ID"),
    text.replaceAll("\n", "\r"),
    `\n${text}`,
    `\uFEFF\uFEFF${text}`,
    "",
  ]) {
    assert.ok(!isSameText(recorded, "1_a.sql", edited), JSON.stringify(edited));
  }
  assert.ok(!isSameText(recorded, "1_b.sql", text), "another name");
});

test("M6 one byte order mark is taken off, and only at the beginning", () => {
  assert.equal(withoutByteOrderMark("\uFEFFa\uFEFF"), "a\uFEFF");
  assert.equal(withoutByteOrderMark("a"), "a");
});
