import type { Migration } from "./folder.ts";
import { splitStatements } from "./statements.ts";

/** The first words of the statements that end or start a transaction (PostgreSQL, "SQL Commands"). */
const controls =
  /^(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK(?! TO\b)(?! WORK TO\b)(?! TRANSACTION TO\b)|ABORT|PREPARE TRANSACTION)\b/;

/**
 * Finds what would make a pending file escape its transaction, or what the server could not even read.
 * A COMMIT in the middle of a file would commit half of it without its history row.
 * @returns one sentence per finding, with file and line
 */
export function findUnsendable(migration: Migration): string[] {
  const { statements, refusals } = splitStatements(migration.sql);
  const at = (offset: number): string =>
    `${migration.path}:${migration.sql.slice(0, offset).split(/\r\n|\n|\r/).length}`;
  return [
    ...refusals.map(({ offset, reason }) => `${at(offset)}: ${reason}`),
    ...statements
      .filter(({ opening }) => controls.test(opening))
      .map(({ start, opening }) => {
        const word = controls.exec(opening)?.[0] ?? "";
        return migration.isTransactional
          ? `${at(start)}: ${word} inside the file: headgate already runs each file in a transaction; remove it`
          : `${at(start)}: ${word} in a file without a transaction: move these statements into a file of their own`;
      }),
  ];
}
