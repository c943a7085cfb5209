import { HeadgateError } from "../errors.ts";
import type { Migration } from "../migrations/folder.ts";
import { readSteps, type StepRow } from "./step-table.ts";
import type { Target } from "./target.ts";

/** The steps of the undo file of a migration, which are there while it is unfinished. */
export const undoStepsOf = (id: number, rows: readonly StepRow[]): readonly StepRow[] =>
  rows.filter(({ migration }) => migration === -id);

/**
 * A migration that is half undone has no history row, and would be applied on top of what is left of it.
 * @throws HeadgateError history_mismatch (65) that names the command to type
 */
export async function refuseHalfUndone(
  { session, historyTable }: Pick<Target, "session" | "historyTable">,
  pending: readonly Migration[],
  signal: AbortSignal,
): Promise<void> {
  const rows = (await readSteps(session, historyTable, signal)) ?? [];
  const half = pending.find(({ id }) => undoStepsOf(id, rows).length > 0);
  if (half === undefined) return;
  const done = undoStepsOf(half.id, rows).filter(({ state }) => state === "done").length;
  throw new HeadgateError(
    "history_mismatch",
    `${half.path}: half undone: its undo file was begun and is not finished (steps done: ${done}); nothing was changed`,
    { fix: `\`headgate rollback --to ${half.id - 1}\` finishes it; then run again` },
  );
}
