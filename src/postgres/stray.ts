/** White space of any kind, and what cannot be seen: control characters, a byte order mark, zero-width spaces. */
const invisible = String.raw`[\p{Z}\p{C}]`;
const atStart = new RegExp(`^${invisible}`, "u");
const atEnd = new RegExp(`${invisible}$`, "u");
/** Looked for first: the tables of the classes above are 3 ms of Node's start. */
const isPlain = /^[!-~]*$/;

/**
 * What does not belong to a value and came along with it: a line end from a file, quotes from `docker run --env-file`.
 * Kept, it would name another database, host or role than was meant.
 * @returns it in words, without the value; undefined when there is nothing
 */
export function strayIn(value: string): string | undefined {
  if (/^(["'`]).*\1$/s.test(value)) return "is in quotes, which are part of the value";
  return strayAtEnd(value);
}

/** The same where quotes may be meant, as around a schema. */
export function strayAtEnd(value: string): string | undefined {
  if (isPlain.test(value)) return undefined;
  const [first = "", last = ""] = [atStart.exec(value)?.[0], atEnd.exec(value)?.[0]];
  if (last !== "") return `ends with ${describe(last)}`;
  if (first !== "") return `begins with ${describe(first)}`;
  const control = /\p{Cc}/u.exec(value)?.[0];
  return control === undefined ? undefined : `has ${describe(control)} in it`;
}

/**
 * The same for a name, in which more does not belong: a whole URL, several parameters, a comment after it.
 */
export function strayInName(value: string): string | undefined {
  const stray = strayIn(value);
  if (stray !== undefined) return stray;
  if (value.includes("://")) return "is a URL";
  if (/(^|\s)(host|hostaddr|port|dbname|user|password|service|sslmode)\s*=/.test(value)) {
    return "holds connection parameters";
  }
  return /\s#/.test(value) ? "has a comment after it" : undefined;
}

/** `a line end`, `white space`, or the number of what has no name. */
function describe(character: string): string {
  if (/[\r\n]/.test(character)) return "a line end";
  if (/[ \t]/.test(character)) return "white space";
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return `an invisible character (U+${code})`;
}
