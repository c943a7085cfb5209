import { openGate } from "../gate/open-gate.ts";
import type { Context } from "../look.ts";
import { readFolder } from "../migrations/folder.ts";
import { waitForDependencies } from "../readiness/dependencies.ts";

/** `headgate migrate`: wait, migrate if anything is pending, exit. */
export async function migrate(context: Context): Promise<number> {
  const { config, log, signal } = context;
  const migrations = await readFolder(config.migrationsDir);
  await waitForDependencies(config.waitFor, config.waitForTimeoutMs, signal, log);
  await openGate(context, migrations);
  return 0;
}
