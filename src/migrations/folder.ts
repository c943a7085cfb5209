import { isUtf8 } from "node:buffer";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseFileName } from "postgres-migrations/dist/file-name-parser.js";
import { errorCode, HeadgateError } from "../errors.ts";
import { checksumOf, withoutByteOrderMark } from "./checksum.ts";
import { type Directives, readDirectives } from "./directives.ts";
import { undoBeside, undoOfPair, upProblems } from "./direction.ts";
import { foreignProblems } from "./foreign-marks.ts";
import type { AppliedRow } from "./history.ts";
import { type Problem, sentenceOf } from "./problem.ts";
import { findUnread } from "./unread.ts";

/** One SQL file. */
export type Migration = {
  /** The number its name starts with. */
  readonly id: number;
  /** The rest of its name, without the extension: the history's `name`. */
  readonly name: string;
  readonly fileName: string;
  /** The path as it was given, for messages. */
  readonly path: string;
  /** The file's text to the byte, on which the checksum rests. */
  readonly text: string;
  /** What is sent to the server: the text without a byte order mark. */
  readonly sql: string;
  readonly checksum: string;
  readonly directives: Directives;
  /** What makes it impossible to apply; harmless when it was applied long ago. */
  readonly defects: readonly Problem[];
  /** Of a file that undoes a migration: the history row that goes with it; null when a run before has removed it. */
  readonly undoes?: AppliedRow | null;
};

/** The column types of the history table limit what can be recorded: integer id, varchar(100) name. */
const largestId = 2 ** 31 - 1;
const longestName = 100;

/** Something about a file's name or place in the folder. */
export type Misfit = Problem & { readonly path: string };

/**
 * Reads the whole folder, in the order of the numbers, by the rules of postgres-migrations: files end in .sql or .js
 * (`generateSql()`), names start with a number, numbers run from 1 without gaps; other files are left alone.
 * @param folder as configured
 * @throws HeadgateError usage (64) when there is no such folder, history_mismatch (65) listing every bad file
 */
export async function readFolder(folder: string): Promise<readonly Migration[]> {
  const { migrations, misfits } = await surveyFolder(folder);
  refuseMisfits(folder, misfits);
  return migrations;
}

/** @throws HeadgateError history_mismatch (65) listing them, if there are any */
export function refuseMisfits(folder: string, misfits: readonly Misfit[]): void {
  if (misfits.length === 0) return;
  throw new HeadgateError("history_mismatch", `the migrations folder ${folder} is not usable`, {
    problems: misfits.map((misfit) => `${misfit.path}: ${sentenceOf(misfit)}`),
    fix: "correct the files; nothing was connected to or changed",
  });
}

/** What a folder holds. */
export type Survey = {
  readonly migrations: readonly Migration[];
  readonly misfits: readonly Misfit[];
  /** Paths from the folder of what somebody may take for migrations, and is not read. */
  readonly unread: readonly string[];
};

/**
 * The same, but it gives what is wrong beside what can be read.
 * @throws HeadgateError usage (64) when there is no such folder
 */
export async function surveyFolder(folder: string): Promise<Survey> {
  const misfits: Misfit[] = [];
  const migrations: Migration[] = [];
  const fileNames = listFiles(folder);
  for (const fileName of fileNames) {
    const path = join(folder, fileName);
    try {
      const { id, name, type } = parseFileName(fileName);
      const text = type === "js" ? await generateSql(path) : readFileSync(path, "utf8");
      const migration = toMigration({ id, name, fileName, path, text }, misfits);
      migrations.push({ ...migration, defects: [...migration.defects, ...upProblems(migration)] });
    } catch (error) {
      misfits.push({ path, offset: 0, ...whyUnread(error, fileName) });
    }
  }
  migrations.sort((a, b) => a.id - b.id);
  misfits.push(...orderProblems(migrations));
  const read = fileNames.map((fileName) => ({ fileName, id: numberOf(fileName) }));
  const { files: unread, refusal } = findUnread(folder, read);
  if (refusal !== undefined) misfits.push({ ...refusal, path: folder });
  return { migrations, misfits, unread };
}

function whyUnread(error: unknown, fileName: string): Pick<Problem, "rule" | "what" | "fix"> {
  const code = errorCode(error);
  if (/^E[A-Z]+$/.test(code)) {
    return { rule: "unreadable", what: `cannot be read (${code})`, fix: "make it a readable file" };
  }
  if (/^-?\d.*\.js$/i.test(fileName)) {
    const what = error instanceof Error ? error.message : String(error);
    return { rule: "unreadable", what, fix: "export generateSql(), which returns a text" };
  }
  return {
    rule: "file-name",
    what: "the name does not start with a number",
    fix: "write N_name.sql, or move the file elsewhere",
  };
}

/** Whether a file counts by its name; then the number that starts it must be right. */
export const isMigrationFile = (fileName: string): boolean => /\.(sql|js)$/i.test(fileName);

