import { hostname } from "node:os";
import type { Config } from "./config.ts";
import { type Look, lookAtHistory } from "./migrations/history.ts";
import { nameApplication } from "./postgres/application-name.ts";
import { mustBeWritable } from "./postgres/facts.ts";
import type { Session } from "./postgres/session.ts";
import { createDatabase } from "./readiness/create-database.ts";
import { waitUntilReady } from "./readiness/wait-until-ready.ts";
import type { Log } from "./report/log.ts";

/** What every command works with. */
export type Context = { readonly config: Config; readonly log: Log; readonly signal: AbortSignal };

/** Opens a session as soon as the database is ready, with the history already read. */
export function lookWhenReady(
  { config, log, signal }: Context,
  need: { mustWrite: boolean; waitTimeoutMs?: number; authGraceMs?: number },
): Promise<{ session: Session; answer: Look }> {
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
        const look = await lookAtHistory(session, config.historyTable, limit);
        if (need.mustWrite) mustBeWritable(look.facts);
        return look;
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
