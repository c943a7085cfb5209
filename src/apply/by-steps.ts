import { HeadgateError } from "../errors.ts";
import type { Migration } from "../migrations/folder.ts";
import { isServerError } from "../postgres/sqlstate.ts";
import { readIndexBuild } from "../sql/index-build.ts";
import { type Manner, mannerOf } from "../sql/manner.ts";
import type { Statement } from "../sql/statements.ts";
import { withPatience } from "../table-locks/patience.ts";
import { transact } from "./in-transaction.ts";
import { findStrongLocks, lockManners, restoreSession, undoSession } from "./manners.ts";
import { checkIndexes, clearInvalid, clearReindexed } from "./index-builds.ts";
import { withProgress } from "./progress.ts";
import { noteOf } from "./record.ts";
import { findResume } from "./resume.ts";
import type { Part } from "./sent.ts";
import { reindexed } from "./settle.ts";
import { explaining, explainSqlError } from "./sql-failure.ts";
import {
  createStepTable,
  forgetSteps,
  markEnded,
  markStarted,
  msOfSteps,
  type Step,
  type StepRow,
  stepsKey,
  toSteps,
} from "./step-table.ts";
import { checkpoint, partBefore, prepare, remember, type Stepwise } from "./stepwise.ts";
import type { Target } from "./target.ts";
import { settleUnfinished } from "./unfinished.ts";

/**
 * Applies a file that cannot run in a transaction, one statement after the other, and notes in a table when each was
 * started and done. What a run before has done is not done again.
 * @param rows what is known of the steps of unfinished files; undefined where there is no table for it yet
 * @throws HeadgateError sql_failed (1); history_mismatch (65) for a step in doubt, or one that was edited when done
 */
export async function applyBySteps(
  target: Target,
  migration: Migration,
  statements: readonly Statement[],
  rows: readonly StepRow[] | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { session, log } = target;
  const steps = toSteps(migration.sql, statements);
  const resume = findResume(migration, steps, rows ?? []);
  if (resume.problem !== undefined) {
    throw new HeadgateError("history_mismatch", resume.problem, {
      fix: "restore the file up to the steps that are done; what follows them may be changed",
    });
  }
  const isUndo = migration.undoes !== undefined;
  // The row that an undo removes goes before its first step.
  const note = noteOf(target, migration, isUndo ? "null" : msOfSteps(target, migration.id));
  const removal = isUndo ? note : undefined;
  const file: Stepwise = { target, migration, statements, steps, settings: [], removal, signal };
  const key = stepsKey(migration);
  if (rows === undefined) await checkpoint(file, createStepTable(target.historyTable));
  else await checkpoint(file, forgetSteps(target, key, resume.done + 1));
  let done = resume.done;
  if (done > 0)
    log.info(
      { phase: "migrate", migration: migration.fileName, done, of: steps.length },
      "resumed",
    );

  // Known before the steps that are done already, because they hold for those that are not.
  for (const step of steps.slice(0, done)) remember(file, step);
  let instead: string | undefined;
  if (resume.unfinished !== undefined) {
    const settled = await settleUnfinished(file, resume.unfinished);
    if (settled.isDone) remember(file, steps[done++] as Step);
    instead = settled.instead;
  }
  for (const step of steps.slice(done)) {
    await start(file, step);
    await runStep(file, step, instead);
    instead = undefined;
    remember(file, step);
  }

  await prepare(file);
  const builds = steps.flatMap((step) => readIndexBuild(migration.sql, step) ?? []);
  await checkIndexes(session, builds, migration.path, log, signal);
  const ending = [isUndo ? file.removal : note, forgetSteps(target, key), "commit"];
  await checkpoint(
    file,
    `${undoSession(target, migration.sql).text}; begin; ${ending.filter(Boolean).join("; ")}`,
    "at the end, when it was recorded",
    "every step of the file is done, but the file is not recorded",
  );
}

/** Notes that a step is started; from then on it is not known any more that nothing has taken effect. */
async function start(file: Stepwise, step: Step): Promise<void> {
  const { target, migration, removal } = file;
  const mark = markStarted(target, stepsKey(migration), step);
  const manner = mannerOf(migration.sql, step);
  if (removal === undefined || manner === "inside" || manner === "setting") {
    return checkpoint(file, mark);
  }
  await checkpoint(file, `begin; ${removal}; ${mark}; commit`);
  file.removal = undefined;
}

async function runStep(file: Stepwise, step: Step, instead: string | undefined): Promise<void> {
  const { target, migration, statements, steps, signal } = file;
  const { session } = target;
  const started = performance.now();
  const manner = mannerOf(migration.sql, step);
  const subject = `${migration.path} step ${step.number} of ${steps.length}`;
  const key = stepsKey(migration);
  const done = markEnded(target, key, step.number, "done");
  const state = `${step.number - 1} of ${steps.length} steps of the file are done, this one is not; the next run goes on with it`;
  try {
    if (manner === "inside") {
      const { start: from, end: to } = step;
      const before = partBefore(file);
      const work = {
        statements,
        from,
        to,
        record: done,
        subject,
        state,
        ...(before === undefined ? {} : { before }),
      };
      await transact(target, migration, work, signal);
      file.removal = undefined;
    } else {
      await runAlone(file, step, manner, instead, subject, state);
    }
  } catch (error) {
    // When the server has said so, it is not in doubt. Without a connection it stays so.
    if (session.failed() || (error instanceof HeadgateError && isServerError(error.cause))) {
      const failed = markEnded(target, key, step.number, "failed");
      await session.afterwards(`${restoreSession(target)}; ${failed}`);
    }
    throw error;
  }
  if (manner !== "inside") await checkpoint(file, done);
  const ms = Math.round(performance.now() - started);
  const facts = { migration: migration.fileName, step: step.number, of: steps.length, ms };
  target.log.info({ phase: "migrate", ...facts }, "did a step");
}

/** One statement as one query, because some refuse to be beside another. */
async function runAlone(
  file: Stepwise,
  step: Step,
  manner: Manner,
  instead: string | undefined,
  subject: string,
  state: string,
): Promise<void> {
  const { target, migration, statements, signal } = file;
  const { session, log } = target;
  const { sql } = migration;
  const build = readIndexBuild(sql, step);
  const leftovers = reindexed(step.text);
  const { wanted, strongAt } = findStrongLocks(sql, [step], step.start, step.end);
  const parts: Part[] = [{ from: step.start, to: step.end }];

  await withPatience(
    session,
    subject,
    wanted,
    lockManners(target, migration),
    log,
    signal,
    async (lockTimeoutMs) => {
      // What waits for all old transactions to end must not be cut short: a concurrent index build would leave its
      // index INVALID. Nobody waits behind it.
      const isConcurrent = manner === "outside" && strongAt === undefined;
      const limits = {
        ...(isConcurrent ? { statement_timeout: "0" } : {}),
        lock_timeout:
          isConcurrent || strongAt === undefined || !Number.isFinite(lockTimeoutMs)
            ? "0"
            : String(Math.ceil(lockTimeoutMs)),
      };
      await prepare(file, limits);
      await explaining(migration, "when INVALID indexes were dropped", state, async () => {
        if (build !== undefined) await clearInvalid(session, build, log, signal);
        if (leftovers !== undefined) await clearReindexed(session, leftovers, log, signal);
      });
      const facts = { migration: migration.fileName, step: step.number };
      try {
        await withProgress(target, facts, session.query(instead ?? step.text, signal), signal);
      } catch (error) {
        const completed = session.completed();
        throw explainSqlError(error, { migration, statements, parts, completed, state });
      }
    },
  );
}
