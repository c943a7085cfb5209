import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { errorCode, HeadgateError } from "../errors.ts";
import { undoProblems } from "./direction.ts";
import { type Migration, toMigration } from "./folder.ts";

/** Beneath the migrations folder, where postgres-migrations, which reads no folders in it, does not look. */
const undoFolder = "undo";

/** The name without its extension. */
const stemOf = (fileName: string): string => fileName.replace(/\.[^.]*$/, "");

/** Where the undo file of a migration belongs. */
export const undoPathOf = ({ path, fileName }: Pick<Migration, "path" | "fileName">): string =>
  join(dirname(path), undoFolder, `${stemOf(fileName)}.sql`);

/**
 * Reads the files that undo migrations: `undo/7_add-index.sql` undoes `7_add-index.sql`.
 * @param folder as configured; it need not have an undo folder
 * @param migrations of this folder
 * @returns by the number of the migration
 * @throws HeadgateError usage (64) when the undo folder cannot be read
 */
export function readUndoFiles(
  folder: string,
  migrations: readonly Migration[],
): ReadonlyMap<number, Migration> {
  const byStem = new Map(listFiles(join(folder, undoFolder)).map((name) => [stemOf(name), name]));
  const undoFiles = new Map<number, Migration>();
  for (const { id, name, fileName: undone } of migrations) {
    const file = byStem.get(stemOf(undone));
    if (file === undefined) continue;
    const [fileName, path] = [join(undoFolder, file), join(folder, undoFolder, file)];
    const text = readText(path);
    const undo = toMigration({ id, name, fileName, path, text }, []);
    undoFiles.set(id, { ...undo, defects: [...undo.defects, ...undoProblems(undo)] });
  }
  return undoFiles;
}

/** The paths of the undo files that belong to none of these migrations. */
export function listStrayUndoFiles(folder: string, migrations: readonly Migration[]): string[] {
  const stems = new Set(migrations.map(({ fileName }) => stemOf(fileName)));
  return listFiles(join(folder, undoFolder))
    .filter((fileName) => !stems.has(stemOf(fileName)))
    .map((fileName) => join(folder, undoFolder, fileName));
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder).filter((fileName) => /\.sql$/i.test(fileName));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw unreadable(`the folder of undo files ${resolve(folder)}`, error);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw unreadable(`the undo file ${path}`, error);
  }
}

function unreadable(what: string, cause: unknown): HeadgateError {
  return new HeadgateError("usage", `cannot read ${what} (${errorCode(cause) || String(cause)})`, {
    fix: "make it readable for the user headgate runs as",
    cause,
  });
}
