import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { temporaryFolder } from "./cleanup.ts";
import { addMigrations, type MigrationFiles } from "./migrations.ts";

/** A git repository in a temporary folder. */
export type Repository = {
  readonly path: string;
  /** Runs git in it; gives what it prints. */
  readonly git: (...args: string[]) => string;
  /** Writes files, removes those that are null, and commits all of it. */
  readonly commit: (files: Record<string, MigrationFiles[string] | null>) => void;
};

/** Makes an empty repository whose branch is called main. */
export function makeRepository(): Repository {
  const path = temporaryFolder("headgate-repository-");
  const { PATH = "" } = process.env;
  const who = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
  const git = (...args: string[]): string =>
    execFileSync("git", [...who, "-c", "protocol.file.allow=always", ...args], {
      cwd: path,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH, HOME: path, GIT_CONFIG_NOSYSTEM: "1" },
    });
  git("init", "--quiet", "--initial-branch=main");
  return {
    path,
    git,
    commit: (files) => {
      for (const [name, content] of Object.entries(files)) {
        if (content === null) rmSync(`${path}/${name}`);
        else addMigrations(path, { [name]: content });
      }
      git("add", "--all");
      git("commit", "--quiet", "--allow-empty", "--message", "change");
    },
  };
}
