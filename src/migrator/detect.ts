import { globSync } from "node:fs";
import { presets } from "./presets.ts";

/** The migrator whose files a folder has; undefined unless there is exactly one. */
export function detectMigrator(directory: string): string | undefined {
  const found = Object.entries(presets)
    .filter(([, { marks }]) => marks.some((mark) => globSync(mark, { cwd: directory }).length > 0))
    .map(([name]) => name);
  return found.length === 1 ? found[0] : undefined;
}
