import assert from "node:assert/strict";
import { test } from "node:test";
import { checksumOf } from "../../../src/migrations/checksum.ts";
import type { Migration } from "../../../src/migrations/folder.ts";
import { type AppliedRow, type History, builtIn } from "../../../src/migrations/history.ts";
import {
  listNames,
  planMigrations,
  planProblems,
  refuseUnlessSound,
} from "../../../src/migrations/plan.ts";

function file(id: number, name = `f${id}`, text = ""): Migration {
  const fileName = `${id}_${name}.sql`;
  const checksum = checksumOf(fileName, text);
  const path = `m/${fileName}`;
  const own = { directives: { isTransactional: true }, defects: [] };
  return { id, name, fileName, path, text, sql: text, checksum, ...own };
}

const row = ({ id, name, checksum: hash }: Migration): AppliedRow => ({
  ...{ id, name, hash, executedAt: "2026-11-21 03:00:00" },
});
const zero: AppliedRow = { ...builtIn, executedAt: null };
const history = (...rows: AppliedRow[]): History => ({ exists: true, rows: [zero, ...rows] });
const [one, two, three, four] = [file(1), file(2), file(3), file(4)] as const;

/** The plan as numbers. */
function plan(files: Migration[], rows: History): Record<string, number[]> {
  const { changed, ...lists } = planMigrations(files, rows);
  const ids = (entries: readonly { id: number }[]): number[] => entries.map(({ id }) => id);
  return Object.fromEntries(
    [
      ...Object.entries(lists).map(([name, entries]) => [name, ids(entries)] as const),
      ["changed", ids(changed.map(({ migration }) => migration))] as const,
    ].filter(([, numbers]) => numbers.length > 0),
  );
}

test("M6 without a history every file is pending, in order", () => {
  assert.deepEqual(plan([one, two], { exists: false, rows: [] }), { pending: [1, 2] });
  assert.deepEqual(plan([], { exists: false, rows: [] }), {});
});

test("M6 what is recorded with the file's checksum is applied, the rest pending", () => {
  assert.deepEqual(plan([one, two], history(row(one))), { applied: [1], pending: [2] });
  assert.deepEqual(plan([one, two], history(row(one), row(two))), { applied: [1, 2] });
});

test("M6 rows are compared by number, so that a missing row accuses only its own file", () => {
  assert.deepEqual(plan([one, two, three], history(row(one), row(three))), {
    ...{ applied: [1, 3], pending: [2], outOfOrder: [2] },
  });
  assert.deepEqual(plan([one, two, three], history(row(three), row(one))), {
    ...{ applied: [1, 3], pending: [2], outOfOrder: [2] },
  });
});

test("M6 an edited and a renamed file are changed, each said in its own words", () => {
  const edited = file(1, "f1", "SELECT 1");
  const renamed = file(2, "other");
  const found = planMigrations([edited, renamed], history(row(one), row(two)));
  assert.deepEqual(planProblems(found, false), [
    "m/1_f1.sql: changed: edited after it was applied on 2026-11-21 03:00:00",
    "m/2_other.sql: changed: renamed or replaced (the history has 2 f2) after it was applied on 2026-11-21 03:00:00",
  ]);
});

test("M7 rows beyond the newest file are ahead, rows below it that have no file are missing", () => {
  assert.deepEqual(plan([one], history(row(one), row(two), row(three))), {
    ...{ applied: [1], ahead: [2, 3] },
  });
  assert.deepEqual(plan([one, three], history(row(one), row(two))), {
    ...{ applied: [1], pending: [3], missing: [2] },
  });
  assert.deepEqual(plan([], history(row(one))), { ahead: [1] });
});

test("M6 a file is out of order also when what was applied after it is ahead of the image", () => {
  assert.deepEqual(plan([one, two], history(row(one), row(four))), {
    ...{ applied: [1], pending: [2], outOfOrder: [2], ahead: [4] },
  });
});

test("M6 a plan without problems is not refused, a defect of a file counts only while it is pending", () => {
  const broken = {
    ...two,
    defects: [{ rule: "encoding", offset: 0, what: "is not valid UTF-8", fix: "save it" }],
  };
  refuseUnlessSound(planMigrations([one, broken], history(row(one), row(two))), false, "");
  assert.throws(
    () => refuseUnlessSound(planMigrations([one, broken], history(row(one))), false, ""),
    (error: { exitCode: number; problems: string[]; fix: string }) => {
      assert.equal(error.exitCode, 65);
      assert.deepEqual(error.problems, ["m/2_f2.sql: is not valid UTF-8; save it"]);
      assert.equal(error.fix, "correct the files");
      return true;
    },
  );
});

test("M7 being ahead is refused only where that was asked for", () => {
  const ahead = planMigrations([one], history(row(one), row(two)));
  refuseUnlessSound(ahead, false, "");
  assert.throws(() => refuseUnlessSound(ahead, true, ""), { fix: /at least as new/ });
});

test("M6 long lists of names are shortened", () => {
  assert.equal(listNames([one, two]), "1 f1, 2 f2");
  const many = Array.from({ length: 8 }, (_, index) => file(index + 1));
  assert.equal(listNames(many), "1 f1, 2 f2, 3 f3, 4 f4, 5 f5 and 3 more");
});
