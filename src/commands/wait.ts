import { hostname } from "node:os";
import type { Context } from "../look.ts";
import { nameApplication } from "../postgres/application-name.ts";
import { askFacts, mustBeWritable } from "../postgres/facts.ts";
import { waitForDependencies } from "../readiness/dependencies.ts";
import { waitUntilReady } from "../readiness/wait-until-ready.ts";

/** `headgate wait`: wait for the dependencies and for Postgres, exit. */
export async function wait({ config, log, signal }: Context): Promise<number> {
  await waitForDependencies(config.waitFor, config.waitForTimeoutMs, signal, log);
  const { session } = await waitUntilReady(
    {
      settings: () => config.rereadDatabase().settings,
      applicationName: nameApplication(hostname()),
      waitTimeoutMs: config.waitTimeoutMs,
      connectTimeoutMs: config.connectTimeoutMs,
      authGraceMs: config.authGraceMs,
      log,
      ask: async (candidate, limit) => mustBeWritable(await askFacts(candidate, limit)),
    },
    signal,
  );
  session.end();
  log.info({ phase: "wait", ms: Math.round(performance.now()) }, "found Postgres ready");
  return 0;
}
