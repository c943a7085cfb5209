import { readToken, upperCase } from "./tokens.ts";

/** A name as it stands in SQL, folded as the server folds it: table, or schema and table. */
export type Name = readonly string[];

/** Reads a statement from left to right. Blanks and comments are nowhere to be seen. */
export type Reader = {
  /** Reads these words or symbols (`"IF NOT EXISTS"`, `"("`) if they come next; otherwise reads nothing. */
  readonly take: (words: string) => boolean;
  /** Reads a name with its qualifiers; undefined, and nothing is read, if something else comes next, or U&"". */
  name(): Name | undefined;
  /** Reads a table as DDL writes it: `a`, `ONLY a`, `ONLY (a)`, `a *`. */
  table(): Name | undefined;
  /** Reads `(a, b off, c = 2)`, if that comes next: which options are there, and whether they are switched on. */
  options(): ReadonlyMap<string, boolean>;
  /** Reads up to and including a word outside parentheses; reads nothing and says false if it does not come. */
  skipPast(words: string): boolean;
  /** The same, but it looks into parentheses too. */
  search(words: string): boolean;
  /** Reads to the end, or up to and including a symbol outside parentheses; gives the text before it, comments left out. */
  text(until: string): string;
  /** Where in the text the next word starts; the end of the statement when nothing is left. */
  offset(): number;
  isAtEnd(): boolean;
};

/** NAMEDATALEN - 1: the server cuts longer names. */
const longestName = 63;

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
      const text = items[at]?.text;
      if (text === "(" || text === "[") depth++;
      if (text === ")" || text === "]") depth--;
      at++;
    } while (depth > 0 && at < items.length);
    return at;
  };
  const identifier = (at: number): string | undefined => {
    const item = items[at];
    if (item === undefined) return undefined;
    const text = sql.slice(item.start, item.end);
    if (text.startsWith('"')) return cut(text.slice(1, -1).replaceAll('""', '"'));
    // The server folds ASCII letters only, in a database of UTF-8.
    return /^[A-Z_\u0080-\uffff]/.test(item.text)
      ? cut(text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()))
      : undefined;
  };

  const take = (words: string): boolean => {
    const list = words.split(" ");
    if (!comes(list, next)) return false;
    next += list.length;
    return true;
  };
  const name = (): Name | undefined => {
    const parts: string[] = [];
    let at = next;
    do {
      const part = identifier(at);
      if (part === undefined) return undefined;
      parts.push(part);
      at += 2;
    } while (items[at - 1]?.text === ".");
    next = at - 1;
    return parts;
  };
  const find = (words: string, step: (at: number) => number): boolean => {
    const list = words.split(" ");
    for (let at = next; at < items.length; at = step(at)) {
      if (comes(list, at)) {
        next = at + list.length;
        return true;
      }
    }
    return false;
  };

  return {
    take,
    name,
    table: () => {
      const before = next;
      const isEnclosed = take("ONLY (");
      if (!isEnclosed) take("ONLY");
      const table = name();
      if (table === undefined) next = before;
      else take(isEnclosed ? ")" : "*");
      return table;
    },
    options: () => {
      const options = new Map<string, boolean>();
      if (!take("(")) return options;
      while (next < items.length && !take(")")) {
        const option = name()?.at(-1) ?? "";
        take("=");
        const from = items[next]?.start ?? end;
        while (next < items.length && !comes([","], next) && !comes([")"], next)) {
          next = behindOne(next);
        }
        const value = sql.slice(from, items[next - 1]?.end);
        options.set(option, !/^'?(false|off|0)'?$/i.test(value));
        take(",");
      }
      return options;
    },
    skipPast: (words) => find(words, behindOne),
    search: (words) => find(words, (at) => at + 1),
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

function cut(name: string): string {
  const { read } = new TextEncoder().encodeInto(name, new Uint8Array(longestName));
  return name.slice(0, read);
}
