import assert from "node:assert/strict";
import { test } from "node:test";
import { splitStatements } from "../../../src/sql/statements.ts";

const texts = (sql: string): string[] =>
  splitStatements(sql).statements.map(({ start, end }) => sql.slice(start, end));
const raw = String.raw;

/** What a user says, the SQL, and the statements in it. A server accepts every one of these. */
const splits: readonly (readonly [sentence: string, sql: string, ...statements: string[]])[] = [
  ["every ; ends a statement", "SELECT 1; SELECT 2;", "SELECT 1", "SELECT 2"],
  ["the last statement needs no ;", "SELECT 1;\nSELECT 2\n", "SELECT 1", "SELECT 2"],
  ["an empty file has no statement", ""],
  ["a file of white space has no statement", " \t\r\n\f\v\n"],
  ["a file of comments has no statement", "-- one; two\n/* three; */ -- four"],
  ["nothing between two ; is no statement", ";; ;/* ; */;SELECT 1;;", "SELECT 1"],
  [
    "comments before and after a statement are not part of it",
    "-- first\n/* a */ SELECT /* b */ 1 /* c */ -- d\n; -- e",
    "SELECT /* b */ 1",
  ],
  ["a byte order mark is skipped", "\ufeffSELECT 1; SELECT 2", "SELECT 1", "SELECT 2"],
  ["lines may end in CRLF", "SELECT 1; -- a;\r\nSELECT\r\n2;\r\n", "SELECT 1", "SELECT\r\n2"],
  ["lines may end in CR alone", "SELECT 1 -- a;\r+ 2; SELECT 3", "SELECT 1 -- a;\r+ 2", "SELECT 3"],

  ["a ; in a string is text", "SELECT 'a;b'; SELECT 2", "SELECT 'a;b'", "SELECT 2"],
  ["a doubled quote is text", "SELECT 'it''s;'; SELECT 2", "SELECT 'it''s;'", "SELECT 2"],
  ["a string may be empty", "SELECT '', ''''; SELECT 2", "SELECT '', ''''", "SELECT 2"],
  ["a string may span lines", "SELECT 'a\n;\r\n'; SELECT 2", "SELECT 'a\n;\r\n'", "SELECT 2"],
  [
    "a backslash in an ordinary string escapes nothing",
    raw`SELECT 'C:\'; SELECT 'D:\'`,
    raw`SELECT 'C:\'`,
    raw`SELECT 'D:\'`,
  ],
  [
    "a backslash in an E string escapes the quote",
    raw`SELECT E'it\'s;', e'\'', E'\\'; SELECT 2`,
    raw`SELECT E'it\'s;', e'\'', E'\\'`,
    "SELECT 2",
  ],
  [
    "a doubled quote works in an E string too",
    raw`SELECT E'it''s;\\''\''; SELECT 2`,
    raw`SELECT E'it''s;\\''\''`,
    "SELECT 2",
  ],
  [
    "a word that ends in e does not make an E string",
    raw`SELECT name'\'; SELECT 2`,
    raw`SELECT name'\'`,
    "SELECT 2",
  ],
  [
    "a string goes on after a line end",
    "SELECT 'a'\n  ';b'; SELECT 2",
    "SELECT 'a'\n  ';b'",
    "SELECT 2",
  ],
  [
    "a string that goes on after a line end keeps its escapes",
    raw`SELECT E'a'` + "\r\n\t" + raw`'\';b'; SELECT 2`,
    raw`SELECT E'a'` + "\r\n\t" + raw`'\';b'`,
    "SELECT 2",
  ],
  [
    "a string goes on after a line comment",
    "SELECT E'a' -- it's\n -- ;\n'\\';b'; SELECT 2",
    "SELECT E'a' -- it's\n -- ;\n'\\';b'",
    "SELECT 2",
  ],
  [
    "a string that goes on may start with a doubled quote",
    "SELECT 'a'\n'''b;'; SELECT 2",
    "SELECT 'a'\n'''b;'",
    "SELECT 2",
  ],
  [
    "a string after a comma is a new one, without escapes",
    "SELECT E'a',\n'\\'; SELECT 2",
    "SELECT E'a',\n'\\'",
    "SELECT 2",
  ],
  [
    "bit, hexadecimal and national strings are strings",
    "SELECT B'01', b'1', X'1F', x'a', N'a;b', n';'; SELECT 2",
    "SELECT B'01', b'1', X'1F', x'a', N'a;b', n';'",
    "SELECT 2",
  ],
  [
    "a U& string takes no backslash for its quote",
    raw`SELECT U&'d\0061t;a', u&'\\', U&'!0061;' UESCAPE '!'; SELECT 2`,
    raw`SELECT U&'d\0061t;a', u&'\\', U&'!0061;' UESCAPE '!'`,
    "SELECT 2",
  ],
  [
    "a ; in a quoted name is part of the name",
    `SELECT 1 AS "a;b", 2 AS "it's", 3 AS "a"";"; SELECT 2`,
    `SELECT 1 AS "a;b", 2 AS "it's", 3 AS "a"";"`,
    "SELECT 2",
  ],
  [
    "a backslash in a quoted name is part of the name",
    raw`SELECT 1 AS "a\"; SELECT 2`,
    raw`SELECT 1 AS "a\"`,
    "SELECT 2",
  ],
  [
    "a U& name may hold a ;",
    raw`SELECT 1 AS U&"d\0061;""", 2 AS u&"x!0061;" UESCAPE '!'; SELECT 2`,
    raw`SELECT 1 AS U&"d\0061;""", 2 AS u&"x!0061;" UESCAPE '!'`,
    "SELECT 2",
  ],

  [
    "a dollar quote takes everything as text",
    raw`SELECT $$it's; -- /* " \ $$; SELECT 2`,
    raw`SELECT $$it's; -- /* " \ $$`,
    "SELECT 2",
  ],
  [
    "a dollar quote may be empty",
    "SELECT $$$$, $a$$a$; SELECT 2",
    "SELECT $$$$, $a$$a$",
    "SELECT 2",
  ],
  [
    "a dollar quote ends only at its own tag",
    "SELECT $a$ ; $b$ ; $A$ ; $$ ; $a$; SELECT 2",
    "SELECT $a$ ; $b$ ; $A$ ; $$ ; $a$",
    "SELECT 2",
  ],
  [
    "dollar quotes nest by different tags",
    "DO $do$ BEGIN EXECUTE $$SELECT ';'$$; END $do$; SELECT 2",
    "DO $do$ BEGIN EXECUTE $$SELECT ';'$$; END $do$",
    "SELECT 2",
  ],
  [
    "a closing tag counts right behind other text and dollars",
    "SELECT $a$;$junk$a$, $a$;x$a$, $a$;$$a$, $$;$a$$; SELECT 2",
    "SELECT $a$;$junk$a$, $a$;x$a$, $a$;$$a$, $$;$a$$",
    "SELECT 2",
  ],
  [
    "the tag of a dollar quote need not be ASCII",
    "SELECT $größe$;$grö$;$größe$, $名_1$;$名_1$; SELECT 2",
    "SELECT $größe$;$grö$;$größe$, $名_1$;$名_1$",
    "SELECT 2",
  ],
  [
    "a $ inside a name does not start a dollar quote",
    "SELECT 1 AS a$b$c; SELECT 2 AS é$$; SELECT 3 AS a$b$c",
    "SELECT 1 AS a$b$c",
    "SELECT 2 AS é$$",
    "SELECT 3 AS a$b$c",
  ],
  [
    "$1 is a parameter",
    "PREPARE p (int, int) AS SELECT $1+$2; EXECUTE p (1, 2); DEALLOCATE p",
    "PREPARE p (int, int) AS SELECT $1+$2",
    "EXECUTE p (1, 2)",
    "DEALLOCATE p",
  ],
  [
    "a $$ in a string or a comment opens nothing",
    "SELECT '$$'; /* $$ */ SELECT 2; -- $$\nSELECT '$$'",
    "SELECT '$$'",
    "SELECT 2",
    "SELECT '$$'",
  ],
  [
    "names need not be ASCII",
    "SELECT 1 AS größe; SELECT 2 AS 名; SELECT 3 AS 🐘",
    "SELECT 1 AS größe",
    "SELECT 2 AS 名",
    "SELECT 3 AS 🐘",
  ],

  ["comments nest", "SELECT 1 /* a /* ; */ ; */; SELECT 2", "SELECT 1", "SELECT 2"],
  [
    "the marks of comments do not share a character",
    "SELECT /*/ ; */ 1; SELECT /* ;**/ 2; SELECT /*/*/ ; */ */ 3; SELECT /***/ 4",
    "SELECT /*/ ; */ 1",
    "SELECT /* ;**/ 2",
    "SELECT /*/*/ ; */ */ 3",
    "SELECT /***/ 4",
  ],
  [
    "a quote in a comment opens nothing",
    "SELECT 1 -- it's\n; /* it's \" */ SELECT 2",
    "SELECT 1",
    "SELECT 2",
  ],
  [
    "a -- does not end a block comment, and a block comment does not start behind --",
    "SELECT /* -- */ 1; -- /*\nSELECT 2; -- */\nSELECT 3",
    "SELECT /* -- */ 1",
    "SELECT 2",
    "SELECT 3",
  ],
  [
    "a comment may follow an operator without a space",
    "SELECT 1+/* ; */2; SELECT 3*-- ;\n4; SELECT 5-/* ; */-6; SELECT 8//* ; */2",
    "SELECT 1+/* ; */2",
    "SELECT 3*-- ;\n4",
    "SELECT 5-/* ; */-6",
    "SELECT 8//* ; */2",
  ],
  [
    "the marks of a comment in a string are text",
    "SELECT '--', '/*'; SELECT \"?column?\" FROM (SELECT 1) AS \"/*\"(\"?column?\"); SELECT '*/'",
    "SELECT '--', '/*'",
    'SELECT "?column?" FROM (SELECT 1) AS "/*"("?column?")',
    "SELECT '*/'",
  ],
  [
    "operators of JSON are operators",
    `SELECT '{"a;":1}'::jsonb->>'a;', '{}'::jsonb #>>'{a}', '{}'::jsonb ?|array[';'], '{}'::jsonb@>'{}', '{}'::jsonb@?'$.a'; SELECT 2`,
    `SELECT '{"a;":1}'::jsonb->>'a;', '{}'::jsonb #>>'{a}', '{}'::jsonb ?|array[';'], '{}'::jsonb@>'{}', '{}'::jsonb@?'$.a'`,
    "SELECT 2",
  ],
  [
    "a colon is a cast, a slice or a part of JSON",
    `SELECT (ARRAY[1,2,3])[1:2]::int[], '{"a":"b"}'::json; SELECT 2`,
    `SELECT (ARRAY[1,2,3])[1:2]::int[], '{"a":"b"}'::json`,
    "SELECT 2",
  ],
  [
    "numbers of every form are numbers",
    "SELECT 1e5, 1.5e-3, .5, 5., 1::int; SELECT 2",
    "SELECT 1e5, 1.5e-3, .5, 5., 1::int",
    "SELECT 2",
  ],

  [
    "a rule may hold several statements in parentheses",
    "CREATE TABLE t (a int); CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT ')'; SELECT (2); ); SELECT 3",
    "CREATE TABLE t (a int)",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT ')'; SELECT (2); )",
    "SELECT 3",
  ],
  [
    "BEGIN and END are statements when they stand alone",
    "BEGIN; SELECT 1; END; begin; SELECT CASE WHEN true THEN 1 END; commit",
    "BEGIN",
    "SELECT 1",
    "END",
    "begin",
    "SELECT CASE WHEN true THEN 1 END",
    "commit",
  ],
  [
    "a BEGIN ATOMIC body belongs to its function",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
    "SELECT 3",
  ],
  [
    "a CASE in a BEGIN ATOMIC body has an END of its own",
    "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE a WHEN 1 THEN CASE WHEN true THEN 1 END ELSE 2 END; SELECT (CASE WHEN true THEN 3 END); END; SELECT 4",
    "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE a WHEN 1 THEN CASE WHEN true THEN 1 END ELSE 2 END; SELECT (CASE WHEN true THEN 3 END); END",
    "SELECT 4",
  ],
  [
    "a BEGIN ATOMIC body is found in any case of letters and across comments",
    "create or replace procedure p() begin /* a; */ atomic -- b;\n select 1; end; SELECT 2",
    "create or replace procedure p() begin /* a; */ atomic -- b;\n select 1; end",
    "SELECT 2",
  ],
  [
    "a BEGIN ATOMIC body may be empty",
    "CREATE PROCEDURE p() BEGIN ATOMIC END; CREATE PROCEDURE q() BEGIN ATOMIC ; END; SELECT 1",
    "CREATE PROCEDURE p() BEGIN ATOMIC END",
    "CREATE PROCEDURE q() BEGIN ATOMIC ; END",
    "SELECT 1",
  ],
  [
    "columns called begin, case and end do not disturb a BEGIN ATOMIC body",
    `CREATE TABLE t (begin int, "end" int); CREATE FUNCTION f() RETURNS SETOF int BEGIN ATOMIC SELECT begin FROM t; SELECT t.end AS case FROM t; SELECT 1 end; END; SELECT 2`,
    `CREATE TABLE t (begin int, "end" int)`,
    "CREATE FUNCTION f() RETURNS SETOF int BEGIN ATOMIC SELECT begin FROM t; SELECT t.end AS case FROM t; SELECT 1 end; END",
    "SELECT 2",
  ],
  [
    "BEGIN ATOMIC starts a body only where a function or procedure is created",
    "CREATE TABLE t (begin int); CREATE VIEW v AS SELECT begin atomic FROM t; SELECT 1",
    "CREATE TABLE t (begin int)",
    "CREATE VIEW v AS SELECT begin atomic FROM t",
    "SELECT 1",
  ],
  [
    "a function may be called begin",
    "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT 2",
    "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT 2",
  ],
  [
    "a function in a dollar quote may be followed by a transaction",
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$; BEGIN; COMMIT",
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$",
    "BEGIN",
    "COMMIT",
  ],
  [
    "a trigger's function is not a body",
    "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO t VALUES (1)",
    "CREATE TABLE t (a int)",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "INSERT INTO t VALUES (1)",
  ],
  [
    "COPY that needs nothing from its client is sent",
    "CREATE TABLE stdin (a int); COPY stdin TO STDOUT; COPY (SELECT a FROM stdin) TO STDIN; SELECT 'COPY stdin FROM STDIN'; SELECT a FROM stdin",
    "CREATE TABLE stdin (a int)",
    "COPY stdin TO STDOUT",
    "COPY (SELECT a FROM stdin) TO STDIN",
    "SELECT 'COPY stdin FROM STDIN'",
    "SELECT a FROM stdin",
  ],
];

