import { type Dirent, readdirSync, statSync } from "node:fs";
import { errorCode } from "../errors.ts";

/**
 * Finds files by patterns: `*`, `?` and `[a-z]` within a name, `**` for any folders, `{a,b}` for either. As in a shell a
 * name that begins with a dot has to be named, and `**` enters no folder that is a symbolic link. Node's own
 * `fs.globSync` takes 9 ms of each start to load.
 * @param directory where patterns begin that do not begin with a slash
 * @returns paths as the patterns begin, each once, sorted
 * @throws what the file system says of a folder that is there and cannot be read
 */
export function findFiles(patterns: readonly string[], directory: string): readonly string[] {
  const found = new Set<string>();
  const folders = new Map<string, readonly Dirent[]>();
  const at = (path: string): string => (path.startsWith("/") ? path : `${directory}/${path}`);
  const list = (folder: string): readonly Dirent[] => {
    const known = folders.get(folder);
    if (known !== undefined) return known;
    const entries = orNothing(() => readdirSync(at(folder), { withFileTypes: true })) ?? [];
    folders.set(folder, entries);
    return entries;
  };
  const isFile = (path: string): boolean => orNothing(() => statSync(at(path)))?.isFile() === true;

  const walk = (folder: string, [part, ...rest]: readonly string[]): void => {
    if (part === undefined) return;
    if (part === "**") {
      const next = rest.length === 0 ? ["*"] : rest;
      const entries = list(folder);
      walk(folder, next);
      for (const entry of entries) {
        if (entry.isDirectory() && !entry.name.startsWith("."))
          walk(`${folder}${entry.name}/`, [part, ...next]);
      }
    } else if (!/[*?[]/.test(part)) {
      // An error for each folder without it takes longer than to look through what is known.
      if (folders.get(folder)?.some(({ name }) => name === part) === false) return;
      if (rest.length > 0) walk(`${folder}${part}/`, rest);
      else if (isFile(folder + part)) found.add(folder + part);
    } else {
      const pattern = matcherOf(part);
      for (const entry of list(folder)) {
        if (!pattern.test(entry.name)) continue;
        const path = folder + entry.name;
        const isLink = entry.isSymbolicLink();
        if (rest.length > 0) {
          if (isLink || entry.isDirectory()) walk(`${path}/`, rest);
        } else if (entry.isFile() || (isLink && isFile(path))) found.add(path);
      }
    }
  };
  for (const pattern of patterns.flatMap(withoutBraces)) {
    const parts = pattern.split("/").filter((part) => part !== "" && part !== ".");
    // Twice the same as once.
    const once = parts.filter((part, index) => part !== "**" || parts[index - 1] !== "**");
    walk(pattern.startsWith("/") ? "/" : "", once);
  }
  return [...found].toSorted();
}

/** What is not there is not found; it may as well be a file where a folder was looked for. */
function orNothing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errorCode(error))) return undefined;
    throw error;
  }
}

/** `a.{js,ts}` as `a.js` and `a.ts`; the innermost braces first. */
function withoutBraces(pattern: string): string[] {
  const braces = /\{([^{}]*,[^{}]*)\}/.exec(pattern);
  if (braces === null) return [pattern];
  const [whole, options = ""] = braces;
  const [before, after] = [
    pattern.slice(0, braces.index),
    pattern.slice(braces.index + whole.length),
  ];
  return options.split(",").flatMap((option) => withoutBraces(before + option + after));
}

/** One name between slashes. */
function matcherOf(part: string): RegExp {
  const source = part.replace(
    /\[([!^]?)([^\]]+)\]|[\\^$.|+(){}[\]*?]/g,
    (whole, not: string | undefined, members: string | undefined) => {
      if (whole === "*") return ".*";
      if (whole === "?") return ".";
      if (members === undefined) return `\\${whole}`;
      return `[${not === "" ? "" : "^"}${members.replace(/[\\^[]/g, "\\$&")}]`;
    },
  );
  return new RegExp(`^${part.startsWith(".") ? "" : String.raw`(?!\.)`}${source}$`, "su");
}
