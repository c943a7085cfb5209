import { HeadgateError } from "../errors.ts";
import { ConnectFailed, connectFirst } from "../postgres/connect.ts";
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
 * @throws HeadgateError not_ready (69) at the deadline, refused (77) after the grace period or at once
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

  for (;;) {
    const left = options.waitTimeoutMs - (performance.now() - started);
    const judgement = await attempt(
      options,
      Math.max(left, options.waitTimeoutMs === 0 ? Infinity : 1),
      signal,
    );
    if ("session" in judgement) {
      if (state !== "") log.info({ phase: "wait", ms: since(started) }, "ready");
      return judgement;
    }
    const now = performance.now();
    graceStarted = judgement.verdict === "grace" ? (graceStarted ?? now) : undefined;
    const graceIsOver = graceStarted !== undefined && now - graceStarted >= options.authGraceMs;
    const timeIsUp = now - started >= options.waitTimeoutMs;
    if (judgement.verdict === "fatal" || graceIsOver || timeIsUp)
      throw failure(judgement, since(started));

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
  const timeoutMs = Math.min(options.connectTimeoutMs, leftMs);
  try {
    return await connectFirst(
      options.settings(),
      options.applicationName,
      timeoutMs,
      signal,
      options.ask,
    );
  } catch (error) {
    if (!(error instanceof ConnectFailed)) throw error;
    // What `ask` or the certificates say about the configuration itself is not for waiting.
    const known = error.attempts.find((entry) => entry.error instanceof HeadgateError);
    if (known !== undefined) throw known.error;
    const judgement = judgeAll(error.attempts);
    if (judgement.state === "database missing" && options.createDatabase !== undefined) {
      await options.createDatabase(signal);
      return { ...judgement, verdict: "retry", state: "database created" };
    }
    return judgement;
  }
}

function failure({ verdict, state, address, error, fix }: Judgement, ms: number): HeadgateError {
  const isRetryable = verdict === "retry";
  const what = isRetryable
    ? `Postgres was not ready within ${ms} ms: ${state} at ${address} (${error.message})`
    : `Postgres refused the session: ${state} at ${address} (${error.message})`;
  return new HeadgateError(isRetryable ? "not_ready" : "refused", what, {
    ...(fix === undefined ? {} : { fix }),
    cause: error,
    details: { phase: "wait", state, address },
  });
}

const since = (started: number): number => Math.round(performance.now() - started);