/** @returns undefined when the name does not start with a number */
export function numberOf(fileName: string): number | undefined {
  try {
    return parseFileName(fileName).id;
  } catch {
    return undefined;
  }
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder).filter(isMigrationFile).toSorted();
  } catch (error) {
    const code = errorCode(error) || String(error);
    throw new HeadgateError(
      "usage",
      `cannot read the migrations folder ${resolve(folder)} (${code})`,
      {
        fix: "copy it into the image, or name it with --migrations (HEADGATE_MIGRATIONS)",
        cause: error,
      },
    );
  }
}

/** Loaded only for folders that have .js files. */
async function generateSql(path: string): Promise<string> {
  const { loadSqlFromJs } = await import("postgres-migrations/dist/load-sql-from-js.js");
  return loadSqlFromJs(resolve(path));
}

/** Makes a migration of a file's name and text; adds to the misfits what the history table could not hold. */
export function toMigration(
  file: Pick<Migration, "id" | "name" | "fileName" | "path" | "text">,
  misfits: Misfit[],
): Migration {
  const { id, name, fileName, path, text } = file;
  const refuse = (what: string, fix: string): void =>
    void misfits.push({ rule: "file-name", path, offset: 0, what, fix });
  if (id > largestId) {
    refuse(
      `the number ${id} is larger than the history table's integer column holds`,
      "choose a smaller one",
    );
  }
  if (name.length > longestName) {
    refuse(
      `the name is ${name.length} characters long; the history table holds ${longestName}`,
      "shorten it",
    );
  }
  const sql = withoutByteOrderMark(text);
  const { directives, problems } = readDirectives(sql);
  return {
    ...{ id, name, fileName, path, text, sql },
    checksum: checksumOf(fileName, text),
    directives,
    defects: [...encodingProblems(path, sql), ...problems, ...foreignProblems(sql)],
  };
}

function encodingProblems(path: string, sql: string): Problem[] {
  const nul = sql.indexOf("\0");
  const invalid = invalidAt(path, sql);
  const defects = [
    { offset: invalid, what: "is not valid UTF-8", fix: "save it as UTF-8" },
    {
      ...{ offset: nul, what: "contains a NUL byte, which the server cannot take" },
      fix: "remove it, or save the file as UTF-8",
    },
  ];
  return defects
    .filter(({ offset }) => offset !== -1)
    .map((defect) => ({ rule: "encoding", ...defect }));
}

/**
 * Where the first byte stands that is not UTF-8, or -1. Decoding replaces such bytes by U+FFFD; only where there is
 * one, it is worth looking whether it was in the file.
 */
function invalidAt(path: string, sql: string): number {
  if (!sql.includes("\uFFFD") || path.endsWith(".js")) return -1;
  const bytes = readFileSync(path);
  if (isUtf8(bytes)) return -1;
  const decoded = Buffer.from(bytes.toString());
  const differs = bytes.findIndex((byte, index) => byte !== decoded[index]);
  return withoutByteOrderMark(bytes.toString("utf8", 0, differs)).length;
}

/** Duplicate numbers, duplicate names (the history's `name` is unique), numbers below 1, and gaps. */
function orderProblems(migrations: readonly Migration[]): Misfit[] {
  const misfits: Misfit[] = [];
  const byName = new Map<string, Migration>();
  let previous: Migration | undefined;
  for (const migration of migrations) {
    const { id, path, name } = migration;
    const expected = (previous?.id ?? 0) + 1;
    const refuse = (rule: string, what: string, fix: string): void =>
      void misfits.push({ rule, path, offset: 0, what, fix });
    if (id < 1) {
      refuse(
        "file-name",
        "numbers start at 1 (0 is the history table's own entry)",
        "give it a number of 1 or more",
      );
    } else if (previous !== undefined && id === previous.id) {
      const undo = undoOfPair(previous, migration);
      if (undo !== undefined) {
        const up = undo === migration ? previous : migration;
        const what = `undoes ${up.fileName}, it seems, and would be run as a migration`;
        misfits.push({ ...undoBeside, path: undo.path, offset: 0, what });
        continue;
      }
      refuse(
        "duplicate-number",
        `has the same number as ${previous.fileName}`,
        "renumber the newer of the two",
      );
    } else if (id > expected) {
      const gap =
        expected === id - 1 ? `number ${expected} is` : `numbers ${expected} to ${id - 1} are`;
      refuse("gap", `${gap} missing before it`, "restore the file, or renumber this one");
    }
    const twin = byName.get(name);
    if (twin !== undefined) {
      refuse(
        "duplicate-name",
        `has the same name as ${twin.fileName}, and the history needs it unique`,
        "rename the newer of the two",
      );
    }
    byName.set(name, migration);
    if (id >= 1) previous = migration;
  }
  return misfits;
}
