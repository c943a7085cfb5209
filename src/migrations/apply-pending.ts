import { HeadgateError } from "../errors.ts";
import { ConnectionLost } from "../postgres/session.ts";
import type { Log } from "../report/log.ts";
import { applyMigration } from "./apply.ts";
import type { Migration } from "./folder.ts";
import type { History } from "./history.ts";
import { prepareHistory } from "./prepare-history.ts";
import type { Target } from "./record.ts";
import { findUnsendable } from "./transaction-control.ts";

/**
 * Applies files in order, each with its history row, and says so after each.
 * @param history as it was found under the lock
 * @throws HeadgateError sql_failed (1), refused (77) without the rights, not_ready (69) when the connection was lost
 */
export async function applyPending(
  target: Target,
  pending: readonly Migration[],
  history: History,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  refuseUnsendable(pending);
  target.session.onNotice(({ severity, message }) => {
    if (severity === "WARNING") log.warn({ phase: "migrate", message }, "warned by the server");
    else log.debug({ phase: "migrate", severity, message }, "told by the server");
  });
  const started = performance.now();
  let current: Migration | undefined;
  try {
    await prepareHistory(target, history, signal);
    for (current of pending) {
      const began = performance.now();
      await applyMigration(target, current, signal);
      log.info({ phase: "migrate", migration: current.fileName, ms: since(began) }, "applied");
    }
  } catch (error) {
    throw error instanceof ConnectionLost ? connectionLost(error, current) : error;
  }
  log.info({ phase: "migrate", applied: pending.length, ms: since(started) }, "migrated");
}

function refuseUnsendable(pending: readonly Migration[]): void {
  const problems = pending.flatMap(findUnsendable);
  if (problems.length === 0) return;
  throw new HeadgateError(
    "sql_failed",
    "pending files cannot be applied as they are; nothing was changed",
    { problems, fix: "correct the files and run again" },
  );
}

function connectionLost(cause: ConnectionLost, current: Migration | undefined): HeadgateError {
  const during =
    current === undefined ? "the history table was prepared" : `${current.path} was applied`;
  const isAtomic = current?.isTransactional ?? true;
  return new HeadgateError(
    "not_ready",
    `the connection to Postgres was lost while ${during}: ${cause.message}`,
    {
      fix: isAtomic
        ? "run again: the file was either rolled back or completed together with its record"
        : "look which statements of the file took effect before running again: it runs without a transaction",
      details: { phase: "migrate", migration: current?.fileName },
      cause,
    },
  );
}

const since = (started: number): number => Math.round(performance.now() - started);
