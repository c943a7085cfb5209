import { HeadgateError } from "../errors.ts";
import { describeSqlState, isServerError, type ServerError } from "../postgres/sqlstate.ts";
import type { Migration } from "./folder.ts";
import { splitStatements } from "./statements.ts";

/** Where in a file an error is: UTF-16 offset, line and column from 1, and the statement around it. */
type Place = {
  readonly offset: number;
  readonly line: number;
  readonly column: number;
  readonly statement: string;
};

const lineEnd = /\r\n|\n|\r/;
/** In an excerpt; what a terminal shows without drowning the rest. */
const longestLine = 200;

/**
 * Turns the server's error into one that says where and what to do.
 * @param migration the file that was being applied
 * @param error what the query threw; anything but a server error is returned as it is
 * @param sent how the file's text stood in the query: characters before it, and statements before it
 * @param completed how many statements of the query the server had completed
 * @param state what the database is like now, as a sentence
 */
export function explainSqlError(
  migration: Migration,
  error: unknown,
  sent: { charactersBefore: number; statementsBefore: number },
  completed: number,
  state: string,
): unknown {
  if (!isServerError(error)) return error;
  const place = findPlace(migration.sql, error, sent, completed);
  const where =
    place === undefined
      ? `${migration.path} (at the end, when it was recorded and committed)`
      : `${migration.path}:${place.line}:${place.column}`;
  return new HeadgateError(
    "sql_failed",
    `${where}: ${hideSecrets(error.message)} (${describeSqlState(error.code)})`,
    {
      fix: fixFor(error),
      cause: error,
      details: {
        migration: migration.fileName,
        ...(place === undefined ? {} : { line: place.line, column: place.column }),
        sqlstate: error.code,
        ...(place === undefined
          ? {}
          : { statement: shorten(place.statement), excerpt: excerpt(migration.sql, place) }),
        ...(error.detail === undefined ? {} : { detail: hideSecrets(error.detail) }),
        ...(error.hint === undefined ? {} : { hint: hideSecrets(error.hint) }),
        ...(error.where === undefined ? {} : { context: hideSecrets(error.where) }),
        state,
      },
    },
  );
}

function findPlace(
  sql: string,
  error: ServerError,
  sent: { charactersBefore: number; statementsBefore: number },
  completed: number,
): Place | undefined {
  const { statements } = splitStatements(sql);
  // The server counts characters, not UTF-16 units.
  const position =
    error.position === undefined ? 0 : Number(error.position) - 1 - sent.charactersBefore;
  const offset = error.position === undefined ? undefined : utf16Offset(sql, position);
  // Behind the line break and the semicolon that follow the text: in the record, or at the commit.
  if (offset === sql.length && position > [...sql].length + 1) return undefined;
  const statement =
    offset === undefined || position < 0
      ? // No position: a failure while running. The statements before it have each reported their completion.
        statements[completed - sent.statementsBefore]
      : (statements.find(({ start, end }) => start <= offset && offset <= end) ??
        statements.at(-1));
  if (statement === undefined) return undefined;
  const at = offset === undefined || position < 0 ? statement.start : Math.min(offset, sql.length);
  const before = sql.slice(0, at).split(lineEnd);
  return {
    offset: at,
    line: before.length,
    column: [...(before.at(-1) ?? "")].length + 1,
    statement: sql.slice(statement.start, statement.end),
  };
}

function utf16Offset(text: string, characters: number): number {
  let offset = 0;
  for (let count = 0; count < characters && offset < text.length; count++) {
    offset += (text.codePointAt(offset) ?? 0) > 0xffff ? 2 : 1;
  }
  return offset;
}

/** The line, the one before and the one after, and a caret under the column. */
function excerpt(sql: string, { offset, line }: Place): string {
  const lines = hideSecrets(sql).split(lineEnd);
  const width = String(line + 1).length;
  const show = (number: number): string[] => {
    const text = lines[number - 1];
    return text === undefined
      ? []
      : [`${String(number).padStart(width)} | ${text.slice(0, longestLine)}`];
  };
  // A tab stays one, so that the caret is under its place however wide tabs are.
  const before = hideSecrets(sql.slice(0, offset)).split(lineEnd).at(-1) ?? "";
  const caret = `${" ".repeat(width)} | ${before.slice(0, longestLine).replace(/[^\t]/gu, " ")}^`;
  return [...show(line - 1), ...show(line), caret, ...show(line + 1)].join("\n");
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
function hideSecrets(text: string): string {
  const hide = (found: string, start: string): string =>
    `${start}'[redacted]'${found.slice(start.length).replace(/[^\r\n]/g, "")}`;
  return secrets.reduce((clean, secret) => clean.replace(secret, hide), text);
}

/** What to do, for the failures whose remedy is known. */
function fixFor(error: ServerError): string {
  const fixes: { readonly [code: string]: string } = {
    "42501":
      "grant the missing right to the user headgate connects as, or set HEADGATE_DATABASE_URL to the owner's",
    "57014": "raise --statement-timeout, or make the statement smaller",
    "25001":
      "put `-- headgate: no-transaction` on the first line of the file, and the statement alone into it",
    "53100": "free disk space on the server and run again",
  };
  return fixes[error.code] ?? "correct the file and run again";
}
