import { HeadgateError } from "../errors.ts";
import { sleep, withTimeout } from "../deadline.ts";
import type { Loss } from "../lock/loss.ts";
import { ConnectionLost, type Session } from "../postgres/session.ts";
import { endingSessions } from "./sessions.ts";

/** How often the lock is looked at while a migrator runs. */
const everyMs = 500;
/**
 * How long an answer may take. The server gives up a vanished client, and frees its lock, after 25 s
 * (postgres/session-settings.ts); by then the migrator must be gone.
 */
const patienceMs = 10_000;

/** A lock that something is done under, beside Postgres rather than in it. */
export type WatchedLock = {
  readonly session: Session;
  /** An SQL condition: this run still has the lock. */
  readonly lockIsHeld: string;
  /** Finds out who has ended it. */
  readonly findLoss: () => Promise<Loss>;
  /** The sessions of an earlier run that must not come back. */
  readonly unwanted?: string;
};

/**
 * Does work that Postgres cannot tie to the lock, and stops it when the lock is lost. The session is not to be used
 * meanwhile.
 * @param work gets a signal that also fires when the lock is lost
 * @throws HeadgateError not_ready (69) when the session was lost, lock_timeout (75) when only the lock was; but only
 * after `work` has ended
 */
export async function watched<T>(
  lock: WatchedLock,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const done = new AbortController();
  const watching = watch(lock, done.signal).catch(async (error: unknown) =>
    lost.abort(await lossOf(lock, error)),
  );
  const outcome = await settled(work(AbortSignal.any([signal, lost.signal])));
  done.abort();
  await watching;
  signal.throwIfAborted();
  // Whoever has the lock now may have ended the work before the loss was noticed here.
  if (!lost.signal.aborted) {
    await check(lock).catch(async (error: unknown) => lost.abort(await lossOf(lock, error)));
  }
  lost.signal.throwIfAborted();
  if ("error" in outcome) throw outcome.error;
  return outcome.value;
}

const settled = <T>(work: Promise<T>): Promise<{ value: T } | { error: unknown }> =>
  work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );

async function watch(lock: WatchedLock, done: AbortSignal): Promise<void> {
  while (!done.aborted) {
    await check(lock);
    await sleep(everyMs, done).catch(() => undefined);
  }
}

async function check({ session, lockIsHeld, unwanted }: WatchedLock): Promise<void> {
  const fence = unwanted === undefined ? "" : `; ${endingSessions(unwanted)}`;
  const limit = withTimeout(neverStopped, patienceMs, () => new ConnectionLost("no answer"));
  try {
    const [answer] = await session.query(`select (${lockIsHeld}) as held${fence}`, limit.signal);
    if (answer?.rows[0]?.["held"] !== true) throw new LockLost();
  } finally {
    limit.clear();
  }
}

/** A question on its way is awaited: a cancel request would meet the session's next statement. */
const neverStopped = new AbortController().signal;

class LockLost extends Error {}

async function lossOf(lock: WatchedLock, error: unknown): Promise<unknown> {
  if (error instanceof LockLost) {
    const { why, fix } = await lock.findLoss();
    const what = `the migration lock was lost, so the work was stopped: ${why}`;
    return new HeadgateError("lock_timeout", what, { fix, cause: error });
  }
  if (!(error instanceof ConnectionLost)) return error;
  return new HeadgateError(
    "not_ready",
    `the session that holds the migration lock was lost, so the work was stopped: ${error.message}`,
    { fix: "run again: what the migrator had committed stays", cause: error },
  );
}
