import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { errorCode } from "../errors.ts";
import { findFiles } from "./glob.ts";
import type { ImageFiles } from "./judge.ts";
import { type Layout, layouts, type Located, type ProjectFiles } from "./layouts.ts";

/** What a migrator would work with. */
export type Inputs = ImageFiles & {
  /** Where they were looked for. */
  readonly patterns: readonly string[];
  readonly files: readonly string[];
};

/** What to read. */
type Wanted = {
  readonly command: readonly string[];
  readonly directory: string;
  /** As `findFiles` takes them. */
  readonly patterns: readonly string[];
  /** The tool whose own configuration says where its migrations are. */
  readonly layout?: string;
  /** The tool whose conventions hold. */
  readonly preset?: string;
  readonly environment: Readonly<Record<string, string>>;
};

/** Why the files are of no use, and what is to be done. */
export class UnusableInputs extends Error {
  readonly fix: string;
  constructor(message: string, fix: string) {
    super(message);
    this.fix = fix;
  }
}

/**
 * Reads the files that decide what a migrator does.
 * @throws UnusableInputs
 */
export function readInputs(wanted: Wanted): Inputs {
  const { command, directory, preset } = wanted;
  const { patterns, files } = findInputs(wanted);
  const hash = createHash("sha256").update(JSON.stringify(command));
  const revisions: string[] = [];
  for (const file of files) {
    let content: Buffer;
    try {
      content = readFileSync(resolve(directory, file));
    } catch (error) {
      throw new UnusableInputs(
        `a migrator's file ${file} cannot be read (${errorCode(error)})`,
        "make it readable for the user that headgate runs as",
      );
    }
    // With its length, so that the end of one file cannot pass for the beginning of the next.
    hash.update(`\0${file}\0${content.length}\0`).update(content);
    if (file.endsWith(".py")) revisions.push(...revisionsIn(content));
  }
  const fingerprint = hash.digest("hex");
  const own = { patterns, files, fingerprint };
  if (revisions.length > 0)
    return { ...own, revisions, versions: hashOf(command, revisions.toSorted()) };
  if (preset !== undefined && layouts[preset]?.knowsItsFiles === true)
    return { ...own, versions: hashOf(command, files) };
  return own;
}

const hashOf = (command: readonly string[], names: readonly string[]): string =>
  createHash("sha256")
    .update(JSON.stringify([command, names]))
    .digest("hex");

/** The identifier of an Alembic revision, by which its table knows it whatever else the file holds. */
function revisionsIn(content: Buffer): readonly string[] {
  const text = content.toString();
  if (!/^down_revision\b/m.test(text)) return [];
  const [, revision] = /^revision\b[^=\n]*=\s*["']([^"']+)["']/m.exec(text) ?? [];
  return revision === undefined ? [] : [revision];
}

function findInputs(wanted: Wanted): Pick<Inputs, "patterns" | "files"> {
  const { directory, patterns, layout } = wanted;
  const find = (some: readonly string[]): readonly string[] => {
    try {
      return findFiles(some, directory);
    } catch (error) {
      const reason = error instanceof Error ? error.message : "";
      throw new UnusableInputs(
        `a migrator's files cannot be looked for: ${reason}`,
        "make the folder readable for the user that headgate runs as",
      );
    }
  };
  const known = layout === undefined ? undefined : layouts[layout];
  const project = { find, environment: wanted.environment, read: readerOf(directory) };
  const located =
    layout === undefined || known === undefined
      ? { migrations: patterns, others: [] }
      : locate(layout, known, patterns, project);
  const migrations = find(located.migrations);
  if (migrations.length === 0) throw noneFound(wanted, located);
  return {
    patterns: [...new Set([...located.others, ...located.migrations])],
    files: [...new Set([...find(located.others), ...migrations])].toSorted(),
  };
}

/** What a preset's patterns name, after a look at the tool's own configuration. */
function locate(
  name: string,
  { configuration, locate: ask }: Layout,
  patterns: readonly string[],
  project: ProjectFiles,
): Required<Located> {
  const found = ask?.(project);
  if (typeof found === "string") {
    throw new UnusableInputs(
      `where the migrations of ${name} are is not known: ${found}`,
      "name them with --migrator-inputs, which then has to have the configuration, too",
    );
  }
  const byDefault = patterns.filter((pattern) => !configuration.includes(pattern));
  const own = found?.migrations ?? [];
  return {
    migrations: own.length === 0 ? byDefault : own,
    others: [...configuration, ...(found?.others ?? [])],
  };
}

function noneFound(
  { directory, layout }: Wanted,
  { migrations }: Required<Located>,
): UnusableInputs {
  const whose = layout === undefined ? "the migrator's files" : `the migrations of ${layout}`;
  return new UnusableInputs(
    `none of ${whose} is there: ${migrations.join(", ")} in ${resolve(directory)}`,
    "copy them into the image, or name them with --migrator-inputs and --migrator-dir",
  );
}

/** What may not be read is refused when all inputs are, so that here it counts as not there. */
const readerOf =
  (directory: string): ProjectFiles["read"] =>
  (path) => {
    try {
      return readFileSync(resolve(directory, path), "utf8");
    } catch {
      return undefined;
    }
  };
