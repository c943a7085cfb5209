import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "../../../src/migrator/judge.ts";
import type { RunLook, RunRecord } from "../../../src/migrator/records.ts";

const facts = {
  pid: 1,
  isStandby: false,
  isReadOnly: false,
  serverVersion: 180_000,
  synchronousCommit: "on",
  searchPath: "public",
};

type Row = readonly [inputs: string, state: string | null, outcome?: RunRecord["outcome"]];

function verdict(rows: readonly Row[], state: string | undefined, inputs = "a"): string {
  const runs = rows.map(([own, digest, outcome = "succeeded"], index) => ({
    ...{ id: index + 1, inputs: own, state: digest, outcome },
    ...{ application: "", graceMs: 0, by: "", startedAt: "", ms: 1 },
  }));
  const look: RunLook = { facts, exists: true, runs, ...(state === undefined ? {} : { state }) };
  return judge(look, inputs).kind;
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
  const look: RunLook = { facts, exists: true, runs: [], state: "1" };
  assert.equal(judge(look, undefined).kind, "due", "no inputs are named");
});
