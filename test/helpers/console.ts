import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import type { Artifact } from "./artifacts.ts";
import { temporaryFolder } from "./cleanup.ts";
import { addMigrations } from "./migrations.ts";
import { createDatabase, type Postgres } from "./postgres.ts";
import { undoable } from "./undo.ts";

/** A command as a page shows it, and all that it prints. */
export interface Shown {
  command: string;
  output: string;
}

/** What a page does, in order: what it shows, and what it has done beforehand without showing it. */
export type Act = Shown | { given: string };

/** Reads the ```console blocks of a page, and its `<!-- given: … -->` comments. */
export function readActs(page: string): Act[] {
  const found = page.matchAll(/<!-- given: ([^]*?) -->|^```console\n([^]*?)^```$/gm);
  return [...found].flatMap(([, given, block]): Act[] => {
    if (given !== undefined) return [{ given }];
    return (block ?? "")
      .split(/^\$ /m)
      .slice(1)
      .map((text) => {
        const end = text.indexOf("\n");
        return { command: text.slice(0, end), output: text.slice(end + 1) };
      });
  });
}

/** A shell in a folder with three migrations and their undo files, and an empty database. */
export async function openConsole(server: Postgres, artifact: Artifact) {
  const database = await createDatabase(server, "app");
  const folder = temporaryFolder("headgate-docs-");
  addMigrations(join(folder, "migrations"), undoable);
  const bin = temporaryFolder("headgate-docs-bin-");
  mkdirSync(bin, { recursive: true });
  const program = (name: string, words: string[]): void => {
    const quoted = words.map((word) => `'${word}'`).join(" ");
    writeFileSync(join(bin, name), `#!/bin/sh\nexec ${quoted} "$@"\n`);
    chmodSync(join(bin, name), 0o755);
  };
  program("headgate", artifact.command);
  program("sql", [process.execPath, fileURLToPath(new URL("sql.ts", import.meta.url))]);
  const env = {
    PATH: `${bin}:${process.env["PATH"] ?? ""}:${dirname(process.execPath)}`,
    DATABASE_URL: server.url(database),
    HEADGATE_LOG_FORMAT: "text",
    HEADGATE_TERMINATION_LOG: "/dev/null",
  };
  let last = 0;
  /** Runs one line as an interactive shell would; gives what it printed on both streams. */
  return async (line: string): Promise<string> => {
    const { all, exitCode } = await execa(
      "bash",
      ["-c", `(exit ${last}); ${line}`],
      // In the order in which it was written.
      { cwd: folder, env, extendEnv: false, stdin: "ignore", all: true, reject: false },
    );
    last = exitCode ?? 1;
    return all === "" ? "" : `${all}\n`;
  };
}

/** Takes out what is different at each run, and the log's first line, which tells of the machine. */
export function mask(output: string): string {
  return output
    .replace(/ +$/gm, "")
    .replace(/^.* headgate: configured .*\n/gm, "")
    .replace(/^\d\d:\d\d:\d\d\.\d{3}/gm, "12:00:00.000")
    .replace(/\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d/g, "2026-11-21$112:00:00")
    .replace(/\bms=\d+/g, "ms=12")
    .replace(/\bwal=[\dA-F]+\/[\dA-F]+/g, "wal=0/1B80C60")
    .replace(/\bpid \d+/g, "pid 4711")
    .replace(/\bwithin \d+ ms/g, "within 12 ms")
    .replace(/headgate\/\S+ \S+ /g, "headgate/0.1.0 api-1 ")
    .replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:5432");
}
