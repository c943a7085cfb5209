import { HeadgateError } from "../errors.ts";
import { misplacedDirectives } from "../migrations/directives.ts";
import type { Migration } from "../migrations/folder.ts";
import { type Problem, sentenceOf } from "../migrations/problem.ts";
import { directly } from "../postgres/pooler.ts";
import { isFramed, withoutFrame } from "../sql/frame.ts";
import { mannerOf } from "../sql/manner.ts";
import { splitStatements, type Statement } from "../sql/statements.ts";
import { readToken } from "../sql/tokens.ts";
import { hideSecrets, lineAndColumn } from "./sql-failure.ts";

/**
 * A file whose statements are known. Of one with BEGIN and COMMIT around the whole of it they are neither among the
 * statements nor in the `sql` that is sent.
 */
export type Readable = { readonly migration: Migration; readonly statements: readonly Statement[] };

/** The first words of the statements that end or start a transaction (PostgreSQL, "SQL Commands"). */
const controls =
  /^(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK(?! TO\b)(?! WORK TO\b)(?! TRANSACTION TO\b)|ABORT|PREPARE TRANSACTION)\b/;
/** What outlives its transaction, and so would meet another client behind a pooler. */
const outlives =
  /^(PREPARE|LISTEN|LOAD|DECLARE|CREATE (LOCAL |GLOBAL )?(TEMP|TEMPORARY) (TABLE|SEQUENCE))\b/;

/** How a refusal calls the files, by what is to be done with them. */
const calls = {
  apply: "pending files cannot be applied as they are; nothing was changed",
  undo: "undo files cannot be run as they are; nothing was changed",
} as const;

/**
 * Splits the pending files, and refuses those that would escape their transaction, or that the server could not even
 * read. A COMMIT in the middle of a file would commit half of it without its history row.
 * @param isPooled whether a pooler stands between headgate and the server
 * @throws HeadgateError sql_failed (1), or usage (64) for what only the pooler forbids, listing every finding
 */
export const readPending = (
  pending: readonly Migration[],
  isPooled: boolean,
): readonly Readable[] => readFiles(pending, isPooled, calls.apply);

/** The same for undo files. @throws as readPending */
export const readUndos = (undos: readonly Migration[], isPooled: boolean): readonly Readable[] =>
  readFiles(undos, isPooled, calls.undo);

function readFiles(
  pending: readonly Migration[],
  isPooled: boolean,
  refusal: string,
): readonly Readable[] {
  const files = pending.map(readStatements);
  const problems = files.flatMap(({ migration, problems: own }) =>
    own.map((problem) => {
      const { line } = lineAndColumn(migration.sql, problem.offset);
      return `${migration.path}:${line}: ${sentenceOf(problem)}`;
    }),
  );
  if (problems.length > 0) {
    throw new HeadgateError("sql_failed", refusal, {
      problems,
      fix: "correct the files and run again",
    });
  }
  if (isPooled) refuseBehindPooler(files);
  return files;
}

/** Splits one file, and finds why it cannot be applied as it is. */
export function readStatements(
  migration: Migration,
): Readable & { readonly problems: readonly Problem[] } {
  const { sql } = migration;
  const { statements: all, refusals } = splitStatements(sql);
  const isOne = migration.directives.isTransactional && isOneTransaction(sql, all);
  const statements = isOne ? all.slice(1, -1) : all;
  const problems = [
    ...refusals.map((refusal) => ({ rule: "syntax", ...refusal })),
    ...statements.flatMap((statement) => {
      const problem = escapes(migration, statement);
      return problem === undefined ? [] : [{ ...problem, offset: statement.start }];
    }),
    ...misplacedDirectives(sql)
      .filter((offset) => isComment(sql, all, offset))
      .map((offset) => ({
        ...{ rule: "directive", offset },
        what: "a directive counts only above the first statement",
        fix: "move this line to the top of the file",
      })),
  ];
  const sent = isOne ? { ...migration, sql: withoutFrame(sql, all) } : migration;
  return { migration: sent, statements, problems };
}

/** A file with BEGIN and COMMIT around the whole of it means the transaction that it gets from headgate anyway. */
const isOneTransaction = (sql: string, statements: readonly Statement[]): boolean =>
  isFramed(sql, statements) &&
  !statements.slice(1, -1).some(({ opening }) => controls.test(opening));

/** Whether a line that looks like a comment is one, and not part of a string or of a longer comment. */
function isComment(sql: string, statements: readonly Statement[], offset: number): boolean {
  if (statements.some(({ start, end }) => start <= offset && offset < end)) return false;
  let at = statements.findLast(({ end }) => end <= offset)?.end ?? 0;
  const dashes = sql.indexOf("--", offset);
  while (at < dashes) at = readToken(sql, at).end;
  return at === dashes;
}

function escapes(
  migration: Migration,
  statement: Statement,
): Pick<Problem, "rule" | "what" | "fix"> | undefined {
  const { isTransactional } = migration.directives;
  const word = controls.exec(statement.opening)?.[0];
  if (word !== undefined) {
    const [what, fix] = isTransactional
      ? [`${word} inside the file: headgate already runs each file in a transaction`, "remove it"]
      : [
          `${word} in a file without a transaction`,
          "move these statements into a file of their own",
        ];
    return { rule: "transaction-control", what, fix };
  }
  if (isTransactional && mannerOf(migration.sql, statement) === "outside") {
    return {
      rule: "outside-transaction",
      what: `${describeStatement(migration, statement)} cannot run in a transaction`,
      fix: "move it into a file of its own with `-- headgate: no-transaction` on the first line",
    };
  }
  return undefined;
}

function refuseBehindPooler(files: readonly Readable[]): void {
  const problems = files.flatMap(({ migration, statements }) => {
    if (!migration.directives.isTransactional) {
      return [`${migration.path}: runs without a transaction, and needs a session of its own`];
    }
    return statements
      .filter(({ opening }) => outlives.test(opening))
      .filter(({ start, end }) => !/\bon\s+commit\s+drop\b/i.test(migration.sql.slice(start, end)))
      .map(
        (statement) =>
          `${migration.path}:${lineAndColumn(migration.sql, statement.start).line}: ${describeStatement(migration, statement)} outlives its transaction, and would be left to another client of the pooler`,
      );
  });
  if (problems.length === 0) return;
  throw new HeadgateError(
    "usage",
    "the connection goes through a pooler, and some of the files cannot be run that way; nothing was changed",
    {
      problems,
      fix: directly,
    },
  );
}

/** The first few words, as they stand. */
function describeStatement({ sql }: Migration, { start, end }: Statement): string {
  const words = hideSecrets(sql.slice(start, Math.min(end, start + 200)))
    .split(/\s+/, 6)
    .join(" ");
  return words.length > 60 ? `${words.slice(0, 60)} …` : words;
}
