import assert from "node:assert/strict";
import { test } from "node:test";
import { readFolder, surveyFolder } from "../../../src/migrations/folder.ts";
import { isUnwritten, newText } from "../../../src/migrations/new-file.ts";
import { readUndoFiles } from "../../../src/migrations/undo-files.ts";
import { makeMigrations } from "../../helpers/migrations.ts";

test("M13 of two files with one number the one that undoes the other is named, however the tool spells it", async () => {
  for (const [up, down] of [
    ["1_a.up.sql", "1_a.down.sql"],
    ["000001_a.up.sql", "000001_a.down.sql"],
    ["1_a.tx.up.sql", "1_a.tx.down.sql"],
    ["1_a.sql", "1_a.down.sql"],
    ["001.do.a.sql", "001.undo.a.sql"],
    ["1_a.do.sql", "1_a.undo.sql"],
    ["1_a_up.sql", "1_a_down.sql"],
    ["1-a-up.sql", "1-a-down.sql"],
    ["1.a.sql", "1.a.rollback.sql"],
    ["1_a.deploy.sql", "1_a.revert.sql"],
  ] as const) {
    const folder = makeMigrations({ [up]: "SELECT 1;", [down]: "SELECT 2;" });
    const { misfits } = await surveyFolder(folder);
    assert.deepEqual(
      misfits.map(({ rule, path }) => [rule, path.slice(folder.length + 1)]),
      [["undo-beside", down]],
    );
    assert.match(misfits[0]?.what ?? "", /would be run as a migration/);
  }
});

test("M13 a file that undoes another by its name alone cannot be applied, and one that only sounds so can", async () => {
  const rules = async (fileName: string): Promise<string[]> => {
    const [migration] = await readFolder(makeMigrations({ [fileName]: "SELECT 1;" }));
    return (migration?.defects ?? []).map(({ rule }) => rule);
  };
  for (const name of ["1_a.down.sql", "1_a.DOWN.sql", "1_a.undo.sql", "1_a.rollback.sql"]) {
    assert.deepEqual(await rules(name), ["undo-beside"], name);
  }
  for (const name of ["1_scale-down.sql", "1_count_down.sql", "1_undo.sql", "1_a.up.sql"]) {
    assert.deepEqual(await rules(name), [], name);
  }
});

test("M14 a migration is not written as long as it is what `headgate new` wrote", () => {
  assert.ok(isUnwritten("add-tags", newText("Add tags")));
  assert.ok(isUnwritten("add_users_e_mail", newText("Add user's  e-mail!".replace("  ", " "))));
  assert.ok(isUnwritten("größe-2", newText("Größe 2")));
  assert.ok(isUnwritten("add-tags", "-- Add tags\r\n"));
  assert.ok(isUnwritten("add-tags", "-- headgate: no-transaction\n-- Add tags\n\n"));
  for (const sql of [
    "",
    "\n",
    "-- left blank on purpose\n",
    "-- This is an empty migration.",
    "-- Add tags\n-- later\n",
    "-- Add tags\nSELECT 1;",
    "/* Add tags */",
  ]) {
    assert.ok(!isUnwritten("add-tags", sql), sql);
  }
});

test("U11 an undo file without a statement has a defect, unless it says that there is nothing to undo, and why", async () => {
  const reason = '-- headgate: nothing-to-undo reason="rows that nobody misses"\n';
  const cases: [sql: string, rules: string[]][] = [
    ["", ["empty-undo"]],
    ["-- Undoes 1_a.sql.\n", ["empty-undo"]],
    ["\uFEFF/* DROP TABLE a; */ ;;\n", ["empty-undo"]],
    ["SELECT 1", []],
    ["-- Undoes 1_a.sql.\n;DROP TABLE a;", []],
    ["'never closed", []], // refused as such
    [reason, []],
    [`-- Undoes 1_a.sql.\n${reason};`, []],
    [`${reason}DROP TABLE a;`, ["directive"]],
    ["-- headgate: nothing-to-undo\n", ["directive", "empty-undo"]],
    ['-- headgate: nothing-to-undo reason=" "\n', ["directive", "empty-undo"]],
    ["-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;", ["foreign-mark"]],
  ];
  for (const [sql, rules] of cases) {
    const folder = makeMigrations({ "1_a.sql": "CREATE TABLE a ();", "undo/1_a.sql": sql });
    const undo = readUndoFiles(folder, await readFolder(folder)).get(1);
    assert.deepEqual(
      undo?.defects.map(({ rule }) => rule),
      rules,
      sql,
    );
  }
  const [migration] = await readFolder(makeMigrations({ "1_a.sql": `${reason}SELECT 1;` }));
  assert.match(migration?.defects[0]?.what ?? "", /nothing-to-undo is for the undo file/);
});
