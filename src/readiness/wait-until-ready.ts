import { HeadgateError } from "../errors.ts";
import { ConnectFailed, connectFirst, ConnectTimeout } from "../postgres/connect.ts";
import type { Session } from "../postgres/session.ts";
import type { DatabaseSettings } from "../postgres/settings.ts";
import type { Log } from "../report/log.ts";
import { backoff } from "./backoff.ts";
import { type Judgement, judgeAll } from "./judge.ts";

export type ReadinessOptions<T> = {
  /** Asked before each attempt, because secret files may change or arrive late. */
  readonly settings: () => DatabaseSettings;
  readonly applicationName: string;
  /** All in milliseconds, Infinity = no limit. A waitTimeoutMs of 0 makes one attempt. */
  readonly waitTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly authGraceMs: number;
  /** The query whose answer makes a server ready; throws NotWritable on a standby. */
  readonly ask: (session: Session, signal: AbortSignal) => Promise<T>;
  /** Makes a missing database; absent when it is not asked for. */
  readonly createDatabase?: (signal: AbortSignal) => Promise<void>;
  readonly log: Log;
};

/** The interval between attempts: quick for a server that is starting, slow for a herd at a full one. */
const firstPauseMs = 100;
const mostPauseMs = 2000;
const progressEveryMs = 10_000;

/**
 * Waits until a server is ready: logged in to the right database and `ask` answered. One connection at a time, one
 * log line for each change of state.
 * @returns the open session and the answer
 * @throws HeadgateError not_ready (69) at the deadline, refused (77) after the grace period or at once,
 * usage (64) when a pooler does not take what is asked for
 */
export async function waitUntilReady<T>(
  options: ReadinessOptions<T>,
  signal: AbortSignal,
): Promise<{ session: Session; answer: T }> {
  const { log } = options;
  const started = performance.now();
  const pauses = backoff(firstPauseMs, mostPauseMs);
  let state = "";
  let graceStarted: number | undefined;
  let lastLine = 0;
  let last: Judgement | undefined;

  for (;;) {
    const left = options.waitTimeoutMs - (performance.now() - started);
    if (last !== undefined && left <= 0) throw failure(last, since(started));
    const outcome = await attempt(options, options.waitTimeoutMs === 0 ? Infinity : left, signal);
    if ("session" in outcome) {
      if (state !== "") log.info({ phase: "wait", ms: since(started) }, "ready");
      return outcome;
    }
    // An attempt that the deadline cut short says less about the server than the one before it.
    const wasCut = outcome.error instanceof ConnectTimeout && outcome.error.isCut;
    const judgement = wasCut ? (last ?? outcome) : outcome;
    last = judgement;
    const now = performance.now();
    graceStarted = judgement.verdict === "grace" ? (graceStarted ?? now) : undefined;
    const graceIsOver = graceStarted !== undefined && now - graceStarted >= options.authGraceMs;
    const timeIsUp = now - started >= options.waitTimeoutMs;
    const isFatal = judgement.verdict === "fatal" || judgement.verdict === "mistake";
    if (isFatal || graceIsOver || timeIsUp) throw failure(judgement, since(started));

    if (judgement.state !== state || now - lastLine >= progressEveryMs) {
      const { address, error } = judgement;
      log.info(
        {
          phase: "wait",
          state: judgement.state,
          address,
          error: error.message,
          ms: since(started),
        },
        "waiting",
      );
      lastLine = now;
      state = judgement.state;
    }
    const grace = graceStarted === undefined ? Infinity : graceStarted + options.authGraceMs - now;
    await pauses.pause(Math.min(started + options.waitTimeoutMs - now, grace), signal);
  }
}

async function attempt<T>(
  options: ReadinessOptions<T>,
  leftMs: number,
  signal: AbortSignal,
): Promise<{ session: Session; answer: T } | Judgement> {
  const { applicationName, ask, createDatabase } = options;
  const limits = { eachMs: options.connectTimeoutMs, allMs: leftMs };
  try {
    return await connectFirst(options.settings(), applicationName, limits, signal, ask);
  } catch (error) {
    const judgement = judgeFailure(error);
    if (judgement.state !== "database missing" || createDatabase === undefined) return judgement;
    try {
      await createDatabase(signal);
    } catch (failed) {
      return judgeFailure(failed);
    }
    return { ...judgement, verdict: "retry", state: "database created" };
  }
}

/** @throws what is not for waiting: the signal's reason, and what `ask` or the certificates say of the configuration */
function judgeFailure(error: unknown): Judgement {
  if (!(error instanceof ConnectFailed)) throw error;
  const known = error.attempts.find((entry) => entry.error instanceof HeadgateError);
  if (known !== undefined) throw known.error;
  return judgeAll(error.attempts);
}

function failure({ verdict, state, address, error, fix }: Judgement, ms: number): HeadgateError {
  const isRetryable = verdict === "retry";
  const what = isRetryable
    ? `Postgres was not ready within ${ms} ms: ${state} at ${address} (${error.message})`
    : `Postgres refused the session: ${state} at ${address} (${error.message})`;
  const code = isRetryable ? "not_ready" : verdict === "mistake" ? "usage" : "refused";
  return new HeadgateError(code, what, {
    ...(fix === undefined ? {} : { fix }),
    cause: error,
    details: { phase: "wait", state, address },
  });
}

const since = (started: number): number => Math.round(performance.now() - started);
