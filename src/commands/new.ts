import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorCode, HeadgateError } from "../errors.ts";
import type { Context } from "../look.ts";
import { type Migration, readFolder } from "../migrations/folder.ts";
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
  writeNew(undoPath, `-- Undoes ${fileName}.\n`);
  try {
    writeNew(path, `-- ${create.title}\n`);
  } catch (error) {
    rmSync(undoPath);
    throw error;
  }
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

/** Writes a file that must not be there yet. */
function writeNew(path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { flag: "wx" });
  } catch (error) {
    const code = errorCode(error);
    const why = code === "EEXIST" ? "exists already" : `cannot be written (${code})`;
    throw new HeadgateError("usage", `${path} ${why}; nothing was written`, {
      fix: code === "EEXIST" ? "move it away, or choose another name" : "make the folder writable",
      cause: error,
    });
  }
}
