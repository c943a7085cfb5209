import { openGates } from "../gate/open-gates.ts";
import { prepareSets, resolvePrograms } from "../gate/prepare-sets.ts";
import type { Context } from "../look.ts";
import { keepStderrBlocking, readBlockingFlags } from "../handover/blocking.ts";
import { serverEnvironment } from "../handover/environment.ts";
import { handOver, refuseWithoutExec } from "../handover/hand-over.ts";
import { wantedSoftLimit } from "../handover/open-files.ts";
import { resolveServer } from "../handover/resolve.ts";
import { waitForDependencies } from "../readiness/dependencies.ts";

/** `headgate -- SERVER…`: wait, migrate if anything is pending, become the server. */
export async function run(context: Context, env: NodeJS.ProcessEnv): Promise<never> {
  const { config, log, signal } = context;
  const blockingFlags = readBlockingFlags();
  keepStderrBlocking();
  refuseWithoutExec();
  const environment = serverEnvironment(config.unsetEnv, env);
  const server = resolveServer(config.server, environment["PATH"]);
  const softLimit = wantedSoftLimit(config.nofile, environment["PATH"]);
  resolvePrograms(context);
  const sets = await prepareSets(context);

  await waitForDependencies(config.waitFor, config.waitForTimeoutMs, signal, log);
  await openGates(context, sets);

  context.summarize(`became ${server.file}`);
  return handOver(
    { server, environment, blockingFlags, ...(softLimit === undefined ? {} : { softLimit }) },
    log,
    signal,
  );
}
