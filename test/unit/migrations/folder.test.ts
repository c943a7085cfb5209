import assert from "node:assert/strict";
import { test } from "node:test";
import { type Migration, readFolder } from "../../../src/migrations/folder.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";

const read = (files: MigrationFiles): Promise<readonly Migration[]> =>
  readFolder(makeMigrations(files));

async function readOne(content: string | Buffer): Promise<Migration> {
  const [migration] = await read({ "1_a.sql": content });
  assert.ok(migration);
  return migration;
}

test("M1 files are read in the order of their numbers, whatever form their names have", async () => {
  const migrations = await read({
    ...{ "10_ten.sql": "", "9-nine.sql": "", "08 eight.sql": "", "7seven.sql": "", "006.sql": "" },
    ...{
      "5__five.sql": "",
      "4_a.b.sql": "",
      "3_THREE.SQL": "",
      "2_two.js": "exports.generateSql = () => 'SELECT 2'",
    },
    ...{ "1_one.sql": "", "README.md": "", "1_one.sql.bak": "", "notes/99_x.sql": "" },
  });
  assert.deepEqual(
    migrations.map(({ id, name }) => [id, name]),
    [
      [1, "one"],
      [2, "two"],
      [3, "THREE"],
      [4, "a.b"],
      [5, "_five"],
      [6, "006.sql"],
      [7, "seven"],
      [8, " eight"],
      [9, "nine"],
      [10, "ten"],
    ],
  );
  assert.equal(migrations[1]?.sql, "SELECT 2");
});

test("M1 a directive counts in the comments at the head of a file, in either spelling, and nowhere else", async () => {
  for (const head of [
    "-- headgate: no-transaction\n",
    "--headgate:no-transaction\r\n",
    "\uFEFF-- headgate: no-transaction\n",
    "\n-- A comment.\n\n  -- postgres-migrations disable-transaction\n",
  ]) {
    assert.equal(
      (await readOne(`${head}SELECT 1;`)).directives.isTransactional,
      false,
      JSON.stringify(head),
    );
  }
  for (const text of [
    "SELECT 1;\n-- headgate: no-transaction\n",
    "SELECT '\n-- headgate: no-transaction\n';",
    "-- not headgate: no-transaction\nSELECT 1;",
    "/*\n-- headgate: no-transaction\n*/ SELECT 1;",
  ]) {
    assert.equal((await readOne(text)).directives.isTransactional, true, text);
  }
});

test("M6 the text is kept to the byte, and sent without its byte order mark", async () => {
  const { text, sql } = await readOne("\uFEFFSELECT 1;\r\n");
  assert.deepEqual([text, sql], ["\uFEFFSELECT 1;\r\n", "SELECT 1;\r\n"]);
});

test("M6 bytes that the server would not take are a defect with its place, not yet a refusal", async () => {
  const [invalid] = (await readOne(Buffer.from([0x2d, 0xc3, 0xa9, 0x2d, 0xff]))).defects;
  assert.match(`${invalid?.offset} ${invalid?.what}`, /^3 .*UTF-8/);
  const [nul] = (await readOne("\uFEFFSELECT '\0'")).defects;
  assert.match(`${nul?.offset} ${nul?.what}`, /^8 .*NUL/);
  assert.equal((await readOne("SELECT 'é🙂'")).defects.length, 0);
});

test("M6 what cannot be read is listed with the system's own word", async () => {
  await assert.rejects(read({ "1_folder.sql/file": "" }), (error: { problems: string[] }) => {
    assert.match(error.problems.join("\n"), /1_folder\.sql: cannot be read \(EISDIR\)/);
    return true;
  });
});
