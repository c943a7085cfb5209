import { hostname } from "node:os";
import { HeadgateError } from "../errors.ts";
import type { Context } from "../look.ts";
import { createNotifier } from "../report/notify.ts";
import { refuseUnlessApproved } from "./approved.ts";
import { migrateExternally } from "./migrate-externally.ts";
import { openGate } from "./open-gate.ts";
import { warnOfUnread } from "./warn-of-files.ts";
import { isSql, type Prepared } from "./prepare-sets.ts";

/**
 * Brings the database up to the files of every set, in their order, and tells the webhook what is done.
 * @throws HeadgateError of the first set that fails; those behind it are left alone
 */
export async function openGates(context: Context, sets: readonly Prepared[]): Promise<void> {
  const { config, signal } = context;
  const notifier = createNotifier(config.notifyUrl, context.redact, context.log);
  const { database } = config.database.settings;
  const tell = (text: string): void => notifier.tell(`headgate on ${hostname()}: ${text}`);
  const started = performance.now();
  for (const prepared of sets) if (isSql(prepared)) warnOfUnread(prepared);
  let isBegun = false;
  try {
    await refuseUnlessApproved(sets);
    for (const prepared of sets) {
      const name = prepared.set.name === undefined ? "" : `${prepared.set.name}: `;
      const began = (what: string): void => {
        isBegun = true;
        tell(`migrating ${database}: ${name}${what}`);
      };
      if (isSql(prepared)) await openGate(prepared, began);
      else await migrateExternally(prepared, began);
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (isBegun) tell(`migrated ${database} in ${seconds} s`);
  } catch (error) {
    // Whoever stopped it knows, and the promised seconds until the exit are not for a webhook.
    if (signal.aborted) throw error;
    tell(`failed to migrate ${database}: ${inWords(error)}`);
    await notifier.settle();
    throw error;
  }
  await notifier.settle();
}

/** All that a person who has no log at hand can be told. */
function inWords(error: unknown): string {
  const problems = error instanceof HeadgateError ? error.problems : [];
  return [error instanceof Error ? error.message : "", ...problems].join("; ");
}
