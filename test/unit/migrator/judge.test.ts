import assert from "node:assert/strict";
import { test } from "node:test";
import { type ImageFiles, judge } from "../../../src/migrator/judge.ts";
import { notesOf } from "../../../src/migrator/record-run.ts";
import type { RunLook, RunRecord } from "../../../src/migrator/records.ts";

const facts = {
  pid: 1,
  isStandby: false,
  isReadOnly: false,
  serverVersion: 180_000,
  synchronousCommit: "on",
  searchPath: "public",
};

type Row = readonly [
  inputs: string,
  state: string | null,
  outcome?: RunRecord["outcome"],
  more?: Partial<RunRecord>,
];

/** @param state as many rows as its number says, so that `2b` has two */
const rowsIn = (state: string | null): number => Number.parseInt(state ?? "0", 10);

/** Runs of which each begins where the last one has left the tables, unless it says otherwise. */
function runsOf(rows: readonly Row[]): RunRecord[] {
  return rows.map(([own, digest, outcome = "succeeded", more = {}], index) => ({
    ...{ id: index + 1, inputs: own, state: digest, outcome, rows: rowsIn(digest) },
    ...{ stateBefore: rows[index - 1]?.[1] ?? "absent", versions: null, changes: 0 },
    ...{ application: "", graceMs: 0, by: "", startedAt: "", ms: 1, ...more },
  }));
}

function verdict(
  rows: readonly Row[],
  state: string | undefined,
  files: Partial<ImageFiles> = {},
  pointers?: readonly string[],
): string {
  const look: RunLook = {
    ...{ facts, exists: true, isFull: true, runs: runsOf(rows) },
    ...(state === undefined ? {} : { state, rows: rowsIn(state) }),
    ...(pointers === undefined ? {} : { pointers }),
  };
  return judge(look, { fingerprint: "a", ...files }).kind;
}

test("M7 a run is spared only when files and state are those of one recorded success, or of a newer one", () => {
  for (const [name, rows, state, wanted] of [
    ["nothing is recorded", [], "1", "due"],
    ["all as recorded", [["a", "1"]], "1", "current"],
    ["the state has changed", [["a", "1"]], "2", "due"],
    ["the state cannot be seen", [["a", "1"]], undefined, "due"],
    ["no state was recorded", [["a", null]], "1", "due"],
    ["no state was recorded, and there is none", [["a", null]], undefined, "due"],
    ["other files", [["b", "1"]], "1", "due"],
    [
      "a newer image's run came after",
      [
        ["a", "1"],
        ["b", "2"],
      ],
      "2",
      "ahead",
    ],
    [
      "it came after, and was undone",
      [
        ["a", "1"],
        ["b", "2"],
      ],
      "1",
      "current",
    ],
    [
      "it came after, and something else since",
      [
        ["a", "1"],
        ["b", "2"],
      ],
      "3",
      "due",
    ],
    [
      "another image's run came before",
      [
        ["b", "2"],
        ["a", "1"],
      ],
      "2",
      "due",
    ],
    [
      "a newer image fails",
      [
        ["a", "1"],
        ["b", null, "failed"],
      ],
      "1",
      "current",
    ],
    [
      "a newer image runs",
      [
        ["a", "1"],
        ["b", null, "started"],
      ],
      "1",
      "current",
    ],
    [
      "these files failed",
      [
        ["a", "1"],
        ["a", null, "failed"],
      ],
      "1",
      "due",
    ],
    [
      "these files are being run",
      [
        ["a", "1"],
        ["a", null, "started"],
      ],
      "1",
      "due",
    ],
  ] as const) {
    assert.equal(verdict(rows, state), wanted, name);
  }
  const look: RunLook = { facts, exists: true, isFull: true, runs: [], state: "1" };
  assert.equal(judge(look, undefined).kind, "due", "no inputs are named");
});

const before = { rows: null, versions: null, changes: null, stateBefore: null };

test("M7 a newer image's run that has not ended, or has failed, leaves the older image ahead and not due", () => {
  const ours: Row = ["a", "1"];
  for (const [name, rows, state, wanted] of [
    ["it is under way, and has committed some", [ours, ["b", null, "started"]], "2", "ahead"],
    ["it is under way, and has committed more since", [ours, ["b", null, "started"]], "3", "ahead"],
    ["it failed, and the table is as it left it", [ours, ["b", "2", "failed"]], "2", "ahead"],
    ["it failed, and was taken back by hand", [ours, ["b", "2", "failed"]], "1", "current"],
    ["it failed, and something else came since", [ours, ["b", "2", "failed"]], "3", "due"],
    ["it failed with nothing to note", [ours, ["b", null, "failed"]], "2", "due"],
    ["ours never succeeded", [["b", "2", "failed"]], "2", "due"],
    ["ours never succeeded, and it is under way", [["b", null, "started"]], "2", "due"],
    [
      "ours failed before it",
      [
        ["b", "2"],
        ["a", "2", "failed"],
      ],
      "2",
      "due",
    ],
    ["it came before ours", [["b", "2", "failed"], ours], "2", "due"],
    ["two came after ours", [ours, ["b", "2"], ["c", "3", "failed"]], "3", "ahead"],
    [
      "ours is of an older version",
      [
        ["a", "1", "succeeded", before],
        ["b", null, "started"],
      ],
      "2",
      "due",
    ],
  ] as const) {
    assert.equal(verdict(rows, state), wanted, name);
  }
});

