import type { Statement } from "../sql/statements.ts";

/** A piece of a query: SQL of headgate's own with so many statements, or a part of the file's text. */
export type Part =
  | { readonly own: string; readonly statements: number }
  | { readonly from: number; readonly to: number };

/** Which place of the file an error belongs to. */
export type Spot = {
  /** UTF-16 offset, where the server named a position. */
  readonly offset?: number;
  readonly statement: Statement;
};

/**
 * Behind each part of a file: a line break ends a comment on its last line, a semicolon its last statement. A place at
 * these two is the end of the file's part.
 */
const closing = "\n;";

/** Puts a query together. */
export function compose(sql: string, parts: readonly Part[]): string {
  return parts
    .map((part) => ("own" in part ? part.own : sql.slice(part.from, part.to) + closing))
    .join("");
}

/** How many statements a query has. */
export function countStatements(statements: readonly Statement[], parts: readonly Part[]): number {
  const counts = parts.map((part) =>
    "own" in part
      ? part.statements
      : statements.filter(({ start, end }) => start >= part.from && end <= part.to).length,
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * Finds the place in the file that the server complains about.
 * @param sql the file's text
 * @param statements all of its statements
 * @param parts of the query that was sent
 * @param position as the server counts: from 1, in characters, not in UTF-16 units; undefined for a failure while running
 * @param completed how many statements of the query the server had completed
 * @returns undefined when it is none of the file's text
 */
export function findSpot(
  sql: string,
  statements: readonly Statement[],
  parts: readonly Part[],
  position: number | undefined,
  completed: number,
): Spot | undefined {
  let passed = 0;
  let run = 0;
  for (const part of parts) {
    if ("own" in part) {
      passed += characters(part.own);
      run += part.statements;
      if (position === undefined ? completed < run : position <= passed) return undefined;
      continue;
    }
    const { from, to } = part;
    const inside = statements.filter(({ start, end }) => start >= from && end <= to);
    const length = characters(sql.slice(from, to));
    if (position === undefined) {
      const failed = inside[completed - run];
      if (completed - run < inside.length && failed !== undefined) return { statement: failed };
    } else if (position <= passed + length + closing.length) {
      const offset = Math.min(to, from + utf16Offset(sql.slice(from, to), position - passed - 1));
      const statement =
        inside.find(({ start, end }) => start <= offset && offset <= end) ?? inside.at(-1);
      return statement === undefined ? undefined : { offset, statement };
    }
    passed += length + closing.length;
    run += inside.length;
  }
  return undefined;
}

function characters(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length; at++) {
    // The second half of a pair.
    if ((text.charCodeAt(at) & 0xfc00) === 0xdc00) count--;
  }
  return count;
}

function utf16Offset(text: string, wanted: number): number {
  let offset = 0;
  for (let count = 0; count < wanted && offset < text.length; count++) {
    offset += (text.codePointAt(offset) ?? 0) > 0xffff ? 2 : 1;
  }
  return offset;
}
