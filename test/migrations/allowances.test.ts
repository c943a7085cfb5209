import assert from "node:assert/strict";
import { test } from "node:test";
import { readAllowance } from "../../src/migrations/allowances.ts";
import { readDirectives } from "../../src/migrations/directives.ts";

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
    allowances: [
      { finding: "drop-column", reason: "unused since 4.2" },
      { finding: "rename-table", reason: "a=b; c" },
    ],
  });
});

test("K1 an allowance without a finding or without a reason is refused", () => {
  for (const text of [
    "allow",
    "allow=",
    "allow=drop-column",
    'allow=drop-column reason=""',
    'allow=drop-column reason="  "',
    "allow=drop-column reason=unused",
    'allow reason="x"',
    'allow=drop-column reason="x" y',
  ]) {
    assert.equal(readAllowance(text), undefined, text);
    const [problem] = readDirectives(`-- headgate: ${text}\nSELECT 1;`).problems;
    assert.match(problem?.what ?? "", /needs the name of a finding and a reason/, text);
  }
});
