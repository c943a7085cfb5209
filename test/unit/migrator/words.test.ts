import assert from "node:assert/strict";
import { test } from "node:test";
import { splitCommand } from "../../../src/migrator/words.ts";

test("P4 a command is split into words as a shell would, and quotes keep words together", () => {
  for (const [text, words] of [
    ["alembic upgrade head", ["alembic", "upgrade", "head"]],
    ["  a\t b\n", ["a", "b"]],
    [`a 'b c' "d \\" e" f\\ g`, ["a", "b c", 'd " e', "f g"]],
    [`"a b"c'd'`, ["a bcd"]],
    ["a ''", ["a", ""]],
    ["sh -c 'a | b > $C'", ["sh", "-c", "a | b > $C"]],
    ["a *.sql {b} c=d ~ #e !", ["a", "*.sql", "{b}", "c=d", "~", "#e", "!"]],
    ['a \\$HOME "\\$HOME" "\\\\"', ["a", "$HOME", "$HOME", "\\"]],
    ['["a", "b c", "$d"]', ["a", "b c", "$d"]],
  ] as const) {
    assert.deepEqual(splitCommand(text), words, text);
  }
});

test("P4 what only a shell would understand is refused, with the words to type", () => {
  for (const text of ["a | b", "a && b", "a; b", "a > b", "a < b", "echo $HOME", "a `b`"]) {
    assert.match(String(splitCommand(text)), /no shell reads it.*write sh -c/, text);
  }
  assert.match(String(splitCommand('echo "$HOME"')), /no shell reads it/);
  assert.match(String(splitCommand("a 'b")), /the quote ' is not closed/);
  assert.match(String(splitCommand('a "b')), /the quote " is not closed/);
  for (const text of ["", "  ", "''", "[]", '[""]']) {
    assert.match(String(splitCommand(text)), /there is no command in it/, text);
  }
  assert.match(String(splitCommand("[1]")), /strings only/);
  assert.match(String(splitCommand("['a']")), /is no JSON/);
});
