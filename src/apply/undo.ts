import type { Migration } from "../migrations/folder.ts";
import type { Log } from "../report/log.ts";
import { giveKey } from "./journal-key.ts";
import { noteSchema } from "./note-schema.ts";
import { askRights, mustBeAllowed } from "./prepare-history.ts";
import { readUndos } from "./refuse.ts";
import { runFiles } from "./run-files.ts";
import { forgetSteps, readSteps, stepsKey } from "./step-table.ts";
import type { Target } from "./target.ts";

/**
 * Undoes migrations, newest first: each undo file together with the removal of the history row, and says so after each.
 * @param undos undo files, with their history rows
 * @param ended is called with each file that is through
 * @throws HeadgateError as runFiles does
 */
export async function undoMigrations(
  migrateTarget: Target,
  undos: readonly Migration[],
  ended: (undo: Migration) => void,
  signal: AbortSignal,
): Promise<void> {
  const target = { ...migrateTarget, log: inPhaseRollback(migrateTarget.log) };
  const { log, isPooled, session, historyTable } = target;
  const files = readUndos(undos, isPooled);
  const started = performance.now();
  const prepare = async (): Promise<Target> => {
    const rights = await askRights(session, historyTable, signal);
    for (const right of ["insert", "delete"] as const) mustBeAllowed(right, rights, historyTable);
    if (rights.lacksKey) await giveKey(target, signal);
    await forgetFailed(target, undos, signal);
    return { ...target, hasJournal: rights.journal === true };
  };
  const prepared = await runFiles(
    target,
    files,
    { phase: "rollback", past: "undone" },
    prepare,
    ended,
    signal,
  );
  const ms = Math.round(performance.now() - started);
  log.info({ phase: "rollback", undone: undos.length, ms }, "rolled back");
  await noteSchema(prepared, signal);
}

/** A file that failed by steps before any took effect may have become one with a transaction, which keeps no steps. */
async function forgetFailed(
  target: Target,
  undos: readonly Migration[],
  signal: AbortSignal,
): Promise<void> {
  const rows = (await readSteps(target.session, target.historyTable, signal)) ?? [];
  for (const undo of undos) {
    const isStale = rows.some(({ migration }) => migration === stepsKey(undo));
    if (!isStale || !undo.directives.isTransactional || undo.undoes === null) continue;
    await target.session.query(forgetSteps(target, stepsKey(undo)), signal);
  }
}

/** What applies files says that it migrates. */
function inPhaseRollback(log: Log): Log {
  const inPhase = (facts: object): object =>
    "phase" in facts && facts.phase === "migrate" ? { ...facts, phase: "rollback" } : facts;
  return {
    debug: (facts, event) => log.debug(inPhase(facts), event),
    info: (facts, event) => log.info(inPhase(facts), event),
    warn: (facts, event) => log.warn(inPhase(facts), event),
    error: (facts, event) => log.error(inPhase(facts), event),
  };
}
