import { hostname } from "node:os";
import type { Config } from "./config.ts";
import { type Look, lookAtHistory } from "./migrations/history.ts";
import { nameApplication } from "./postgres/application-name.ts";
import { askFacts, mustBeWritable, type SessionFacts } from "./postgres/facts.ts";
import { mustHaveSearchPath } from "./postgres/search-path.ts";
import type { Session } from "./postgres/session.ts";
import { createDatabase } from "./readiness/create-database.ts";
import { waitUntilReady } from "./readiness/wait-until-ready.ts";
import type { Log } from "./report/log.ts";

/** What every command works with. */
export type Context = {
  readonly config: Config;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** The container's environment, to the byte. */
  readonly environment: () => Readonly<Record<string, string>>;
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string;
  /**
   * Prints the command's result to stdout.
   * @param markdown the same for --summary, where it is more than the text
   * @returns 0
   */
  readonly print: (text: string, markdown?: string) => number;
  /** Writes the summary, if one is wanted. @param ending how the command ended */
  readonly summarize: (ending: string) => void;
};

/** What a look needs of the server, and how long it may take. */
export type Need = { mustWrite: boolean; waitTimeoutMs?: number; authGraceMs?: number };

/** Opens a session as soon as the database is ready, with the history already read. */
export function lookWhenReady(
  context: Context,
  need: Need,
): Promise<{ session: Session; answer: Look }> {
  return askWhenReady(context, need, (session, limit) =>
    lookAtHistory(session, context.config.historyTable, limit),
  );
}

/** Opens a session as soon as the database is ready. */
export async function connectWhenReady(context: Context, need: Need): Promise<Session> {
  const { session } = await askWhenReady(context, need, async (asked, limit) => ({
    facts: await askFacts(asked, limit),
  }));
  return session;
}

/** Opens a session as soon as the database is ready, with a first question already answered. */
export function askWhenReady<Answer extends { readonly facts: SessionFacts }>(
  { config, log, signal }: Context,
  need: Need,
  ask: (session: Session, signal: AbortSignal) => Promise<Answer>,
): Promise<{ session: Session; answer: Answer }> {
  const applicationName = nameApplication(hostname());
  const settings = (): Config["database"]["settings"] => config.rereadDatabase().settings;
  return waitUntilReady(
    {
      settings,
      applicationName,
      waitTimeoutMs: need.waitTimeoutMs ?? config.waitTimeoutMs,
      connectTimeoutMs: config.connectTimeoutMs,
      authGraceMs: need.authGraceMs ?? config.authGraceMs,
      log,
      ask: async (session, limit) => {
        const answer = await ask(session, limit);
        const { searchPath } = config.database.settings;
        await mustHaveSearchPath(session, searchPath, answer.facts, limit);
        if (need.mustWrite) mustBeWritable(answer.facts);
        return answer;
      },
      ...(config.createDatabase
        ? {
            createDatabase: (limit: AbortSignal) =>
              createDatabase(
                settings(),
                applicationName,
                { eachMs: config.connectTimeoutMs, allMs: Infinity },
                limit,
              ),
          }
        : {}),
    },
    signal,
  );
}
