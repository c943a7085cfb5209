import assert from "node:assert/strict";
import { test } from "node:test";
import { type Name, type Reader, readStatement } from "../../../src/sql/reader.ts";

const reader = (sql: string): Reader => readStatement(sql, 0, sql.length);
const name = (sql: string): Name | undefined => reader(sql).name();

test("a name is folded as the server folds it, and a quoted one is not", () => {
  for (const [sql = "", ...expected] of [
    ["orders", "orders"],
    ["ORDERS x", "orders"],
    ["Sales.Orders.X", "sales", "orders", "x"],
    ['"Sales Data"."Order ""Lines""" (', "Sales Data", 'Order "Lines"'],
    ['sales . /* the */ "Orders" -- x', "sales", "Orders"],
    ["_a$1é", "_a$1é"],
    ['""""', '"'],
    ['"a.b"', "a.b"],
    // Of other letters only those of single-byte encodings are folded by the server.
    ["GRößE", "größe"],
    ["GRÖẞE", "grÖẞe"],
    ["İstanbul", "İstanbul"],
  ]) {
    assert.deepEqual(name(sql), expected, sql);
  }
});

test("a name is cut as the server cuts it, between characters", () => {
  assert.deepEqual(name("a".repeat(70)), ["a".repeat(63)]);
  assert.deepEqual(name(`"${"é".repeat(40)}".b`), ["é".repeat(31), "b"]);
  assert.deepEqual(name(`"a${"🐘".repeat(20)}"`), [`a${"🐘".repeat(15)}`]);
  // Without a second look at all of it for each character.
  assert.deepEqual(name("a".repeat(5_000_000)), ["a".repeat(63)]);
});

test("what is no name is not read as one, nor is half of one", () => {
  for (const sql of [
    'U&"\\0061"',
    "u&\"a\" uescape '!'",
    'public.U&"a"',
    'U&"public".a',
    "a.",
    "a.*",
    "'a'",
    "E'a'",
    "$$a$$",
    "1a",
    "(a)",
    "",
    "/* a */",
  ]) {
    const it = reader(sql);
    assert.equal(it.name(), undefined, sql);
    assert.equal(it.table(), undefined, sql);
    assert.equal(it.offset(), reader(sql).offset(), sql);
  }
});

test("a table is read with all that may stand around its name", () => {
  for (const sql of [
    "a.b",
    "only a.b",
    "only (a.b)",
    "ONLY/**/( a . B )",
    "a.b *",
    "a.b/* all */*",
  ]) {
    const it = reader(`${sql} next`);
    assert.deepEqual(it.table(), ["a", "b"], sql);
    assert.ok(it.take("NEXT"), sql);
  }
  const it = reader('only U&"a" next');
  assert.equal(it.table(), undefined);
  assert.ok(it.take("ONLY"));
});

test("words are taken in any case and with anything blank between them, and quoted ones are none", () => {
  const it = reader('CREATE /* a */ index--b\r\n If nOT\texists "ON" on t');
  assert.ok(!it.take("CREATE TABLE"));
  assert.ok(it.take("CREATE INDEX"));
  assert.ok(it.take("IF NOT EXISTS"));
  assert.ok(!it.take("ON"));
  assert.deepEqual(it.name(), ["ON"]);
  assert.ok(it.take("ON T"));
  assert.ok(it.isAtEnd());
  assert.ok(!it.take("ON"));
});

test("it skips past words outside parentheses only, and searches inside them too", () => {
  const sql = "a (on (on) [on]) 'on' \"on\" /* on */ b[on] $$on$$ on c";
  const it = reader(sql);
  assert.ok(it.skipPast("ON"));
  assert.equal(sql.slice(it.offset()), "c");
  assert.ok(!it.skipPast("ON"));
  assert.ok(it.take("C"));

  const other = reader(sql);
  assert.ok(other.search("ON"));
  assert.ok(other.take("( ON )"));
  // From inside parentheses, what follows them is outside.
  assert.ok(other.skipPast("ON C"));
  assert.ok(other.isAtEnd());

  assert.ok(!reader("((on)").skipPast("ON"));
  assert.ok(reader(") on").skipPast("ON"));
  assert.ok(!reader("o n").skipPast("ON"));
});

test("options are read with their values, in every spelling of no", () => {
  for (const [sql, expected] of [
    ["(a, b off, c on)", { a: true, b: false, c: true }],
    [
      "( A=false , b = 'OFF', c = 0, d = 10, e 'no' )",
      { a: false, b: false, c: false, d: true, e: true },
    ],
    ["(x.a = 1, \"B\" = (1, 2), c = 'a, d = off')", { a: true, B: true, c: true }],
    ["(a /* off */, b -- on\n off /* x */)", { a: true, b: false }],
    ["(a", { a: true }],
    ["()", {}],
    ["a", {}],
  ] as const) {
    const it = reader(sql);
    assert.deepEqual(Object.fromEntries(it.options()), expected, sql);
    assert.equal(it.isAtEnd(), sql !== "a", sql);
  }
});

test("text is read up to a symbol outside parentheses, without the comments", () => {
  const sql = "ADD a numeric(1, 2) /* , */, ADD b int[] default ARRAY[1,2]-- ,\n NOT NULL, c 'd,e'";
  const it = reader(sql);
  assert.equal(it.text(","), "ADD a numeric(1, 2)");
  assert.equal(it.text(","), "ADD b int[] default ARRAY[1,2] NOT NULL");
  assert.equal(it.text(","), "c 'd,e'");
  assert.equal(it.text(","), "");
  assert.ok(it.isAtEnd());
});

test("only the statement between its offsets is read", () => {
  const sql = "select 1; drop a . b; drop c";
  const it = readStatement(sql, 10, 20);
  assert.equal(sql.slice(it.offset()), "drop a . b; drop c");
  assert.ok(it.take("DROP"));
  assert.deepEqual(it.name(), ["a", "b"]);
  assert.ok(it.isAtEnd());
  assert.equal(it.offset(), 20);
});
