import { applyPending } from "../apply/apply-pending.ts";
import type { Context } from "../look.ts";
import type { Migration } from "../migrations/folder.ts";
import { listNames, type Plan, planMigrations, refuseUnlessSound } from "../migrations/plan.ts";
import type { Log } from "../report/log.ts";
import type { Locked } from "./take-lock.ts";
import { withLock } from "./with-lock.ts";

/**
 * Brings the database up to the files: waits until it is ready, looks, and only if something is pending takes the
 * lock, looks again and applies.
 */
export async function openGate(context: Context, migrations: readonly Migration[]): Promise<void> {
  const started = performance.now();
  const { config, log } = context;
  await withLock(
    context,
    ({ history }) => {
      const plan = planMigrations(migrations, history);
      refuseUnlessSound(plan, config.failWhenAhead);
      if (plan.pending.length > 0) return true;
      reportUpToDate(log, migrations, plan, started);
      return false;
    },
    (locked) => applyUnderLock(context, locked, migrations, started),
  );
}

async function applyUnderLock(
  { config, log, signal }: Context,
  { target, history }: Locked,
  migrations: readonly Migration[],
  started: number,
): Promise<void> {
  const plan = planMigrations(migrations, history);
  refuseUnlessSound(plan, config.failWhenAhead);
  if (plan.pending.length === 0) return reportUpToDate(log, migrations, plan, started);
  log.info({ phase: "lock", pending: plan.pending.length }, "locked");
  await applyPending(target, plan.pending, history, signal);
}

function reportUpToDate(
  log: Log,
  migrations: readonly Migration[],
  plan: Plan,
  started: number,
): void {
  if (migrations.length === 0) log.warn({ phase: "look" }, "found no migrations in the folder");
  if (plan.ahead.length > 0) {
    log.warn(
      { phase: "look", ahead: listNames(plan.ahead) },
      "found the database ahead of this image: it has migrations this image does not know; proceeding",
    );
  }
  const ms = Math.round(performance.now() - started);
  log.info({ phase: "look", applied: plan.applied.length, ms }, "found nothing pending");
}
