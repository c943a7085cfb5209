import { sleep } from "../deadline.ts";
import { HeadgateError } from "../errors.ts";
import { describeHolder, type Holder } from "../lock/lock.ts";
import { askWhenReady, type Context } from "../look.ts";
import type { SessionFacts } from "../postgres/facts.ts";
import { ConnectionLost, type Session } from "../postgres/session.ts";

/** Waiters poll at about a tenth of the time they have waited: quick for a short migration, gentle for a long one. */
const pollShare = 0.1;
const fastestPollMs = 50;
const slowestPollMs = 5000;
const progressEveryMs = 5000;

/** What is to be done under a lock, and how to see whether there is anything to do. */
export type Task<Look, Locked> = {
  readonly look: (session: Session, signal: AbortSignal) => Promise<Look>;
  /** Whether there is work to do; asked at each look. */
  readonly wants: (look: Look) => boolean;
  /** Tries once to take the lock. */
  readonly take: (session: Session, look: Look) => Promise<Locked | { readonly holder?: Holder }>;
  readonly work: (locked: Locked) => Promise<void>;
};

/**
 * Does work under a lock, if a look at the database says that there is any. Waiters hold no connection between their
 * looks, and each look comes before the try for the lock, so that all of them leave together when the holder has
 * committed.
 * @throws HeadgateError lock_timeout (75) that names the holder, after --lock-wait
 */
export async function underLock<
  Look extends { readonly facts: SessionFacts },
  Locked extends { readonly end: () => void },
>(context: Context, task: Task<Look, Locked>): Promise<void> {
  const { config, log, signal } = context;
  let waitingSince: number | undefined;
  let lastLine = Number.NEGATIVE_INFINITY;
  for (;;) {
    const { session, answer: look } = await askWhenReady(context, { mustWrite: true }, task.look);
    let holder: Holder | undefined;
    try {
      if (!task.wants(look)) return;
      waitingSince ??= performance.now();
      type Nobody = { readonly holder?: Holder };
      const attempt = await task.take(session, look).catch((error: unknown): Nobody => {
        // Nothing was begun; the next look waits until the server is back.
        if (error instanceof ConnectionLost) return {};
        throw error;
      });
      if ("end" in attempt) {
        try {
          return await task.work(attempt);
        } finally {
          attempt.end();
        }
      }
      ({ holder } = attempt);
    } finally {
      session.end();
    }

    const waited = performance.now() - waitingSince;
    if (waited >= config.lockWaitMs) throw lockTimeout(holder, waited);
    if (performance.now() - lastLine >= progressEveryMs) {
      lastLine = performance.now();
      log.info(
        { phase: "lock", holder: describeHolder(holder), ms: Math.round(waited) },
        "waiting for the lock",
      );
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
