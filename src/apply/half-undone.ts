import { HeadgateError } from "../errors.ts";
import type { Migration } from "../migrations/folder.ts";
import type { StepRow } from "./step-table.ts";

/** The steps of the undo file of a migration, which are there while it is unfinished. */
export const undoStepsOf = (id: number, rows: readonly StepRow[]): readonly StepRow[] =>
  rows.filter(({ migration }) => migration === -id);

/**
 * A migration that is half undone has no history row, and would be applied on top of what is left of it.
 * @param rows the steps of all unfinished files
 * @throws HeadgateError history_mismatch (65) that names the command to type
 */
export function refuseHalfUndone(pending: readonly Migration[], rows: readonly StepRow[]): void {
  const half = pending.find(({ id }) => undoStepsOf(id, rows).length > 0);
  if (half === undefined) return;
  const done = undoStepsOf(half.id, rows).filter(({ state }) => state === "done").length;
  throw new HeadgateError(
    "history_mismatch",
    `${half.path}: half undone: its undo file was begun and is not finished (steps done: ${done}); nothing was changed`,
    { fix: `\`headgate rollback --to ${half.id - 1}\` finishes it; then run again` },
  );
}
