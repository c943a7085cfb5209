import { applyPending } from "../apply/apply-pending.ts";
import { readUndos } from "../apply/refuse.ts";
import { undoStepsOf } from "../apply/half-undone.ts";
import { readSteps } from "../apply/step-table.ts";
import type { Target } from "../apply/target.ts";
import { missingUndo, refuseProblems } from "../apply/undo-plan.ts";
import { undoMigrations } from "../apply/undo.ts";
import { HeadgateError } from "../errors.ts";
import type { Context } from "../look.ts";
import type { Migration } from "../migrations/folder.ts";
import type { History } from "../migrations/history.ts";
import { listNames } from "../migrations/plan.ts";
import { sentenceOf } from "../migrations/problem.ts";
import { readUndoFiles } from "../migrations/undo-files.ts";

/** What undoes the pending files, by their numbers; undefined when nothing is to be undone. */
export type Undos = ReadonlyMap<number, Migration> | undefined;

/**
 * Reads the undo files of all that is pending, if a failure is to be undone.
 * @throws HeadgateError history_mismatch (65) that names those that are missing; sql_failed (1), usage (64) for those that
 * cannot be run; nothing was changed
 */
export function readUndosOf(
  { config }: Context,
  { isPooled }: Target,
  pending: readonly Migration[],
): Undos {
  if (!config.undoOnFailure) return undefined;
  const undos = readUndoFiles(config.migrationsDir, pending);
  refuseProblems(
    pending.flatMap((migration) => {
      const undo = undos.get(migration.id);
      if (undo === undefined) return [missingUndo(migration)];
      return undo.defects.map((defect) => `${undo.path}: ${sentenceOf(defect)}`);
    }),
  );
  readUndos([...undos.values()], isPooled);
  return undos;
}

/**
 * Applies what is pending. When a file fails, those that were applied before it are undone, if that is wanted.
 * @throws HeadgateError of the file that failed, with what was undone
 */
export async function applyOrUndo(
  { log, signal }: Context,
  target: Target,
  pending: readonly Migration[],
  history: History,
  undos: Undos,
): Promise<void> {
  const applied: Migration[] = [];
  try {
    await applyPending(target, pending, history, (migration) => applied.push(migration), signal);
  } catch (error) {
    const isOver = !(error instanceof HeadgateError) || signal.aborted;
    if (undos === undefined || isOver || applied.length === 0) throw error;
    const failed = pending[applied.length];
    const obstacle = await whyNot(target, error, failed, signal);
    if (obstacle !== undefined) throw withOutcome(error, failed, [], applied, obstacle);
    log.warn(
      { phase: "rollback", undo: listNames(applied) },
      "began to undo what this run applied",
    );
    const undone: Migration[] = [];
    const files = applied.toReversed().flatMap((migration) => {
      const undo = undos.get(migration.id);
      const { id, name, checksum: hash } = migration;
      return undo === undefined ? [] : [{ ...undo, undoes: { id, name, hash, executedAt: null } }];
    });
    try {
      await undoMigrations(target, files, (undo) => undone.push(undo), signal);
    } catch (second) {
      if (!(second instanceof HeadgateError)) throw second;
      const half = await findHalfUndone(target, files[undone.length], signal);
      const reason = `an undo failed, too: ${second.message}`;
      throw withOutcome(error, failed, undone, applied, reason, half);
    }
    throw withOutcome(error, failed, undone, applied);
  }
}

/** Why what was applied before cannot be undone. */
async function whyNot(
  { session, historyTable }: Target,
  { code }: HeadgateError,
  failed: Migration | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (code === "not_ready") return "the connection was lost";
  const rows = (await readSteps(session, historyTable, signal)) ?? [];
  const isInPart = rows.some((row) => row.migration === failed?.id && row.state !== "failed");
  // Its steps that are done rest on what was applied before it.
  return isInPart ? `${failed?.path} is applied in part; the next run goes on with it` : undefined;
}

/** The migration of an undo file that has failed, if some of its steps took effect: its history row is gone then. */
async function findHalfUndone(
  { session, historyTable }: Target,
  undo: Migration | undefined,
  signal: AbortSignal,
): Promise<Migration | undefined> {
  const rows = (await readSteps(session, historyTable, signal).catch(() => undefined)) ?? [];
  const isBegun =
    undo !== undefined && undoStepsOf(undo.id, rows).some(({ state }) => state !== "failed");
  return isBegun ? undo : undefined;
}

function withOutcome(
  { code, message, problems, fix, details, cause }: HeadgateError,
  failed: Migration | undefined,
  undone: readonly Migration[],
  applied: readonly Migration[],
  reason?: string,
  half?: Migration,
): HeadgateError {
  const left = applied.filter(
    ({ id }) => id !== half?.id && !undone.some((undo) => undo.id === id),
  );
  const newest = left.at(-1);
  // An index build that failed by itself leaves something behind.
  const isAsBefore = half === undefined && failed?.directives.isTransactional === true;
  const lines = [
    ...(undone.length === 0 ? [] : [`applied by this run, and undone: ${listNames(undone)}`]),
    ...(left.length === 0 ? [] : [`applied by this run, and still there: ${listNames(left)}`]),
    ...(half === undefined
      ? []
      : [
          `half undone: ${listNames([half])}; \`headgate rollback --to ${half.id - 1}\` goes on with it`,
        ]),
    ...(reason === undefined ? [] : [`not undone, because ${reason}`]),
    newest === undefined
      ? isAsBefore
        ? "the database is as it was before this run"
        : "no migration of this run is applied any more"
      : `the newest migration that is ${code === "not_ready" ? "known to be " : ""}applied is ${newest.id} ${newest.name}`,
  ];
  return new HeadgateError(code, message, {
    problems: [...problems, ...lines],
    fix,
    details: { ...details, undone: undone.length },
    cause,
  });
}
