import { findFiles } from "./glob.ts";
import { presets } from "./presets.ts";

/** The migrator whose files a folder has; undefined unless there is exactly one. */
export function detectMigrator(directory: string): string | undefined {
  const found = Object.entries(presets)
    .filter(([, { marks }]) => isThere(marks, directory))
    .map(([name]) => name);
  return found.length === 1 ? found[0] : undefined;
}

function isThere(marks: readonly string[], directory: string): boolean {
  try {
    return findFiles(marks, directory).length > 0;
  } catch {
    return false; // what may not be read is not ours to guess at
  }
}
