import { join } from "node:path";
import { execa } from "execa";
import { eventually } from "./eventually.ts";
import type { Postgres } from "./postgres.ts";

const ROOT = join(import.meta.dirname, "../..");

const PROGRAM = `
  const { migrate } = require("postgres-migrations");
  const { config, folder } = JSON.parse(process.argv[1]);
  migrate(config, folder, { logger: (line) => console.error(line) })
    .then((applied) => console.log(JSON.stringify(applied.map(({ fileName }) => fileName))));`;

export interface PackageRun {
  /** Resolves with the names of the files it applied; rejects with what it wrote when it failed. */
  readonly applied: Promise<string[]>;
  waitForLog(text: string): Promise<void>;
}

/** Starts a process that migrates with the npm package postgres-migrations, which knows nothing of headgate. */
export function startPackage(server: Postgres, database: string, folder: string): PackageRun {
  const { host, port, user, password } = server;
  const config = { host, port, user, password, database };
  const child = execa(process.execPath, ["-e", PROGRAM, JSON.stringify({ config, folder })], {
    cwd: ROOT,
    timeout: 60_000,
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const applied = child.then(({ stdout }) => JSON.parse(stdout) as string[]);
  // Whoever awaits the result sees its error; a test that failed before must not end in this one.
  applied.catch(() => {});
  return {
    applied,
    waitForLog: async (text) => {
      await eventually(`postgres-migrations says "${text}"`, () => log.includes(text));
    },
  };
}
