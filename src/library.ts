import { type Command, readArguments } from "./cli.ts";
import { readConfig } from "./config.ts";
import { lookAtSets } from "./gate/look-at-sets.ts";
import { prepareSets } from "./gate/prepare-sets.ts";
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
  const sets = await prepareSets({
    ...{ config, log: silent, signal: new AbortController().signal },
    // What is named there may say where migrations are.
    environment: () => textsOf(env),
    // Nothing is started here, and nothing written.
    redact: (text) => text,
    ...{ print: () => 0, summarize: () => undefined },
  });
  const states = await lookAtSets(sets, { waitTimeoutMs: 0, authGraceMs: 0 });
  const pending = states.flatMap((state) => state.pending);
  const problems = states.flatMap(({ refusal }) => {
    if (refusal === undefined) return [];
    return refusal.problems.length === 0 ? [refusal.message] : refusal.problems;
  });
  return { upToDate: pending.length === 0 && problems.length === 0, pending, problems };
}

const textsOf = (env: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
