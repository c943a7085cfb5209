import { type Dirent, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { guessTool, useTool } from "./layouts.ts";
import type { Problem } from "./problem.ts";

/** What somebody may take for migrations, and headgate does not read. */
export type Unread = {
  /** Paths from the folder: SQL in folders other than undo/, and files of code numbered as if they came between. */
  readonly files: readonly string[];
  /** Why a folder without a migration is not an empty one. */
  readonly refusal?: Problem;
};

/** What says nothing of migrations: notes, and what editors, file systems and git leave. */
const notes =
  /(^|\/)(\.[^/]*|(readme|licen[cs]e|copying|changelog|authors|codeowners|thumbs\.db)[^/]*)$|\.(md|txt|rst|adoc)$/i;
const skippedFolders = /^(\.|node_modules$|lost\+found$)/;
const isNestedSql = (path: string): boolean => /\/[^/]*\.sql$/i.test(path);
const isInUndo = (path: string): boolean => /^undo\/[^/]+$/.test(path);
/** Names that tools give to migrations, and numbers and years, also of a folder on the way. */
const isLikeMigration = (path: string): boolean =>
  /(^|\/)(\d|[VUR][\d.]*_|(up|migration)\.sql$)/i.test(path);
const numberedCode = /^\d[^/]*(?<!\.d)\.([mc]?ts|[mc]js|py|rb|go|php|exs|java|kt|cs|psql|pgsql)$/i;

/** How deep folders are looked into, and how many files at most: somebody's folder may hold a whole program. */
const deepest = 4;
const mostPaths = 5000;

/**
 * Looks at what a migrations folder holds beside what is read.
 * @param folder one that can be read
 * @param read what is read of it, or would be if its name were right
 */
export function findUnread(
  folder: string,
  read: readonly { readonly id: number | undefined; readonly fileName: string }[],
): Unread {
  const names = new Set(read.map(({ fileName }) => fileName));
  const others = listPaths(folder).filter((path) => !notes.test(path) && !names.has(path));
  const strange = others.filter((path) => !isNestedSql(path) || isLikeMigration(path));
  if (read.length === 0 && strange.length > 0) {
    return { files: [], refusal: refusalOf(folder, strange) };
  }
  const numbers = new Set(read.map(({ id }) => id));
  return {
    files: others.filter(
      (path) =>
        (isNestedSql(path) && !isInUndo(path)) ||
        path.endsWith("/") ||
        // A file of the same number is what this one was compiled to.
        (numberedCode.test(path) && !numbers.has(Number.parseInt(path, 10))),
    ),
  };
}

/** What to do where a folder seems to be another tool's; undefined when it does not. */
export function toolHint(folder: string): string | undefined {
  const guess = guessTool(folder, listPaths(folder));
  return guess === undefined ? undefined : useTool(guess);
}

function refusalOf(folder: string, strange: readonly string[]): Problem {
  const guess = guessTool(folder, listPaths(folder));
  const own = strange.every(isInUndo)
    ? "put the migrations beside undo/ that these files undo"
    : "write migrations as N_name.sql, or name the folder that holds them with --migrations";
  return {
    ...{ rule: "no-migration", offset: 0 },
    what: `no file in it is a migration, but it is not empty: it holds ${listPathsBriefly(strange)}`,
    fix: guess === undefined ? own : useTool(guess),
  };
}

/** The first few. */
export function listPathsBriefly(paths: readonly string[]): string {
  const more = paths.length - 5;
  return `${paths.slice(0, 5).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** The files in a folder and those beneath it, each with its path from there; of one that may not be entered itself. */
function listPaths(folder: string, prefix = "", found: string[] = []): string[] {
  const entries = listEntries(folder);
  if (entries === undefined && prefix !== "") found.push(prefix);
  for (const entry of entries ?? []) {
    if (found.length >= mostPaths) break;
    const path = join(folder, entry.name);
    if (!isFolder(entry, path)) found.push(prefix + entry.name);
    else if (!skippedFolders.test(entry.name) && prefix.split("/").length <= deepest) {
      listPaths(path, `${prefix}${entry.name}/`, found);
    }
  }
  return found;
}

/** @returns undefined for a folder that may not be entered */
function listEntries(folder: string): Dirent[] | undefined {
  try {
    return readdirSync(folder, { withFileTypes: true }).toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    );
  } catch {
    return undefined;
  }
}

function isFolder(entry: Dirent, path: string): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // it leads nowhere
  }
}
