import { readToken, upperCase } from "./tokens.ts";

/** A name as it stands in SQL, folded as the server folds it: table, or schema and table. */
export type Name = readonly string[];

/** Reads a statement from left to right. Blanks and comments are nowhere to be seen. */
export type Reader = {
  /** Reads these words or symbols (`"IF NOT EXISTS"`, `"("`) if they come next; otherwise reads nothing. */
  take(words: string): boolean;
  /** Reads a name with its qualifiers; undefined, and nothing is read, if something else comes next. */
  name(): Name | undefined;
  /** Reads up to and including a word outside parentheses; reads nothing and says false if it does not come. */
  skipPast(words: string): boolean;
  /** Reads one word, symbol or literal, or one pair of parentheses with all in it. */
  skip(): void;
  /** Reads to the end, or up to and including a symbol outside parentheses; gives the text before it, comments left out. */
  text(until: string): string;
  /** Where in the text the next word starts; the end of the statement when nothing is left. */
  offset(): number;
  isAtEnd(): boolean;
};

type Item = { readonly text: string; readonly start: number; readonly end: number };

/** @param sql the text that holds the statement between `start` and `end` */
export function readStatement(sql: string, start: number, end: number): Reader {
  const items: Item[] = [];
  for (let at = start; at < end;) {
    const token = readToken(sql, at);
    if (token.kind === "word")
      items.push({ text: upperCase(token.text), start: at, end: token.end });
    else if (token.kind === "symbol") items.push({ text: token.text, start: at, end: token.end });
    else if (token.kind === "literal") items.push({ text: "''", start: at, end: token.end });
    at = token.end;
  }

  let next = 0;
  const comes = (words: readonly string[], at: number): boolean =>
    words.every((word, index) => items[at + index]?.text === word);
  const behindOne = (at: number): number => {
    let depth = 0;
    do {
      if (items[at]?.text === "(") depth++;
      if (items[at]?.text === ")") depth--;
      at++;
    } while (depth > 0 && at < items.length);
    return at;
  };
  const identifier = (at: number): string | undefined => {
    const item = items[at];
    if (item === undefined) return undefined;
    const text = sql.slice(item.start, item.end);
    if (text.startsWith('"')) return text.slice(1, -1).replaceAll('""', '"');
    // The server folds ASCII letters only, in a database of UTF-8.
    return /^[A-Z_\u0080-\uffff]/.test(item.text)
      ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
      : undefined;
  };

  return {
    take: (words) => {
      const list = words.split(" ");
      if (!comes(list, next)) return false;
      next += list.length;
      return true;
    },
    name: () => {
      const first = identifier(next);
      if (first === undefined) return undefined;
      const parts = [first];
      next++;
      for (let part; items[next]?.text === "." && (part = identifier(next + 1)) !== undefined;) {
        parts.push(part);
        next += 2;
      }
      return parts;
    },
    skipPast: (words) => {
      const list = words.split(" ");
      for (let at = next; at < items.length; at = behindOne(at)) {
        if (comes(list, at)) {
          next = at + list.length;
          return true;
        }
      }
      return false;
    },
    skip: () => {
      next = behindOne(next);
    },
    text: (until) => {
      let text = "";
      for (let behind = -1; next < items.length; next = behindOne(next)) {
        const first = items[next] as Item;
        if (first.text === until) {
          next++;
          break;
        }
        const last = items[behindOne(next) - 1] ?? first;
        text +=
          (behind === -1 || behind === first.start ? "" : " ") + sql.slice(first.start, last.end);
        behind = last.end;
      }
      return text;
    },
    offset: () => items[next]?.start ?? end,
    isAtEnd: () => next >= items.length,
  };
}
