/** A piece of SQL: blanks and comments, a name or keyword, a quoted thing, or one other character. */
export type Token = {
  readonly kind: "blank" | "word" | "symbol" | "literal";
  /** Its first characters; of a word or symbol, all of it. */
  readonly text: string;
  readonly end: number;
  /** What is wrong, when the text ends inside the token. */
  readonly unclosed?: Unclosed;
};

type Unclosed = { readonly what: string; readonly fix: string };

const unclosed = {
  string: {
    what: "a string starts here and is never closed",
    fix: "close it with ' (a quote inside it is '')",
  },
  name: {
    what: "a quoted name starts here and is never closed",
    fix: 'close it with " (a quote inside it is "")',
  },
  dollarQuote: (tag: string) => ({
    what: `a string starts here with ${tag} and is never closed`,
    fix: `close it with the same ${tag}`,
  }),
  comment: {
    what: "a comment starts here and is never closed",
    fix: "close it with */ (every /* inside it needs its own)",
  },
};

/** PostgreSQL takes every character outside ASCII for a letter. */
const letter = String.raw`A-Za-z_\u0080-\uffff`;
const blank = String.raw`[ \t\n\r\f\v]+|--[^\n\r]*`;
/** How a token starts: one group for each kind, or else a symbol. */
const tokenStart = new RegExp(
  [
    `(${blank})`,
    String.raw`(/\*)`,
    `((?:[bBeEnNxX]|[uU]&)?')`,
    `((?:[uU]&)?")`,
    String.raw`(\$(?:[${letter}][${letter}0-9]*)?\$)`,
    // With its $ signs: `a$b$c` is a name, not the start of a dollar quote.
    `([${letter}][${letter}0-9$]*)`,
    // Operators, too, one character at a time, so that none hides the start of a comment (`+/*`).
    "[^]",
  ].join("|"),
  "y",
);
const blanks = new RegExp(blank, "y");
const lineEnd = /[\n\r]/g;
const stringQuote = /'/g;
const quoteOrBackslash = /['\\]/g;
const nameQuote = /"/g;
const commentMark = /\/\*|\*\//g;

/**
 * Reads the token that starts at an offset, by the rules of PostgreSQL's own psql (src/fe_utils/psqlscan.l, with
 * standard_conforming_strings on).
 */
export function readToken(sql: string, at: number): Token {
  tokenStart.lastIndex = at;
  const [text = "", space, comment, quote, doubleQuote, dollarTag, word] =
    tokenStart.exec(sql) ?? [];
  const inside = at + text.length;
  const upTo = (end: number, kind: Token["kind"], whatIsWrong: Unclosed): Token =>
    end === Infinity ? { kind, text, end: sql.length, unclosed: whatIsWrong } : { kind, text, end };

  if (space !== undefined) return { kind: "blank", text, end: inside };
  if (word !== undefined) return { kind: "word", text, end: inside };
  if (comment !== undefined) return upTo(behindComment(sql, inside), "blank", unclosed.comment);
  if (quote !== undefined) {
    return upTo(behindString(sql, inside, /^e/i.test(quote)), "literal", unclosed.string);
  }
  if (doubleQuote !== undefined) return upTo(behindName(sql, inside), "literal", unclosed.name);
  if (dollarTag !== undefined) {
    const tagAt = sql.indexOf(dollarTag, inside);
    const end = tagAt === -1 ? Infinity : tagAt + dollarTag.length;
    return upTo(end, "literal", unclosed.dollarQuote(dollarTag));
  }
  return { kind: "symbol", text, end: inside };
}

/** The offset behind the next match, or Infinity. To search from an offset, never in a copy of the rest, is linear. */
export function behind(pattern: RegExp, sql: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(sql) ? pattern.lastIndex : Infinity;
}

function behindComment(sql: string, inside: number): number {
  let at = inside;
  for (let depth = 1; depth > 0 && at < Infinity;) {
    at = behind(commentMark, sql, at);
    depth += sql.charAt(at - 1) === "*" ? 1 : -1;
  }
  return at;
}

function behindName(sql: string, inside: number): number {
  let at = behind(nameQuote, sql, inside);
  while (sql.charAt(at) === '"') at = behind(nameQuote, sql, at + 1);
  return at;
}

function behindString(sql: string, inside: number, hasEscapes: boolean): number {
  const mark = hasEscapes ? quoteOrBackslash : stringQuote;
  for (let at = behind(mark, sql, inside); at < Infinity; at = behind(mark, sql, at)) {
    if (sql.charAt(at - 1) === "\\" || sql.charAt(at) === "'") at += 1;
    else {
      const continued = behindContinuation(sql, at);
      if (continued === Infinity) return at;
      at = continued;
    }
  }
  return Infinity;
}

/** A string goes on, escapes and all, behind a quote that blanks with a line end among them separate from it. */
function behindContinuation(sql: string, closed: number): number {
  let at = closed;
  for (let next = at; next < Infinity; next = behind(blanks, sql, at)) at = next;
  const continues = sql.charAt(at) === "'" && sql.slice(closed, at).search(lineEnd) !== -1;
  return continues ? at + 1 : Infinity;
}

/** Keywords are ASCII; `toUpperCase` alone would make some of other letters (ı becomes I). */
export function upperCase(word: string): string {
  return word.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}
