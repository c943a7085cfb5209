import type { Migration } from "../migrations/folder.ts";
import type { History } from "../migrations/history.ts";
import { refuseHalfUndone } from "./half-undone.ts";
import { noteSchema } from "./note-schema.ts";
import { prepareHistory } from "./prepare-history.ts";
import { readPending } from "./refuse.ts";
import { runFiles } from "./run-files.ts";
import { readSteps } from "./step-table.ts";
import type { Target } from "./target.ts";

/**
 * Applies files in order, each with its history row, and says so after each.
 * @param history as it was found under the lock
 * @param ended is called with each file that is applied
 * @throws HeadgateError as runFiles does; history_mismatch (65) when one of them is half undone
 */
export async function applyPending(
  target: Target,
  pending: readonly Migration[],
  history: History,
  ended: (migration: Migration) => void,
  signal: AbortSignal,
): Promise<void> {
  const files = readPending(pending, target.isPooled);
  for (const { migration, statements } of files) {
    if (statements.length > 0) continue;
    target.log.warn(
      { phase: "migrate", migration: migration.fileName },
      "found no statement in a file: it counts as applied, and what is written into it later is not run",
    );
  }
  const started = performance.now();
  const prepare = async (): Promise<Target> => {
    if (history.exists) {
      const { session, historyTable } = target;
      refuseHalfUndone(pending, (await readSteps(session, historyTable, signal)) ?? []);
    }
    return prepareHistory(target, history, signal);
  };
  const prepared = await runFiles(
    target,
    files,
    { phase: "migrate", past: "applied" },
    prepare,
    ended,
    signal,
  );
  const ms = Math.round(performance.now() - started);
  target.log.info({ phase: "migrate", applied: pending.length, ms }, "migrated");
  await noteSchema(prepared, signal);
}
