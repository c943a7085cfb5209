import { type Command, readArguments } from "./cli.ts";
import { readConfig } from "./config.ts";
import { lookWhenReady } from "./look.ts";
import { readFolder } from "./migrations/folder.ts";
import { planMigrations, planProblems } from "./migrations/plan.ts";
import type { Log } from "./report/log.ts";

/** What `checkMigrations` finds; declared for users in library.d.cts. */
type State = {
  readonly upToDate: boolean;
  readonly pending: readonly string[];
  readonly problems: readonly string[];
};

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * What `headgate verify` knows, for a route such as /health: one connection, one query, no lock.
 * @param env where the database and the folder are told, as for the program: `process.env`
 * @param options flags by name: `{ migrations: "db/migrations" }`
 * @throws HeadgateError with `code` and `exitCode`, when the configuration is wrong or the database is not ready
 */
export async function checkMigrations(
  env: Readonly<Record<string, string | undefined>>,
  options: Readonly<Record<string, string>> = {},
): Promise<State> {
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const command: Command = readArguments(["verify", ...flags]);
  const config = readConfig(command, env, new Set());
  const migrations = await readFolder(config.migrationsDir);
  const context = { config, log: silent, signal: new AbortController().signal };
  const once = { mustWrite: false, waitTimeoutMs: 0, authGraceMs: 0 };
  const { session, answer } = await lookWhenReady(context, once);
  session.end();
  const plan = planMigrations(migrations, answer.history);
  const problems = planProblems(plan, config.failWhenAhead);
  const pending = plan.pending.map(({ fileName }) => fileName);
  return { upToDate: pending.length === 0 && problems.length === 0, pending, problems };
}