test("M7 what was taken back since is no database that is ahead", () => {
  const other = { changes: 1 };
  for (const [name, rows, state, wanted] of [
    [
      "by hand, and an older image ran",
      [
        ["b", "1"],
        ["a", "2"],
        ["c", "1"],
      ],
      "1",
      "due",
    ],
    [
      "half of it",
      [
        ["b", "1"],
        ["a", "3"],
        ["c", "2", "failed", other],
      ],
      "2",
      "due",
    ],
    [
      "to where it began",
      [
        ["a", "2b", "succeeded", { stateBefore: "2a" }],
        ["c", "2a"],
      ],
      "2a",
      "due",
    ],
    [
      "under the lock",
      [
        ["b", "1a"],
        ["a", "1b"],
        ["d", "1a"],
      ],
      "1a",
      "due",
    ],
    [
      "in place, by hand",
      [
        ["a", "1a"],
        ["b", "1b", "succeeded", other],
      ],
      "1b",
      "due",
    ],
    [
      "in place, by a run",
      [
        ["a", "1a"],
        ["b", "1b"],
      ],
      "1b",
      "ahead",
    ],
    [
      "more was added by hand first",
      [
        ["a", "1"],
        ["b", "2", "succeeded", other],
      ],
      "2",
      "ahead",
    ],
    [
      "rows of an older version",
      [
        ["a", "1"],
        ["b", "2"],
      ].map(([own, digest]) => [own, digest, "succeeded", before]),
      "2",
      "due",
    ],
  ] as [string, Row[], string, string][]) {
    assert.equal(verdict(rows, state), wanted, name);
  }
});

test("M7 a correction of the same migrations counts as the release that it corrects", () => {
  const rows: Row[] = [
    ["a1", "1", "succeeded", { versions: "v" }],
    ["b", "2", "failed", { versions: "w" }],
  ];
  assert.equal(verdict(rows, "2", { versions: "v" }), "ahead");
  assert.equal(verdict(rows, "2", { versions: "u" }), "due");
  assert.equal(verdict(rows, "2"), "due");
  assert.equal(verdict(rows, "1", { versions: "v" }), "due", "nothing is on top: it is run");
  assert.equal(verdict(rows.slice(0, 1), "1", { versions: "v" }), "due");
  const [ours] = rows;
  assert.ok(ours);
  const underWay: Row = ["b", null, "started", { versions: "w" }];
  assert.equal(verdict([ours, underWay], "2", { versions: "v" }), "ahead");
  assert.equal(verdict([ours, underWay], "1", { versions: "v" }), "due", "nor is anything yet");
  const twin: Row = ["a2", "2", "failed", { versions: "v" }];
  assert.equal(verdict([ours, twin], "2", { versions: "v" }), "due", "it is no newer one");
});

test("M7 where the table points at a version, one that the image has is never ahead of it", () => {
  const changed = { changes: 1 };
  const rows: Row[] = [
    ["a", "1a"],
    ["b", "1b", "failed", changed],
  ];
  assert.equal(verdict(rows, "1b", { revisions: ["r1", "r2"] }, ["r3"]), "ahead");
  assert.equal(verdict(rows, "1b", { revisions: ["r1", "r2"] }, ["r1"]), "due");
  assert.equal(verdict(rows, "1b", { revisions: ["r1", "r2"] }, ["r1", "r3"]), "ahead");
  assert.equal(verdict(rows, "1b", { revisions: ["r1", "r2"] }, []), "due");
  const old: Row[] = rows.map(([own, digest]) => [own, digest, "succeeded", before]);
  assert.equal(verdict(old, "1b", { revisions: ["r1"] }, ["r3"]), "ahead", "it could only fail");
});

test("M7 the notes of a run tell whether another hand has changed the tables since the last one", () => {
  const notes = (rows: readonly Row[], state: string | undefined) => {
    const now = state === undefined ? { isAbsent: true } : { state, rows: rowsIn(state) };
    const look: RunLook = { facts, exists: true, isFull: true, runs: runsOf(rows), ...now };
    const { stateBefore, changes } = notesOf(look, { inputs: "a", versions: null });
    return [stateBefore, changes];
  };
  assert.deepEqual(notes([], undefined), ["absent", 0]);
  assert.deepEqual(notes([], "1"), ["1", 0]);
  assert.deepEqual(notes([["b", "1"]], "1"), ["1", 0]);
  assert.deepEqual(notes([["b", "1"]], "2"), ["2", 1]);
  assert.deepEqual(notes([["b", "1", "succeeded", { changes: 4 }]], "2"), ["2", 5]);
  assert.deepEqual(
    notes(
      [
        ["b", "1"],
        ["c", null, "started"],
      ],
      "2",
    ),
    ["2", 0],
    "a kill leaves any state",
  );
  assert.deepEqual(
    notes(
      [
        ["b", "1"],
        ["a", "2", "failed"],
      ],
      "2",
    ),
    ["1", 0],
    "a further try",
  );
  assert.deepEqual(
    notes(
      [
        ["b", "1"],
        ["a", "2", "failed"],
      ],
      "3",
    ),
    ["3", 1],
  );
  assert.deepEqual(notes([["b", "1", "succeeded", before]], "1"), ["1", 0]);
});
