import { isUtf8 } from "node:buffer";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseFileName } from "postgres-migrations/dist/file-name-parser.js";
import { errorCode, HeadgateError } from "../errors.ts";
import { checksumOf, withoutByteOrderMark } from "./checksum.ts";
import { type Directives, readDirectives } from "./directives.ts";
import type { AppliedRow } from "./history.ts";

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
  readonly defects: readonly string[];
  /** Of a file that undoes a migration: the history row that goes with it; null when a run before has removed it. */
  readonly undoes?: AppliedRow | null;
};

/** The column types of the history table limit what can be recorded: integer id, varchar(100) name. */
const largestId = 2 ** 31 - 1;
const longestName = 100;

/**
 * Reads the whole folder, in the order of the numbers, by the rules of postgres-migrations: files end in .sql or .js
 * (`generateSql()`), names start with a number, numbers run from 1 without gaps; other files are left alone.
 * @param folder as configured
 * @throws HeadgateError usage (64) when there is no such folder, history_mismatch (65) listing every bad file
 */
export async function readFolder(folder: string): Promise<readonly Migration[]> {
  const problems: string[] = [];
  const migrations: Migration[] = [];
  for (const fileName of listFiles(folder)) {
    const path = join(folder, fileName);
    try {
      const { id, name, type } = parseFileName(fileName);
      const text = type === "js" ? await generateSql(path) : readFileSync(path, "utf8");
      migrations.push(toMigration({ id, name, fileName, path, text }, problems));
    } catch (error) {
      const code = errorCode(error);
      if (/^E[A-Z]+$/.test(code)) problems.push(`${path}: cannot be read (${code})`);
      else if (/^-?\d.*\.js$/i.test(fileName)) {
        problems.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
      } else {
        problems.push(
          `${path}: the name does not start with a number; write N_name.sql, or move the file elsewhere`,
        );
      }
    }
  }
  migrations.sort((a, b) => a.id - b.id);
  problems.push(...orderProblems(migrations));
  if (problems.length > 0) {
    throw new HeadgateError("history_mismatch", `the migrations folder ${folder} is not usable`, {
      problems,
      fix: "correct the files; nothing was connected to or changed",
    });
  }
  return migrations;
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder).filter((fileName) => /\.(sql|js)$/i.test(fileName));
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

/** Makes a migration of a file's name and text; adds to the problems what the history table could not hold. */
export function toMigration(
  file: Pick<Migration, "id" | "name" | "fileName" | "path" | "text">,
  problems: string[],
): Migration {
  const { id, name, fileName, path, text } = file;
  if (id > largestId)
    problems.push(
      `${path}: the number ${id} is larger than the history table's integer column holds`,
    );
  if (name.length > longestName) {
    problems.push(
      `${path}: the name is ${name.length} characters long; the history table holds ${longestName}`,
    );
  }
  const sql = withoutByteOrderMark(text);
  const { directives, problems: misread } = readDirectives(sql);
  const defects = [
    ...(wasUtf8(path, text) ? [] : ["is not valid UTF-8; save it as UTF-8"]),
    ...(sql.includes("\0") ? ["contains a NUL byte, which the server cannot take"] : []),
    ...misread,
  ];
  return {
    ...{ id, name, fileName, path, text, sql },
    checksum: checksumOf(fileName, text),
    directives,
    defects,
  };
}

/** Decoding replaces invalid bytes by U+FFFD; only where there is one, it is worth looking whether it was in the file. */
function wasUtf8(path: string, text: string): boolean {
  return !text.includes("\uFFFD") || path.endsWith(".js") || isUtf8(readFileSync(path));
}

/** Duplicate numbers, duplicate names (the history's `name` is unique), numbers below 1, and gaps. */
function orderProblems(migrations: readonly Migration[]): string[] {
  const problems: string[] = [];
  const byName = new Map<string, Migration>();
  let previous: Migration | undefined;
  for (const migration of migrations) {
    const { id, path, name } = migration;
    const expected = (previous?.id ?? 0) + 1;
    if (id < 1) {
      problems.push(`${path}: numbers start at 1 (0 is the history table's own entry)`);
    } else if (id === previous?.id) {
      problems.push(
        `${path}: has the same number as ${previous.fileName}; renumber the newer of the two`,
      );
    } else if (id > expected) {
      const gap =
        expected === id - 1 ? `number ${expected} is` : `numbers ${expected} to ${id - 1} are`;
      problems.push(`${path}: ${gap} missing before it; restore the file, or renumber this one`);
    }
    const twin = byName.get(name);
    if (twin !== undefined)
      problems.push(`${path}: has the same name as ${twin.fileName}; the history needs it unique`);
    byName.set(name, migration);
    if (id >= 1) previous = migration;
  }
  return problems;
}
