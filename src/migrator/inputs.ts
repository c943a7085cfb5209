import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { errorCode } from "../errors.ts";
import { findFiles } from "./glob.ts";

/** What a migrator would work with: the files, and one hash of all their names and contents and of the command. */
export type Inputs = { readonly files: readonly string[]; readonly fingerprint: string };

/**
 * Reads the files that decide what a migrator does.
 * @param patterns as `findFiles` takes them
 * @returns a string that says which file cannot be read
 */
export function readInputs(
  command: readonly string[],
  directory: string,
  patterns: readonly string[],
): Inputs | string {
  let files: readonly string[];
  try {
    files = findFiles(patterns, directory);
  } catch (error) {
    return `cannot be looked for: ${error instanceof Error ? error.message : ""}`;
  }
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
