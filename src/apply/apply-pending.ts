import { HeadgateError } from "../errors.ts";
import type { Migration } from "../migrations/folder.ts";
import type { History } from "../migrations/history.ts";
import { noticeReporter } from "./notices.ts";
import { ConnectionLost } from "../postgres/session.ts";
import { applyBySteps } from "./by-steps.ts";
import { clearInvalidOfFile } from "./index-builds.ts";
import { applyInTransaction } from "./in-transaction.ts";
import { noteSchema } from "./note-schema.ts";
import { prepareHistory } from "./prepare-history.ts";
import { type Readable, readPending } from "./refuse.ts";
import { explaining } from "./sql-failure.ts";
import { readSteps } from "./step-table.ts";
import type { Target } from "./target.ts";

/**
 * Applies files in order, each with its history row, and says so after each.
 * @param history as it was found under the lock
 * @throws HeadgateError sql_failed (1), history_mismatch (65) for a step in doubt, refused (77) without the rights,
 * lock_timeout (75) when table locks could not be had, not_ready (69) when the connection was lost
 */
export async function applyPending(
  unprepared: Target,
  pending: readonly Migration[],
  history: History,
  signal: AbortSignal,
): Promise<void> {
  const { log, session, isPooled } = unprepared;
  const files = readPending(pending, isPooled);
  const notices = noticeReporter(log);
  session.onNotice(notices.listen);
  const started = performance.now();
  let current: Migration | undefined;
  let target = unprepared;
  try {
    target = await prepareHistory(unprepared, history, signal);
    let isAlone = false;
    for (const [index, file] of files.entries()) {
      current = file.migration;
      notices.begin(current.fileName);
      const began = performance.now();
      const next = files[index + 1];
      isAlone = file.migration.directives.isTransactional
        ? await applyOne(target, file, isAlone, next, signal)
        : await applySteps(target, file, signal);
      log.info({ phase: "migrate", migration: current.fileName, ms: since(began) }, "applied");
    }
  } catch (error) {
    throw error instanceof ConnectionLost ? connectionLost(error, current) : error;
  } finally {
    notices.finish();
  }
  log.info({ phase: "migrate", applied: pending.length, ms: since(started) }, "migrated");
  await noteSchema(target, signal);
}

async function applyOne(
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

async function applySteps(target: Target, file: Readable, signal: AbortSignal): Promise<false> {
  const rows = await readSteps(target.session, target.historyTable, signal);
  await applyBySteps(target, file.migration, file.statements, rows, signal);
  return false;
}

function connectionLost(cause: ConnectionLost, current: Migration | undefined): HeadgateError {
  const during =
    current === undefined ? "the history table was prepared" : `${current.path} was applied`;
  const isAtomic = current?.directives.isTransactional ?? true;
  return new HeadgateError(
    "not_ready",
    `the connection to Postgres was lost while ${during}: ${cause.message}`,
    {
      fix: isAtomic
        ? "run again: the file was either rolled back or completed together with its record"
        : "run again: it goes on with the step that was running",
      details: { phase: "migrate", migration: current?.fileName },
      cause,
    },
  );
}

const since = (started: number): number => Math.round(performance.now() - started);