for (const [sentence, sql, ...statements] of splits) {
  test(sentence, () => {
    assert.deepEqual(texts(sql), statements);
    assert.deepEqual(splitStatements(sql).refusals, []);
  });
}

test("a string goes on only after a line end, and not behind a block comment", () => {
  assert.deepEqual(texts(raw`SELECT E'a' '\'; SELECT 2`), [raw`SELECT E'a' '\'`, "SELECT 2"]);
  assert.deepEqual(texts("SELECT E'a' /*\n*/\n'\\'; SELECT 2"), [
    "SELECT E'a' /*\n*/\n'\\'",
    "SELECT 2",
  ]);
});

test("what only a server can judge is left to the server", () => {
  assert.deepEqual(texts("SELECT :name, :'a;b', :\"c;d\"; )"), [
    "SELECT :name, :'a;b', :\"c;d\"",
    ")",
  ]);
  assert.deepEqual(splitStatements("SELECT :name; ) (").refusals.length, 1);
});

/** What a user says, the SQL with a ▶ before whatever is refused, and what the reasons must name, in order. */
const refusals: readonly (readonly [sentence: string, marked: string, ...named: RegExp[]])[] = [
  ["an open string is refused", "SELECT 1; SELECT ▶'a; SELECT 2", /string .* close it with '/],
  ["an open E string is refused", raw`SELECT ▶E'a\'; SELECT 2`, /string .* close it with '/],
  ["an open E string may end in a backslash", "SELECT ▶e'\\", /string .* close it with '/],
  ["an open bit string is refused", "SELECT ▶B'01; SELECT 2", /string .* close it with '/],
  ["an open U& string is refused", "SELECT ▶U&'a; SELECT 2", /string .* close it with '/],
  ["an open string in parentheses is one mistake", "SELECT (▶'a); SELECT 2", /string/],
  ["a string left open on a later line starts on its first", "SELECT ▶'a'\n'b;", /string/],
  ["a doubled quote does not close a string", "SELECT ▶'a''; SELECT 2", /string/],
  ["an open name is refused", 'SELECT 1; SELECT ▶"a""; SELECT 2', /name .* close it with "/],
  ["an open U& name is refused", 'SELECT ▶u&"a; SELECT 2', /name .* close it with "/],
  ["an open dollar quote is refused", "SELECT ▶$$a; $a$ SELECT 2", /close it with the same \$\$/],
  ["a dollar quote needs its own tag", "SELECT ▶$a$ $A$; SELECT 2", /with the same \$a\$/],
  ["an open comment is refused", "SELECT 1 ▶/* a; SELECT 2", /comment .* close it with \*\//],
  ["a nested comment needs its own end", "SELECT 1; ▶/* a /* b */ c; SELECT 2", /comment/],
  ["an open parenthesis is refused", "SELECT 1; SELECT ▶((2); SELECT 3", /parenthesis .* with \)/],
  [
    "a BEGIN ATOMIC body without END is refused",
    "CREATE FUNCTION f() RETURNS int ▶BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2;",
    /BEGIN ATOMIC .* with END/,
  ],
  [
    "a BEGIN ATOMIC body that uses a column called begin is refused where the body starts",
    "CREATE FUNCTION f() RETURNS int ▶BEGIN ATOMIC SELECT begin FROM t; SELECT 2;",
    /BEGIN ATOMIC/,
  ],
  ["a command of psql is refused", "▶\\set x 'it''s\nSELECT 1;", /^\\set is a command .*psql/],
  [
    "every command of psql is refused, each with its name",
    "▶\\i a.sql\nSELECT 1; ▶\\echo /*\r\nSELECT 2 ▶\\gexec\nSELECT 3; -- \\x\n▶\\;",
    /^\\i is/,
    /^\\echo is/,
    /^\\gexec is/,
    /^\\; is/,
  ],
  ["the end of data without COPY is refused", "SELECT 1;\n▶\\.\nSELECT 2;", /^\\\. is a command/],
  ["COPY FROM STDIN is refused", "SELECT 1; ▶COPY t FROM STDIN; SELECT 2;", /INSERT/],
  [
    "the data behind COPY is not taken for SQL",
    '▶copy s.t (a, "from") from stdin with (format text);\n1\tO\'Brien; (\n\\N\t$$\\.\n\\.\nSELECT 1;\n▶COPY BINARY t FROM /* */ STDIN;\n/*\n\\.\r\n▶\\x\nSELECT 2',
    /INSERT/,
    /INSERT/,
    /^\\x is/,
  ],
  ["COPY FROM STDOUT means STDIN to a server", "▶COPY t FROM STDOUT", /COPY from a file/],
  [
    "all mistakes are listed at once",
    "▶\\x\n▶COPY t FROM STDIN;\n'\n\\.\nSELECT (▶'",
    /\\x/,
    /COPY/,
    /string/,
  ],
];

for (const [sentence, marked, ...named] of refusals) {
  test(sentence, () => {
    const sql = marked.replaceAll("▶", "");
    const offsets = [...marked.matchAll(/▶/g)].map(({ index }, before) => index - before);
    const refused = splitStatements(sql).refusals;
    assert.deepEqual(
      refused.map(({ offset }) => offset),
      offsets,
    );
    for (const [index, name] of named.entries()) {
      const { what = "", fix = "" } = refused[index] ?? {};
      assert.match(`${what}; ${fix}`, name);
    }
  });
}

test("the statements around a refused one are still found", () => {
  assert.deepEqual(
    texts("SELECT 1;\n\\x\nSELECT 2 \\gexec\nCOPY t FROM stdin;\n1\n\\.\nSELECT 3"),
    ["SELECT 1", "SELECT 2", "COPY t FROM stdin", "SELECT 3"],
  );
});

test("a statement is recognised by its first words", () => {
  const opening = (sql: string) => splitStatements(sql).statements.map((each) => each.opening);
  assert.deepEqual(opening("begin; Commit;/* a */ROLLBACK -- b"), ["BEGIN", "COMMIT", "ROLLBACK"]);
  assert.deepEqual(opening("create /* a */ unique index\n concurrently i on t (a)"), [
    "CREATE UNIQUE INDEX CONCURRENTLY I ON",
  ]);
  assert.deepEqual(opening('create index concurrently "i" on t (a)'), [
    "CREATE INDEX CONCURRENTLY",
  ]);
  assert.deepEqual(opening("a b c d e f g h; ALTER TABLE s.t ADD x int"), [
    "A B C D E F",
    "ALTER TABLE S",
  ]);
  assert.deepEqual(opening("(SELECT 1); 'a' b; E'a'; N'a'; DO $$ $$"), ["", "", "", "", "DO"]);
  // Only ASCII letters are folded: with the rules of JavaScript this would read BEGIN.
  assert.deepEqual(opening("begın"), ["BEGıN"]);
});

test("offsets count from the start of the text, a byte order mark included", () => {
  assert.deepEqual(splitStatements("\ufeff SELECT '🐘' ;").statements, [
    { start: 2, end: 13, opening: "SELECT" },
  ]);
});

/** Numbers below `limit`, the same in every run (mulberry32). */
function sequence(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

const joinable = splits.filter(([, sql]) => !sql.startsWith("\ufeff"));

test("files put together have the statements of each", () => {
  const random = sequence(1);
  for (let round = 0; round < 3000; round++) {
    const files = Array.from({ length: 1 + random(6) }, () => joinable[random(joinable.length)]!);
    const sql = files.map(([, file]) => file).join("\n;\n");
    const openings = files.flatMap(([, file]) =>
      splitStatements(file).statements.map(({ opening }) => opening),
    );
    const { statements, refusals } = splitStatements(sql);
    assert.deepEqual(
      statements.map(({ start, end }) => sql.slice(start, end)),
      files.flatMap(([, , ...expected]) => expected),
    );
    assert.deepEqual(
      statements.map(({ opening }) => opening),
      openings,
    );
    assert.deepEqual(refusals, []);
  }
});

const pieces =
  "'|''|\"|$|$$|$a$|a$|E'|U&\"|\\|\\.|\\'|;|(|)|--|/*|*/|*|/|+|-|:|\n|\r| |é|1|a|BEGIN ATOMIC|BEGIN|CASE|END|CREATE FUNCTION|COPY t FROM STDIN|\ud83d|\0".split(
    "|",
  );

test("any text is split without an error, and every statement found is one by itself", () => {
  const random = sequence(2);
  for (let round = 0; round < 10_000; round++) {
    let sql = joinable[random(joinable.length)]![1];
    for (let edits = 1 + random(8); edits > 0; edits--) {
      const at = random(sql.length + 1);
      const piece = random(3) === 0 ? "" : pieces[random(pieces.length)]!;
      sql = sql.slice(0, at) + piece + sql.slice(at + random(3));
    }

    const { statements, refusals } = splitStatements(sql);
    let behind = 0;
    for (const { start, end, opening } of statements) {
      assert.ok(behind <= start && start < end && end <= sql.length, JSON.stringify(sql));
      behind = end;
      if (refusals.length > 0) continue;
      const alone = splitStatements(sql.slice(start, end));
      assert.deepEqual(
        alone,
        { statements: [{ start: 0, end: end - start, opening }], refusals: [] },
        JSON.stringify(sql),
      );
    }
    for (const [index, { offset }] of refusals.entries()) {
      assert.ok(offset >= (refusals[index - 1]?.offset ?? 0) && offset < sql.length);
    }
  }
});

test("a file of 20 MB with 200,000 statements is split in one pass", (t) => {
  const insert =
    "INSERT INTO accounts (id, name, email, created) VALUES (123, 'O''Brien', 'a@example.com', now());\n";
  const sql = insert.repeat(200_000);
  const started = performance.now();
  const { statements, refusals } = splitStatements(sql);
  t.diagnostic(
    `${(sql.length / 1e6).toFixed(0)} MB in ${Math.round(performance.now() - started)} ms`,
  );
  assert.equal(statements.length, 200_000);
  assert.deepEqual(refusals, []);
});

test("a text made to be slow is split in one pass too", (t) => {
  // A second look at all that follows, for each piece, would take minutes at this length.
  const started = performance.now();
  for (const piece of [...pieces, "'a' -- -- ", "'a'\n-- ", "$a ", "COPY t FROM STDIN;", "\\\n"]) {
    splitStatements(piece.repeat(100_000));
    splitStatements(`SELECT 'a'${piece.repeat(100_000)}; SELECT 2`);
  }
  t.diagnostic(`${Math.round(performance.now() - started)} ms`);
});
