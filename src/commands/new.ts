import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorCode, HeadgateError } from "../errors.ts";
import type { Context } from "../look.ts";
import { type Migration, readFolder } from "../migrations/folder.ts";
import { newText, newUndoText } from "../migrations/new-file.ts";
import { undoPathOf } from "../migrations/undo-files.ts";

/** `headgate new NAME`: write the next migration, and the file that undoes it. Needs no database. */
export async function createMigration(context: Context): Promise<number> {
  const { migrationsDir, create = { title: "", slug: "" } } = context.config;
  const migrations = await readExisting(migrationsDir);
  const { name, fileName } = nextFile(migrations.at(-1), create.slug);
  const twin = migrations.find((migration) => migration.name === name);
  if (twin !== undefined) throw sameName(twin);
  const path = join(migrationsDir, fileName);
  const undoPath = undoPathOf({ path, fileName });
  writeNew([
    { path, text: newText(create.title) },
    { path: undoPath, text: newUndoText(fileName) },
  ]);
  return context.print(`${path}\n${undoPath}\n`);
}

async function readExisting(folder: string): Promise<readonly Migration[]> {
  try {
    return await readFolder(folder);
  } catch (error) {
    if (!(error instanceof HeadgateError) || error.code !== "usage") throw error;
    throw new HeadgateError("usage", error.message, {
      fix: "make the folder, or name another one with --migrations (HEADGATE_MIGRATIONS)",
      cause: error,
    });
  }
}

/** Numbered and written as the newest file is: `0007_add_author.sql` behind `0006_create_notes.sql`. */
function nextFile(
  newest: Migration | undefined,
  slug: string,
): { readonly name: string; readonly fileName: string } {
  const [, digits = "", separator = "_"] = /^(\d+)([-_])?/.exec(newest?.fileName ?? "") ?? [];
  const width = digits.startsWith("0") ? digits.length : 1;
  const number = String((newest?.id ?? 0) + 1).padStart(width, "0");
  const hasUnderscores = newest !== undefined && /^[^-]*_[^-]*$/.test(newest.name);
  const name = hasUnderscores ? slug.replaceAll("-", "_") : slug;
  return { name, fileName: `${number}${separator}${name}.sql` };
}

function sameName({ path }: Migration): HeadgateError {
  return new HeadgateError(
    "usage",
    `${path} has the same name; the history needs it unique; nothing was written`,
    { fix: "choose another name" },
  );
}

/** Writes files that must not be there yet: all of them, or none. */
function writeNew(files: readonly { readonly path: string; readonly text: string }[]): void {
  const made: string[] = [];
  for (const { path, text } of files) {
    try {
      mkdirSync(dirname(path), { recursive: true });
      closeSync(openSync(path, "wx"));
      made.push(path);
      writeFileSync(path, text);
    } catch (error) {
      for (const each of made) rmSync(each);
      throw notWritten(path, error);
    }
  }
}

function notWritten(path: string, cause: unknown): HeadgateError {
  const code = errorCode(cause);
  const why = code === "EEXIST" ? "exists already" : `cannot be written (${code})`;
  return new HeadgateError("usage", `${path} ${why}; nothing was written`, {
    fix: code === "EEXIST" ? "move it away, or choose another name" : "make the folder writable",
    cause,
  });
}
