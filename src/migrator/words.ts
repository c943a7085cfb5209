/** What a shell would do something with. Without a shell it would reach the program as it stands, which nobody means. */
const shellOnly = /[|&;<>$`]/;

/**
 * Splits a command as a shell would, but for what a shell does beyond words and quotes: that is refused.
 * @param text words with '…', "…" and \x, or a JSON array of strings
 * @returns the arguments; a string says what is wrong with it
 */
export function splitCommand(text: string): readonly string[] | string {
  if (text.trimStart().startsWith("[")) return readArray(text);
  const words: string[] = [];
  const piece = /\s+|'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^\s'"\\]+)|(.)/gsy;
  let word: string | undefined;
  for (const [whole, single, double, escaped, plain, stray] of text.matchAll(piece)) {
    if (stray !== undefined) return `the quote ${stray} is not closed`;
    if (plain !== undefined && shellOnly.test(plain)) return needsShell(plain);
    if (double !== undefined && /(?<!\\)(\\\\)*[$`]/.test(double)) return needsShell(double);
    const part = single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? plain;
    if (part !== undefined) word = (word ?? "") + part;
    else if (word !== undefined && /^\s/.test(whole)) {
      words.push(word);
      word = undefined;
    }
  }
  if (word !== undefined) words.push(word);
  return words.length === 0 || words[0] === "" ? "there is no command in it" : words;
}

function readArray(text: string): readonly string[] | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'it starts with [ and is no JSON; write ["alembic", "upgrade", "head"], or a command with spaces';
  }
  const isList = Array.isArray(value) && value.every((item) => typeof item === "string");
  if (!isList) return "a list may hold strings only";
  const words = value as string[];
  return words.length === 0 || words[0] === "" ? "there is no command in it" : words;
}

const needsShell = (found: string): string =>
  `no shell reads it, so ${JSON.stringify(found)} would be passed on as it stands; write sh -c '…' if you mean a shell, or put it into single quotes`;
