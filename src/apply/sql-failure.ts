import { HeadgateError } from "../errors.ts";
import { remedyOf } from "../postgres/remedies.ts";
import { describeSqlState, isServerError, mayPass } from "../postgres/sqlstate.ts";
import { withoutByteOrderMark } from "../migrations/checksum.ts";
import type { Migration } from "../migrations/folder.ts";
import type { Statement } from "../sql/statements.ts";
import { findSpot, type Part } from "./sent.ts";

const lineEnd = /\r\n|\n|\r/;
/** In an excerpt; what a terminal shows without drowning the rest. */
const longestLine = 200;

/** What of a file was sent to the server, and how far that came. */
export type Failed = {
  readonly migration: Migration;
  readonly statements: readonly Statement[];
  readonly parts: readonly Part[];
  /** How many statements of the query the server had completed. */
  readonly completed: number;
  /** What the database is like now, as a sentence. */
  readonly state: string;
  /** When it was that none of the file's own text ran. */
  readonly elsewhere?: string;
};

/**
 * Turns the server's error into one that says where, what state the database is in, and what to do.
 * @param error what the query threw; anything but a server error is returned as it is
 */
export function explainSqlError(error: unknown, failed: Failed): unknown {
  if (!isServerError(error)) return error;
  const { migration, statements, parts, completed, state } = failed;
  const { elsewhere = "at the end, when it was recorded and committed" } = failed;
  const { sql, path } = migration;
  // Of a BEGIN and COMMIT around the file `sql` has only the place.
  const asWritten = withoutByteOrderMark(migration.text);
  const position = error.position === undefined ? undefined : Number(error.position);
  const spot = findSpot(sql, statements, parts, position, completed);
  const place = spot && { ...lineAndColumn(sql, spot.offset ?? spot.statement.start), ...spot };
  const where =
    place === undefined ? `${path} (${elsewhere})` : `${path}:${place.line}:${place.column}`;
  const texts = {
    ...(place === undefined
      ? {}
      : {
          statement: shorten(sql.slice(place.statement.start, place.statement.end)),
          excerpt: excerpt(
            asWritten,
            statements,
            place.offset ?? place.statement.start,
            place.line,
          ),
        }),
    ...(error.detail === undefined ? {} : { detail: hideSecrets(error.detail) }),
    ...(error.hint === undefined ? {} : { hint: hideSecrets(error.hint) }),
    ...(error.where === undefined ? {} : { context: hideSecrets(error.where) }),
  };
  return new HeadgateError(
    mayPass(error) ? "lock_timeout" : "sql_failed",
    `${where}: ${hideSecrets(error.message)} (${describeSqlState(error.code)})`,
    {
      fix: remedyOf(error) ?? "correct the file and run again",
      cause: error,
      details: {
        migration: migration.fileName,
        ...(place === undefined ? {} : { line: place.line, column: place.column }),
        sqlstate: error.code,
        ...texts,
        state,
      },
    },
  );
}

/**
 * Explains the errors of SQL that is headgate's own, beside the file's.
 * @param elsewhere when it ran
 */
export async function explaining<T>(
  migration: Migration,
  elsewhere: string,
  state: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explainSqlError(error, {
      migration,
      statements: [],
      parts: [],
      completed: 0,
      state,
      elsewhere,
    });
  }
}

/** Both from 1; the column in characters. */
export function lineAndColumn(sql: string, offset: number): { line: number; column: number } {
  const before = sql.slice(0, offset).split(lineEnd);
  return { line: before.length, column: [...(before.at(-1) ?? "")].length + 1 };
}

/** The line, the one before and the one after, and a caret under the column. */
function excerpt(
  sql: string,
  statements: readonly Statement[],
  offset: number,
  line: number,
): string {
  const thisLine = startOfLine(sql, offset);
  const lineBefore = startOfLine(sql, thisLine - (sql.startsWith("\r\n", thisLine - 2) ? 2 : 1));
  // From the beginning of a statement, because a secret is recognised by what stands before it; not all of the file,
  // because it may be large.
  const from = statements.findLast(({ start }) => start <= lineBefore)?.start ?? lineBefore;
  const end = Math.min(nextLine(sql, nextLine(sql, offset)), offset + 10_000);
  const lines = hideSecrets(sql.slice(from, end)).split(lineEnd);
  const firstLine = line - sql.slice(from, offset).split(lineEnd).length + 1;
  const width = String(line + 1).length;
  const show = (number: number): string[] => {
    const text = lines[number - firstLine];
    return text === undefined
      ? []
      : [`${String(number).padStart(width)} | ${text.slice(0, longestLine)}`];
  };
  // A tab stays one, so that the caret is under its place however wide tabs are.
  const before = hideSecrets(sql.slice(from, offset)).split(lineEnd).at(-1) ?? "";
  const caret = `${" ".repeat(width)} | ${before.slice(0, longestLine).replace(/[^\t]/gu, " ")}^`;
  return [...show(line - 1), ...show(line), caret, ...show(line + 1)].join("\n");
}

function startOfLine(sql: string, offset: number): number {
  const before = sql.slice(0, Math.max(0, offset));
  return Math.max(before.lastIndexOf("\n"), before.lastIndexOf("\r")) + 1;
}

function nextLine(sql: string, offset: number): number {
  const found = /\r\n|\n|\r/.exec(sql.slice(offset, offset + 10_000));
  return found === null ? sql.length : offset + found.index + found[0].length;
}

function shorten(statement: string): string {
  const shown = hideSecrets(statement);
  return shown.length > 500 ? `${shown.slice(0, 500)} …` : shown;
}

/** The SQL literals, in any kind of quotes, also while the closing one is missing. */
const literal = String.raw`E'(?:[^'\\]|\\.|'')*(?:'|$)|(?:U&)?'(?:[^']|'')*(?:'|$)|\$(\w*)\$[^]*?(?:\$\2\$|$)`;
const secrets = [
  // Of a role or a user mapping.
  new RegExp(String.raw`(password\s+)(?:${literal})`, "gi"),
  // In the connection string of a subscription or dblink, where quotes are doubled; or of a column.
  new RegExp(String.raw`(password\s*=\s*)(?:''[^']+''|${literal}|[^\s'",;)]+)`, "gi"),
];

/** A password must not reach the log only because its statement failed. Line ends stay. */
export function hideSecrets(text: string): string {
  const hide = (found: string, start: string): string =>
    `${start}'[redacted]'${found.slice(start.length).replace(/[^\r\n]/g, "")}`;
  return secrets.reduce((clean, secret) => clean.replace(secret, hide), text);
}
