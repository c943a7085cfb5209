import type { Statement } from "./statements.ts";

/** Without options: what these ask for, headgate's own transaction would not do. */
const opens = /^(BEGIN( WORK| TRANSACTION)?|START TRANSACTION)$/;
const closes = /^(COMMIT|END)( WORK| TRANSACTION)?$/;
const controls = /^(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|PREPARE TRANSACTION)\b/;

/**
 * Takes BEGIN and COMMIT out of a file that has them as its first and its last statement and nowhere else, as most files
 * do that have them at all: headgate's own transaction, which the history row is part of, takes their place.
 * @param sql the whole text of a file, and its statements
 * @returns the text with blanks in their place, so that every other offset and line stays, and the statements between
 * them; undefined for any other file
 */
export function withoutOwnTransaction(
  sql: string,
  statements: readonly Statement[],
): { readonly sql: string; readonly statements: readonly Statement[] } | undefined {
  const [first, last] = [statements[0], statements.at(-1)];
  if (first === undefined || last === undefined || statements.length < 2) return undefined;
  if (!opens.test(first.opening) || !closes.test(last.opening)) return undefined;
  const between = statements.slice(1, -1);
  if (between.some(({ opening }) => controls.test(opening))) return undefined;
  const blank = ({ start, end }: Statement): string =>
    sql.slice(start, end).replace(/[^\r\n]/g, " ");
  return {
    sql: `${sql.slice(0, first.start)}${blank(first)}${sql.slice(first.end, last.start)}${blank(last)}${sql.slice(last.end)}`,
    statements: between,
  };
}
