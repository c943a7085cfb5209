import { repairRows } from "../apply/repair-rows.ts";
import { readSteps } from "../apply/step-table.ts";
import { HeadgateError } from "../errors.ts";
import { askWhenReady, type Context } from "../look.ts";
import type { Migration } from "../migrations/folder.ts";
import { listNames } from "../migrations/plan.ts";
import type { RepairRequest } from "../requests/repair.ts";
import { type LookWithSteps, lookWithSteps } from "./look-with-steps.ts";
import { planRepair, type RepairLine, type RepairPlan } from "./plan-repair.ts";
import { underLock } from "./under-lock.ts";
import { type Locked, takeHistoryLock } from "./with-lock.ts";

/**
 * Finds out what is to become of rows of the history, and changes them if that was confirmed: under the lock, in one
 * transaction.
 * @throws HeadgateError usage (64) for an unknown number; history_mismatch (65) with every reason not to
 */
export async function repairHistory(
  context: Context,
  request: RepairRequest,
  migrations: readonly Migration[],
): Promise<readonly RepairLine[]> {
  const look = (session: Parameters<typeof lookWithSteps>[1], limit: AbortSignal) =>
    lookWithSteps(context, session, limit);
  if (!request.isConfirmed) {
    const { session, answer } = await askWhenReady(context, { mustWrite: false }, look);
    session.end();
    return judge(request, migrations, answer, true).lines;
  }
  let lines: readonly RepairLine[] = [];
  await underLock<LookWithSteps, Locked>(context, {
    look,
    wants: (seen) => {
      const plan = judge(request, migrations, seen, false);
      ({ lines } = plan);
      return plan.begun.length > 0 || lines.some(({ change }) => change !== undefined);
    },
    take: (session, seen) => takeHistoryLock(context, session, seen),
    work: async ({ target, history }) => {
      const { log, signal } = context;
      const started = performance.now();
      const steps = (await readSteps(target.session, target.historyTable, signal)) ?? [];
      ({ lines } = judge(request, migrations, { history, steps }, true));
      const changes = lines.flatMap(({ change }) => change ?? []);
      // Another one may have been faster.
      if (changes.length === 0) return;
      await repairRows(target, changes, request.reason, signal);
      const ms = Math.round(performance.now() - started);
      const done = listNames(lines.filter(({ change }) => change !== undefined));
      log.info({ phase: "repair", [past[request.change]]: done, ms }, "repaired");
    },
  });
  return lines;
}

/** What is said of a change that is written. */
export const past = { accept: "accepted", forget: "forgotten" } as const;

/** @param minds whether unfinished steps are a reason not to: not before the lock, where another headgate may be at them */
function judge(
  request: RepairRequest,
  migrations: readonly Migration[],
  { history, steps }: Pick<LookWithSteps, "history" | "steps">,
  minds: boolean,
): Pick<RepairPlan, "lines" | "begun"> {
  if (!history.exists) {
    throw new HeadgateError("history_mismatch", "there is no history here; nothing was changed", {
      fix: "look at `headgate status`: is it the right database, and the right --history-table?",
    });
  }
  const { lines, unknown, problems, begun } = planRepair(request, migrations, history, steps);
  if (unknown.length > 0) {
    throw new HeadgateError("usage", `${unknown.join("; ")}; nothing was changed`, {
      fix: "look at `headgate status` for the numbers",
    });
  }
  const all = [...problems, ...(minds ? begun : [])];
  if (all.length === 0) return { lines, begun };
  throw new HeadgateError("history_mismatch", "this cannot be repaired; nothing was changed", {
    problems: all,
    fix: "settle what is named, then repair",
  });
}
