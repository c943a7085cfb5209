import { openGates } from "../gate/open-gates.ts";
import { prepareSets, resolvePrograms } from "../gate/prepare-sets.ts";
import type { Context } from "../look.ts";
import { waitForDependencies } from "../readiness/dependencies.ts";

/** `headgate migrate`: wait, migrate if anything is pending, exit. */
export async function migrate(context: Context): Promise<number> {
  const { config, log, signal } = context;
  resolvePrograms(context);
  const sets = await prepareSets(context);
  await waitForDependencies(config.waitFor, config.waitForTimeoutMs, signal, log);
  await openGates(context, sets);
  return 0;
}
