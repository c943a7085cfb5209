/** The programs that are compared, each started as a person would start it, and the same migrations for all of them. */
import { execFile, spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import type { Postgres } from "../test/helpers/postgres.ts";

export type Program = {
  readonly name: string;
  /** To be run in the folder that `writeMigrations` has filled. */
  readonly command: readonly string[];
  /** The sub-folder with its file format; programs that share one share a history, too. */
  readonly format: "plain" | "dbmate" | "npm";
};

const root = resolve(import.meta.dirname, "..");
const node = process.execPath;
/** Another build than the working tree's can be measured. */
const dist = resolve(process.env["BENCH_DIST"] ?? `${root}/dist`);
const modules = `${root}/bench/node_modules`;
const execute = promisify(execFile);

/** Installs what is compared. @param folder the one with its package.json */
export function installPeers(folder = "bench"): void {
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], {
    cwd: `${root}/${folder}`,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`npm ci failed in ${folder}/`);
}

/** headgate as both files that are built, with the arguments that the name shows. */
export function headgate(title: string, ...args: string[]): Program[] {
  return [
    {
      name: `headgate ${title} (standalone)`,
      command: [`${dist}/headgate`, ...args],
      format: "plain",
    },
    {
      name: `headgate ${title} (bundle on Node)`,
      command: [node, `${dist}/headgate.cjs`, ...args],
      format: "plain",
    },
  ];
}

export function peers(): Program[] {
  // The binary itself: what npm links is a script that starts Node first.
  const [dbmate] = globSync(`${modules}/@dbmate/*/bin/dbmate*`);
  if (dbmate === undefined) throw new Error("dbmate has no binary for this platform");
  const pgMigrate = `${modules}/node-pg-migrate/bin/node-pg-migrate.js`;
  const library = `${root}/bench/postgres-migrations.mjs`;
  return [
    { name: "dbmate", command: [dbmate, "-d", "dbmate", "migrate"], format: "dbmate" },
    { name: "postgres-migrations", command: [node, library, "plain"], format: "plain" },
    {
      name: "node-pg-migrate",
      command: [node, pgMigrate, "up", "-m", "npm", "--verbose=false"],
      format: "npm",
    },
  ];
}

/** psql where there is one. Debian's in PATH is a Perl script that adds 25 ms; the real one is elsewhere. */
export function psql(name: string, ...args: string[]): Program[] {
  const binary =
    globSync("/usr/lib/postgresql/*/bin/psql").at(-1) ??
    ["/usr/local/bin/psql", "/usr/bin/psql"].find((file) => existsSync(file));
  return binary === undefined
    ? []
    : [{ name, command: [binary, "-X", "-q", ...args], format: "plain" }];
}

/** Writes one migration for each text, numbered from 1, in every format. */
export function writeMigrations(folder: string, texts: readonly string[]): void {
  for (const format of ["plain", "dbmate", "npm"]) mkdirSync(`${folder}/${format}`);
  for (const [index, sql] of texts.entries()) {
    const id = index + 1;
    const number = String(id).padStart(4, "0");
    writeFileSync(`${folder}/plain/${id}_m${id}.sql`, sql);
    writeFileSync(
      `${folder}/dbmate/${number}_m${id}.sql`,
      `-- migrate:up\n${sql}\n-- migrate:down\n`,
    );
    writeFileSync(`${folder}/npm/${number}_m${id}.sql`, sql);
  }
}

/**
 * Runs a program to its end.
 * @param port the server's own, or that of a proxy in front of it
 * @returns milliseconds from spawn to exit, with whatever the launcher costs, which is the same for all
 */
export async function timeRun(
  { name, command, format }: Program,
  folder: string,
  server: Postgres,
  database: string = format,
  port: number = server.port,
): Promise<number> {
  const env = {
    PATH: process.env["PATH"] ?? "",
    DATABASE_URL: server.url(database, { port, params: { sslmode: "disable" } }),
    PGHOST: server.host,
    PGPORT: String(port),
    PGDATABASE: database,
    PGUSER: server.user,
    PGPASSWORD: server.password,
    PGSSLMODE: "disable",
    DBMATE_NO_DUMP_SCHEMA: "true",
  };
  return (await timeCommand(name, command, folder, env)).ms;
}

/** Runs a command to its end: milliseconds, and what it wrote to stderr. */
export async function timeCommand(
  name: string,
  [file = "", ...args]: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<{ ms: number; stderr: string }> {
  const started = performance.now();
  const { stderr } = await execute(file, args, { cwd, maxBuffer: 2 ** 28, env }).catch(
    (error: Error) => {
      throw new Error(`${name} failed: ${error.message}`, { cause: error });
    },
  );
  return { ms: performance.now() - started, stderr };
}
