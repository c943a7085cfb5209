import assert from "node:assert/strict";
import { test } from "node:test";
import { readDirectives } from "../../../src/migrations/directives.ts";

test("K1 an allowance names a finding and a reason, and a file may have several", () => {
  const sql = [
    '-- headgate: allow=drop-column reason="unused since 4.2"',
    '--headgate: allow = rename-table   reason = "a=b; c"',
    "-- headgate: no-transaction",
    "SELECT 1;",
  ].join("\n");
  const { directives, problems } = readDirectives(sql);
  assert.deepEqual(problems, []);
  assert.deepEqual(directives, {
    isTransactional: false,
    allows: [
      { finding: "drop-column", reason: "unused since 4.2" },
      { finding: "rename-table", reason: "a=b; c" },
    ],
  });
});

test("K1 an allowance without a reason, or of nothing that headgate finds, is refused", () => {
  for (const [text, what] of [
    ["allow", /allows nothing.*known are unknown, .*no-undo, drop-table/],
    ["allow=", /allows nothing/],
    ['allow reason="x"', /allows nothing/],
    ['allow=drop-colum reason="x"', /allows nothing.*did you mean drop-column\?/],
    ['allow=transaction-control reason="x"', /allows nothing/],
    ["allow=drop-column", /needs a reason; write allow=drop-column reason="/],
    ['allow=drop-column reason=""', /needs a reason/],
    ['allow=drop-column reason="  "', /needs a reason/],
    ["allow=drop-column reason=unused", /needs a reason/],
    ['allow=drop-column reason="x" y', /needs a reason/],
  ] as const) {
    const [problem, ...others] = readDirectives(`-- headgate: ${text}\nSELECT 1;`).problems;
    assert.match(`${problem?.what}; ${problem?.fix}`, what, text);
    assert.equal(others.length, 0);
  }
});
