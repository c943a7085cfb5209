import assert from "node:assert/strict";
import { test } from "node:test";
import { lockKeys } from "../../../src/lock/key.ts";

test("L8 the table migrations also takes the key of postgres-migrations, other tables do not", () => {
  assert.equal(lockKeys("public", "migrations").shared?.key, "-8525285245963000605");
  assert.equal(lockKeys("tenant", "migrations").shared?.key, "-8525285245963000605");
  assert.equal(lockKeys("public", "history").shared, undefined);
});

test("L8 every schema and table has a key of its own, also where their names together are the same", () => {
  const names = [
    ["public", "migrations"],
    ["tenant", "migrations"],
    ["public", "history"],
    ["Public", "history"],
    ["a", "b.c"],
    ["a.b", "c"],
    ["ab", "c"],
    ["a", "bc"],
  ] as const;
  const keys = names.map(([schema, table]) => lockKeys(schema, table).own.key);
  assert.equal(new Set(keys).size, names.length);
  assert.ok(!keys.includes("-8525285245963000605"));
});

test("L8 a key stays the same from version to version, or two versions would not exclude each other", () => {
  // printf 'headgate\0public\0migrations' | sha256sum | cut -c1-16, as a signed number
  assert.equal(lockKeys("public", "migrations").own.key, "1221931405689551610");
});

test("L5 a key is found in pg_locks as two unsigned halves", () => {
  const { own, shared } = lockKeys("public", "migrations");
  for (const { key, classid, objid } of [own, shared ?? own]) {
    assert.ok(classid >= 0 && objid >= 0);
    assert.equal(BigInt.asIntN(64, (BigInt(classid) << 32n) | BigInt(objid)).toString(), key);
  }
});
