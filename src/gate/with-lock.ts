import { sleep } from "../deadline.ts";
import { HeadgateError } from "../errors.ts";
import { describeHolder, type Holder } from "../lock/lock.ts";
import { type Context, lookWhenReady } from "../look.ts";
import type { Look } from "../migrations/history.ts";
import { type Attempt, type Locked, takeLock } from "./take-lock.ts";

/** Waiters poll at about a tenth of the time they have waited: quick for a short migration, gentle for a long one. */
const pollShare = 0.1;
const fastestPollMs = 50;
const slowestPollMs = 5000;
const progressEveryMs = 5000;

/**
 * Does work under the migration lock, if a look at the database says that there is any. Waiters hold no connection
 * between their looks, and each look comes before the try for the lock, so that all of them leave together when the
 * holder has committed.
 * @param wants whether there is work to do; asked at each look
 * @throws HeadgateError lock_timeout (75) that names the holder, after --lock-wait
 */
export async function withLock(
  context: Context,
  wants: (look: Look) => boolean,
  work: (locked: Locked) => Promise<void>,
): Promise<void> {
  const { config, log, signal } = context;
  let waitingSince: number | undefined;
  let lastLine = Number.NEGATIVE_INFINITY;
  for (;;) {
    const { session, answer: look } = await lookWhenReady(context, { mustWrite: true });
    let attempt: Attempt;
    try {
      if (!wants(look)) return;
      waitingSince ??= performance.now();
      attempt = await takeLock(context, session, look);
      if ("target" in attempt) {
        try {
          return await work(attempt);
        } finally {
          attempt.end();
        }
      }
    } finally {
      session.end();
    }

    const waited = performance.now() - waitingSince;
    if (waited >= config.lockWaitMs) throw lockTimeout(attempt.holder, waited);
    if (performance.now() - lastLine >= progressEveryMs) {
      lastLine = performance.now();
      const holder = describeHolder(attempt.holder);
      log.info({ phase: "lock", holder, ms: Math.round(waited) }, "waiting for the lock");
    }
    const interval = Math.min(slowestPollMs, Math.max(fastestPollMs, waited * pollShare));
    await sleep(Math.min(Math.random() * interval, config.lockWaitMs - waited), signal);
  }
}

function lockTimeout(holder: Holder | undefined, waited: number): HeadgateError {
  return new HeadgateError(
    "lock_timeout",
    `the migration lock was not free within ${Math.round(waited)} ms; held by ${describeHolder(holder)}; nothing was changed`,
    {
      fix: "look at what the holder does (pg_stat_activity); raise --lock-wait if it is only slow",
      details: { phase: "lock", holder },
    },
  );
}
