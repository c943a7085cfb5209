import { behind, readToken, type Token, upperCase } from "./tokens.ts";

/** One statement of a file: where it stands, without its `;`, leading white space and leading comments. */
export type Statement = {
  /** UTF-16 offset of its first character in the text that was split. */
  readonly start: number;
  /** UTF-16 offset behind its last character; white space and comments after it are not part of it. */
  readonly end: number;
  /** Its first bare words, at most six, in upper case: `CREATE UNIQUE INDEX CONCURRENTLY I ON`. */
  readonly opening: string;
};

/** Something that cannot be sent to a server: where it starts; what it is and why not, and what to do. */
export type Refusal = { readonly offset: number; readonly what: string; readonly fix: string };

/** The statement being read. */
type Draft = {
  start: number;
  end: number;
  opening: string[];
  openingEnded: boolean;
  /** The text of the last token, in upper case. */
  previous: string;
  /** How many parentheses are open, and where the outermost one stands. */
  depth: number;
  depthAt: number;
  /** Between BEGIN ATOMIC and its END, and where the last BEGIN stands. */
  inBody: boolean;
  beginAt: number;
  takesData: boolean;
};

const reasons = {
  parenthesis: {
    what: "a parenthesis opens here and is never closed, so no ; behind it ends the statement",
    fix: "close it with )",
  },
  body: {
    what: "a BEGIN ATOMIC body starts here and is never closed, so no ; behind it ends the statement",
    fix: "close it with END, after the ; of its last statement",
  },
  data: {
    what: "COPY … FROM STDIN waits for rows from its client, and only the SQL of a file is sent",
    fix: "write the rows as INSERT, or COPY from a file on the server",
  },
  clientCommand: (command: string) => ({
    what: `${command} is a command for the psql client, which the server does not know`,
    fix: "remove it, or write what it does as SQL",
  }),
};

const byteOrderMark = 0xfeff;
const maxOpeningWords = 6;

const lineEnd = /[\n\r]/g;
const dataEnd = /[\n\r]\\\.(?=[\n\r]|$)/g;
const createRoutine = /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)(?: |$)/;

/**
 * Splits SQL into the statements that a server would see, in one pass, by the rules of PostgreSQL's own psql
 * (src/fe_utils/psqlscan.l, with standard_conforming_strings on).
 * @param sql the whole text of a file
 * @returns its statements in order, and all that cannot be sent; beside a refusal the statements are only a guess
 */
export function splitStatements(sql: string): {
  readonly statements: readonly Statement[];
  readonly refusals: readonly Refusal[];
} {
  const statements: Statement[] = [];
  const refusals: Refusal[] = [];
  let draft = newDraft();
  const finish = (): void => {
    const { start, end, opening, takesData } = draft;
    if (start < end) statements.push({ start, end, opening: opening.join(" ") });
    if (takesData) refusals.push({ offset: start, ...reasons.data });
    draft = newDraft();
  };

  let unclosed: Refusal | undefined;
  let at = sql.charCodeAt(0) === byteOrderMark ? 1 : 0;
  while (at < sql.length) {
    const token = readToken(sql, at);
    if (token.text === "\\") {
      // Most commands of psql send what stands before them, so this ends a statement.
      finish();
      const [command = token.text] = sql.slice(at, at + 30).split(/\s/, 1);
      refusals.push({ offset: at, ...reasons.clientCommand(command) });
      at = behind(lineEnd, sql, at);
    } else if (token.text === ";" && draft.depth === 0 && !draft.inBody) {
      at = draft.takesData ? behind(dataEnd, sql, token.end) : token.end;
      finish();
    } else {
      if (token.kind !== "blank") extend(draft, at, token);
      if (token.unclosed !== undefined) unclosed = { offset: at, ...token.unclosed };
      at = token.end;
    }
  }
  unclosed ??= unclosedIn(draft);
  finish();
  if (unclosed !== undefined) refusals.push(unclosed);
  return { statements, refusals };
}

/** Whether there is anything to send, beside blanks, comments and `;`. Reads no further than the first of it. */
export function hasStatement(sql: string): boolean {
  let at = sql.charCodeAt(0) === byteOrderMark ? 1 : 0;
  while (at < sql.length) {
    const { kind, text, end, unclosed } = readToken(sql, at);
    if ((kind !== "blank" && text !== ";") || unclosed !== undefined) return true;
    at = end;
  }
  return false;
}

function newDraft(): Draft {
  return {
    start: -1,
    end: -1,
    opening: [],
    openingEnded: false,
    previous: "",
    depth: 0,
    depthAt: -1,
    inBody: false,
    beginAt: -1,
    takesData: false,
  };
}

function extend(draft: Draft, at: number, { kind, text, end }: Token): void {
  if (draft.start === -1) draft.start = at;
  draft.end = end;
  if (kind === "word") return extendByWord(draft, at, upperCase(text));
  draft.openingEnded = true;
  draft.previous = text;
  if (text === "(") {
    if (draft.depth === 0) draft.depthAt = at;
    draft.depth += 1;
  } else if (text === ")" && draft.depth > 0) {
    draft.depth -= 1;
  }
}

function extendByWord(draft: Draft, at: number, word: string): void {
  const { opening, previous } = draft;
  if (!draft.openingEnded) draft.openingEnded = opening.push(word) === maxOpeningWords;
  draft.previous = word;
  if (draft.depth > 0) return;

  // psql counts every BEGIN, CASE and END of a CREATE FUNCTION and so stumbles over columns of these names. The
  // grammar of the server is stricter: BEGIN ATOMIC starts a body, and the only END behind a `;` is the one that ends it.
  if (word === "BEGIN" && !draft.inBody) draft.beginAt = at;
  if (word === "ATOMIC" && previous === "BEGIN") {
    draft.inBody ||= createRoutine.test(opening.join(" "));
  }
  if (word === "END" && (previous === ";" || previous === "ATOMIC")) draft.inBody = false;

  // The server reads STDOUT as STDIN here.
  if (previous === "FROM" && (word === "STDIN" || word === "STDOUT")) {
    draft.takesData ||= opening[0] === "COPY";
  }
}

function unclosedIn(draft: Draft): Refusal | undefined {
  if (draft.depth > 0) return { offset: draft.depthAt, ...reasons.parenthesis };
  if (draft.inBody) return { offset: draft.beginAt, ...reasons.body };
  return undefined;
}
