import { type Folder, goalOf, halfApplied, planUndo, refuseProblems } from "../apply/undo-plan.ts";
import { readSteps } from "../apply/step-table.ts";
import { undoMigrations } from "../apply/undo.ts";
import { HeadgateError } from "../errors.ts";
import type { Context } from "../look.ts";
import type { Elsewhere } from "../migrations/elsewhere.ts";
import { builtIn, type History, newestOf } from "../migrations/history.ts";
import { listNames, repairHint } from "../migrations/plan.ts";
import { placeFlags } from "../sets.ts";
import { elsewhereOf } from "./elsewhere.ts";
import { type LookWithSteps, lookWithSteps } from "./look-with-steps.ts";
import { markPoint } from "./restore-point.ts";
import { underLock } from "./under-lock.ts";
import { type Locked, takeHistoryLock } from "./with-lock.ts";

type RollbackLook = LookWithSteps & { readonly elsewhere: Elsewhere };

const wrongPlace =
  "nothing is recorded here, but another schema has a history of the same files; name it with --history-table if that one is meant";

/** What was asked for, as it stood at the first look: those started together then undo no more than one of them. */
type Aim = { readonly goal: number; readonly newest: number };

/**
 * Undoes the newest migrations: looks, takes the lock, looks again and undoes what is beyond the goal.
 * @throws HeadgateError usage (64), history_mismatch (65) before anything runs; later as undoMigrations does, and says
 * what stays undone
 */
export async function rollBack(context: Context, folder: Folder): Promise<void> {
  const { config, log, signal } = context;
  const wanted = config.rollback ?? {};
  let aim: Aim | undefined;
  const aimOf = ({ history, steps }: Pick<LookWithSteps, "history" | "steps">): Aim =>
    (aim ??= {
      goal: goalOf(folder, wanted, history, steps),
      newest: newestOf(history),
    });

  await underLock<RollbackLook, Locked>(context, {
    look: async (session, limit) => {
      const look = await lookWithSteps(context, session, limit);
      const { migrations } = folder;
      const elsewhere = await elsewhereOf(context, session, migrations, look.history, limit);
      return { ...look, elsewhere };
    },
    wants: (look) => {
      const { history, steps } = look;
      const { goal, newest } = aimOf(look);
      const { undos, problems, changed } = planUndo(folder, history, steps, goal);
      refuseNewer(wanted.to === undefined ? newest : undefined, history);
      refuseProblems(problems, repairHint(changed, placeFlags(config)));
      if (undos.length > 0 || halfApplied(folder, history, steps, goal).length > 0) return true;
      reportNothing(context, history, look.elsewhere);
      return false;
    },
    take: (session, look) => takeHistoryLock(context, session, look),
    work: async ({ target, history }) => {
      const steps = (await readSteps(target.session, target.historyTable, signal)) ?? [];
      const { goal, newest } = aimOf({ history, steps });
      refuseNewer(wanted.to === undefined ? newest : undefined, history);
      const { undos, problems, changed } = planUndo(folder, history, steps, goal);
      // Only now, because steps that another headgate has under way are no obstacle until it ends.
      refuseProblems(
        [...problems, ...halfApplied(folder, history, steps, goal)],
        repairHint(changed, placeFlags(config)),
      );
      if (undos.length === 0) return reportNothing(context, history);
      const applied = history.rows.filter(({ id }) => id !== builtIn.id).length;
      log.info({ phase: "lock", applied, undo: listNames(undos) }, "locked");
      await markPoint(target.session, log, signal);
      await tellingHowFar(goal, (ended) => undoMigrations(target, undos, ended, signal));
    },
  });
}

function reportNothing({ log }: Context, history: History, elsewhere?: Elsewhere): void {
  const refusal = elsewhere?.refusal;
  if (refusal !== undefined) {
    log.warn({ phase: "rollback", histories: refusal.problems }, wrongPlace);
  }
  log.info({ phase: "rollback", newest: newestOf(history) }, "found nothing to undo");
}

/** What has been applied since the first look is not what was meant to be undone. */
function refuseNewer(newest: number | undefined, history: History): void {
  if (newest === undefined || newestOf(history) <= newest) return;
  throw new HeadgateError(
    "history_mismatch",
    `the newest migration was ${newest}, and is ${newestOf(history)} by now: somebody has migrated meanwhile; nothing was changed`,
    { fix: "look at `headgate status`, then say with --to which migration is to stay" },
  );
}

/** @throws what the work throws, with what stays undone and how to go on */
async function tellingHowFar(
  goal: number,
  work: (ended: (undo: { readonly id: number; readonly name: string }) => void) => Promise<void>,
): Promise<void> {
  const undone: { readonly id: number; readonly name: string }[] = [];
  try {
    await work((undo) => undone.push(undo));
  } catch (error) {
    if (!(error instanceof HeadgateError)) throw error;
    const { code, message, problems, fix, details, cause } = error;
    const before = undone.length === 0 ? [] : [`undone before, and stays so: ${listNames(undone)}`];
    throw new HeadgateError(code, message, {
      problems: [...problems, ...before],
      fix: `${fix}; \`headgate rollback --to ${goal}\` undoes exactly what is left`,
      details,
      cause,
    });
  }
}
