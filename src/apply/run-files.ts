import { basename } from "node:path";
import type { Migration } from "../migrations/folder.ts";
import { ConnectionLost } from "../postgres/session.ts";
import { applyBySteps } from "./by-steps.ts";
import { clearInvalidOfFile } from "./index-builds.ts";
import { applyInTransaction } from "./in-transaction.ts";
import { connectionLost, lookUpOutcome } from "./lost.ts";
import { noticeReporter } from "./notices.ts";
import type { Readable } from "./refuse.ts";
import { explaining } from "./sql-failure.ts";
import { readSteps } from "./step-table.ts";
import type { Target } from "./target.ts";

/** What is done with files, in the words of the log. */
type Deed = { readonly phase: "migrate" | "rollback"; readonly past: "applied" | "undone" };

/**
 * Runs files in order, each with its note in the history, and says so after each.
 * @param prepare comes before the first of them, and gives what they are run on
 * @param ended is called with each file that is through
 * @returns what they were run on
 * @throws HeadgateError sql_failed (1), history_mismatch (65) for a step in doubt, refused (77) without the rights,
 * lock_timeout (75) when table locks could not be had, not_ready (69) when the connection was lost
 */
export async function runFiles(
  before: Target,
  files: readonly Readable[],
  { phase, past }: Deed,
  prepare: () => Promise<Target>,
  ended: (migration: Migration) => void,
  signal: AbortSignal,
): Promise<Target> {
  const { log, session } = before;
  const notices = noticeReporter(log);
  const stopListening = session.onNotice(notices.listen);
  let current: Migration | undefined;
  try {
    const target = await prepare();
    let isAlone = false;
    for (const [index, file] of files.entries()) {
      current = file.migration;
      notices.begin(current.fileName);
      const began = performance.now();
      const next = files[index + 1];
      isAlone = runsInTransaction(current)
        ? await runOne(target, file, isAlone, next, signal)
        : await runSteps(target, file, signal);
      const ms = Math.round(performance.now() - began);
      log.info({ phase, migration: basename(current.fileName), ms }, past);
      ended(current);
    }
    return target;
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
    const outcome =
      current === undefined ? "unknown" : await lookUpOutcome(before, current, signal);
    if (current !== undefined && outcome === "committed") ended(current);
    throw connectionLost(error, current, phase, outcome);
  } finally {
    stopListening();
    notices.finish();
  }
}

/** One that a run before has begun by steps goes on by steps. */
const runsInTransaction = ({ directives, undoes }: Migration): boolean =>
  directives.isTransactional && undoes !== null;

async function runOne(
  target: Target,
  file: Readable,
  isAlone: boolean,
  next: Readable | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const { migration, statements } = file;
  await explaining(migration, "when INVALID indexes were dropped", "nothing of the file ran", () =>
    clearInvalidOfFile(target, migration, statements, signal),
  );
  return applyInTransaction(target, file, isAlone, next, signal);
}

async function runSteps(target: Target, file: Readable, signal: AbortSignal): Promise<false> {
  const rows = await readSteps(target.session, target.historyTable, signal);
  await applyBySteps(target, file.migration, file.statements, rows, signal);
  return false;
}
