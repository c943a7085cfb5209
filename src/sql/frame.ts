import { readStatement } from "./reader.ts";
import type { Statement } from "./statements.ts";

const opens = /^(BEGIN( WORK| TRANSACTION)?|START TRANSACTION)$/;
const closes = /^(COMMIT|END)( WORK| TRANSACTION)?( AND NO CHAIN)?$/;

/**
 * Whether a file says itself that it is one transaction: its first statement is a plain BEGIN, its last a plain COMMIT.
 * One with a transaction mode (ISOLATION LEVEL, READ ONLY, DEFERRABLE) is not plain: headgate's would have another.
 * @param statements all of the file's; what stands between the two is not looked at
 */
export function isFramed(sql: string, statements: readonly Statement[]): boolean {
  const [first, last] = [statements[0], statements.at(-1)];
  return (
    first !== undefined &&
    last !== undefined &&
    opens.test(first.opening) &&
    closes.test(last.opening) &&
    [first, last].every((statement) => isAllOf(sql, statement))
  );
}

/** Whether nothing but comments stands between and behind its first words. */
function isAllOf(sql: string, { start, end, opening }: Statement): boolean {
  const reader = readStatement(sql, start, end);
  return reader.take(opening) && reader.isAtEnd();
}

/**
 * The text of a framed file without its BEGIN and COMMIT. Blanks take the place of their letters, so that what remains
 * stands where it stood: lines, columns and the server's positions are those of the file.
 */
export function withoutFrame(sql: string, statements: readonly Statement[]): string {
  const [first, last] = [statements[0], statements.at(-1)];
  if (first === undefined || last === undefined) return sql;
  const blank = ({ start, end }: Statement): string =>
    sql.slice(start, end).replace(/[a-z]/gi, " ");
  return (
    sql.slice(0, first.start) +
    blank(first) +
    sql.slice(first.end, last.start) +
    blank(last) +
    sql.slice(last.end)
  );
}
