import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { execa } from "execa";
import { presets } from "../../src/migrator/presets.ts";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { requireOrSkip } from "../helpers/conditions.ts";
import type { Postgres } from "../helpers/postgres.ts";

/** One migration, to be written down in a tool's own language. */
export interface Step {
  readonly up: readonly string[];
  readonly down?: string;
  /** False for what cannot be part of one. */
  readonly inTransaction?: boolean;
}

/** A migrator that has a preset. */
export interface Tool {
  readonly preset: string;
  /** What Debian has of it, and a shell's line that tries it; what npm has is always there. */
  readonly needs?: { readonly packages: string; readonly check: string };
  /** Makes an empty project in the layout that the tool itself proposes. */
  init(folder: string): void;
  /** Writes the migration with this number, counted from 1. */
  write(folder: string, number: number, step: Step): void;
  /** The command that takes back the newest migration, if it has one. */
  readonly down?: readonly string[];
  /** Whether it refuses to run where the database has a migration that it has no file of. */
  readonly refusesAhead: boolean;
}

export const modules = join(import.meta.dirname, "node_modules");

/** For what an official image of Python calls `python`, and Debian does not. */
const binaries = temporaryFolder("headgate-tools-bin-");
symlinkSync("/usr/bin/python3", join(binaries, "python"));
export const toolPath = [
  binaries,
  join(modules, `@dbmate/${process.platform}-${process.arch}/bin`),
  process.env["PATH"] ?? "",
].join(":");

export const isInstalled = ({ needs }: Tool): boolean =>
  needs === undefined || spawnSync("sh", ["-c", needs.check]).status === 0;

/** Skips the test, or fails it in CI, where the tool is not installed. */
export const requireTool = (t: TestContext, tool: Tool): boolean =>
  requireOrSkip(t, isInstalled(tool), `not installed: ${tool.needs?.packages}`);

/** A tool's project on disk, as it would be copied into an image. */
export interface Project {
  readonly tool: Tool;
  readonly folder: string;
  /** Writes the next migration. */
  add(step: Step): void;
  /** The image as it is now, to be booted when there is a newer one. */
  copy(): Project;
}

export function makeProject(tool: Tool, steps: readonly Step[]): Project {
  const folder = temporaryFolder(`headgate-${tool.preset}-`);
  symlinkSync(modules, join(folder, "node_modules"));
  tool.init(folder);
  const project = open(tool, folder, 0);
  for (const step of steps) project.add(step);
  return project;
}

function open(tool: Tool, folder: string, written: number): Project {
  let last = written;
  return {
    ...{ tool, folder },
    add: (step) => tool.write(folder, ++last, step),
    copy: () => {
      const other = temporaryFolder(`headgate-${tool.preset}-`);
      cpSync(folder, other, { recursive: true, verbatimSymlinks: true });
      return open(tool, other, last);
    },
  };
}

/** What the tools need to reach a database, each in its own way. */
export const environmentOf = (server: Postgres, database: string): Record<string, string> => ({
  PATH: toolPath,
  DATABASE_URL: server.url(database, { scheme: "postgresql", params: { sslmode: "disable" } }),
  PGHOST: server.host,
  PGPORT: String(server.port),
  PGDATABASE: database,
  PGUSER: server.user,
  PGPASSWORD: server.password,
  SQITCH_FULLNAME: "Test",
  SQITCH_EMAIL: "test@example.org",
  PYTHONDONTWRITEBYTECODE: "1",
});

/** Runs a tool's command in its project, as a person would without headgate. */
export function runBare(
  command: readonly string[],
  { folder }: Project,
  env: Record<string, string>,
): Promise<{ exitCode?: number; all: string }> {
  const [file = "", ...args] = command;
  return execa(file, args, { cwd: folder, env, reject: false, all: true, stdin: "ignore" });
}

/** The migrations that were applied, in their order; of one that was applied twice there are two. */
export async function appliedSteps(server: Postgres, database: string): Promise<number[]> {
  const sql = "SELECT step FROM applied ORDER BY at";
  return (await server.psql<{ step: number }>(database, sql)).map(({ step }) => step);
}

export const commandOf = ({ preset }: Tool): readonly string[] => presets[preset]?.command ?? [];

/** Writes a file, and the folders above it. */
export function write(folder: string, name: string, text: string): void {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** `0007` */
export const padded = (number: number): string => String(number).padStart(4, "0");

/** Five migrations, of which one builds an index on rows that are there, and each row of `applied` is one application. */
export const fiveSteps: readonly Step[] = [
  {
    up: [
      `CREATE TABLE applied (step integer, at timestamptz DEFAULT clock_timestamp(),
        by text DEFAULT current_setting('application_name'),
        looks_after text DEFAULT current_setting('client_connection_check_interval'))`,
      "CREATE TABLE things (id integer, name text)",
      "INSERT INTO applied VALUES (1)",
    ],
  },
  {
    up: [
      "INSERT INTO things SELECT n, 'thing ' || n FROM generate_series(1, 20000) AS n",
      "INSERT INTO applied VALUES (2)",
    ],
  },
  { up: ["CREATE INDEX things_name ON things (name)", "INSERT INTO applied VALUES (3)"] },
  { up: ["ALTER TABLE things ADD COLUMN note text", "INSERT INTO applied VALUES (4)"] },
  { up: ["UPDATE things SET note = name WHERE id % 2 = 0", "INSERT INTO applied VALUES (5)"] },
];

/** The same, but the index is built beside the traffic, as people do it. */
export const fiveStepsConcurrently: readonly Step[] = fiveSteps.map((step, index) =>
  index === 2
    ? { up: ["CREATE INDEX CONCURRENTLY things_name ON things (name)"], inTransaction: false }
    : step,
);

/** The newest migration of a later image, which can be taken back. */
export const sixthStep: Step = {
  up: ["INSERT INTO applied VALUES (6)"],
  down: "INSERT INTO applied VALUES (-6)",
};
