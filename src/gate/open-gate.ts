import type { Migration } from "../migrations/folder.ts";
import type { Elsewhere } from "../migrations/elsewhere.ts";
import { type Look, lookAtHistory } from "../migrations/history.ts";
import { listNames, type Plan, planMigrations, refuseUnlessSound } from "../migrations/plan.ts";
import type { Log } from "../report/log.ts";
import { placeFlags } from "../sets.ts";
import { isUnchecked, keepChecked } from "./after-check.ts";
import { applyOrUndo, readUndosOf } from "./apply-or-undo.ts";
import { refuseUnlessSetApproved } from "./approved.ts";
import { elsewhereOf, warnOfUnreadTables } from "./elsewhere.ts";
import { betweenHooks, runAfter } from "./hooks.ts";
import type { PreparedSql } from "./prepare-sets.ts";
import { underLock } from "./under-lock.ts";
import { warnOfApplied } from "./warn-of-files.ts";
import { type Locked, takeHistoryLock } from "./with-lock.ts";

/** What a look shows beside the history: whether an --after command is still owed to an earlier run. */
type CheckedLook = Look & { readonly isUnchecked: boolean; readonly elsewhere: Elsewhere };

/**
 * Brings the database up to the files: waits until it is ready, looks, and only if something is pending takes the
 * lock, looks again and applies.
 * @param began is called when there is something to apply
 */
export async function openGate(
  prepared: PreparedSql,
  began: (what: string) => void,
): Promise<void> {
  const started = performance.now();
  const { context, migrations } = prepared;
  const { config, log } = context;
  let isWarned = false;
  const warnOnce = (plan: Plan, elsewhere: Elsewhere): void => {
    if (isWarned) return;
    isWarned = true;
    warnOfUnreadTables(log, elsewhere);
    warnOfApplied(log, plan);
  };
  await underLock<CheckedLook, Locked>(context, {
    look: async (session, limit) => {
      const look = await lookAtHistory(session, config.historyTable, limit);
      const elsewhere = await elsewhereOf(context, session, migrations, look.history, limit);
      return { ...look, elsewhere, isUnchecked: await isUnchecked(context, session, limit) };
    },
    wants: (look) => {
      const plan = planMigrations(migrations, look.history);
      refuseUnlessSound(plan, config.failWhenAhead, placeFlags(config));
      if (look.elsewhere.refusal !== undefined) throw look.elsewhere.refusal;
      warnOnce(plan, look.elsewhere);
      if (plan.pending.length > 0 || look.isUnchecked) return true;
      reportUpToDate(log, migrations, plan, started);
      return false;
    },
    take: (session, look) => takeHistoryLock(context, session, look),
    work: (locked) => applyUnderLock(prepared, locked, began, started),
  });
}

async function applyUnderLock(
  prepared: PreparedSql,
  { target, history }: Locked,
  began: (what: string) => void,
  started: number,
): Promise<void> {
  const { context, migrations } = prepared;
  const { config, log, signal } = context;
  const plan = planMigrations(migrations, history);
  refuseUnlessSound(plan, config.failWhenAhead, placeFlags(config));
  refuseUnlessSetApproved(prepared, history);
  const { pending } = plan;
  const set = config.sets.find(({ historyTable }) => historyTable === config.historyTable);
  const hookPlan = {
    ...(set?.name === undefined ? {} : { set: set.name }),
    pending: pending.map(({ id, name }) => ({ id, name })),
  };
  if (pending.length > 0) {
    const undos = readUndosOf(context, target, pending);
    log.info({ phase: "lock", applied: plan.applied.length, pending: pending.length }, "locked");
    began(listNames(pending));
    return keepChecked(context, target, () =>
      betweenHooks(context, target, hookPlan, () =>
        applyOrUndo(context, target, pending, history, undos),
      ),
    );
  }
  if (await isUnchecked(context, target.session, signal)) {
    log.info({ phase: "lock" }, "found the --after command of an earlier run still owed");
    await keepChecked(context, target, () => runAfter(context, target, hookPlan));
  }
  reportUpToDate(log, migrations, plan, started);
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
