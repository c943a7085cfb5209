import { createHash } from "node:crypto";
import { globSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { errorCode } from "../errors.ts";

/** What a migrator would work with: the files, and one hash of all their names and contents and of the command. */
export type Inputs = { readonly files: readonly string[]; readonly fingerprint: string };

/**
 * Reads the files that decide what a migrator does.
 * @param patterns globs, relative to `directory` or absolute
 * @returns a string that says which file cannot be read
 */
export function readInputs(
  command: readonly string[],
  directory: string,
  patterns: readonly string[],
): Inputs | string {
  const found = patterns.flatMap((pattern) => globSync(pattern, { cwd: directory }));
  const files = [...new Set(found)]
    .filter((file) => statSync(resolve(directory, file), { throwIfNoEntry: false })?.isFile())
    .toSorted();
  const hash = createHash("sha256").update(JSON.stringify(command));
  for (const file of files) {
    let content: Buffer;
    try {
      content = readFileSync(resolve(directory, file));
    } catch (error) {
      return `${file} cannot be read (${errorCode(error)})`;
    }
    // With its length, so that the end of one file cannot pass for the beginning of the next.
    hash.update(`\0${file}\0${content.length}\0`).update(content);
  }
  return { files, fingerprint: hash.digest("hex") };
}
