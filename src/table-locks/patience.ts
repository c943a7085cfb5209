import { sleep } from "../deadline.ts";
import { HeadgateError } from "../errors.ts";
import type { Session } from "../postgres/session.ts";
import { remedyOf } from "../postgres/remedies.ts";
import { describeSqlState, mayPass, sqlState } from "../postgres/sqlstate.ts";
import type { Log } from "../report/log.ts";
import type { StrongLock } from "../sql/strong-locks.ts";
import { type Blocker, describeBlockers, endIdleBlockers, findBlockers } from "./blockers.ts";

/** How a file goes about table locks. Milliseconds; Infinity = no limit. */
export type LockManners = {
  /** How long to go on trying. */
  readonly budgetMs: number;
  /** One limit for each try, instead of one that grows. Infinity: stand in the queue without looking who blocks. */
  readonly lockTimeoutMs?: number;
  /** Whether the text of blockers' queries is told. */
  readonly showQueries: boolean;
  /** Whether a moment ago nobody else held any lock; spares the first look. */
  readonly isAlone?: boolean;
  /** Whether the server undoes all of a try that fails, so that it may be made again whatever it failed of. */
  readonly isAtomic?: boolean;
  /** End blockers that have been idle in a transaction for longer than this. */
  readonly cancelIdleMs?: number;
};

/**
 * The time that a try may stand in the lock queue: every read that comes meanwhile waits behind it. Doubles with each
 * try that failed, up to the longest pause that callers of an API hardly notice.
 */
const firstTryMs = 100;
const longestTryMs = 1000;
/** A transaction older than so many tries will probably not end within one. */
const oldInTries = 2.5;
const lookEveryMs = 150;
const longestPauseMs = 10_000;
const firstPauseMs = 200;
const progressEveryMs = 5000;
/**
 * The server makes autovacuum give way to whoever has waited for deadlock_timeout (1 s by default), and only then. So
 * once in a while a try is long enough for that.
 */
const autovacuumEveryMs = 30_000;
const autovacuumFirstMs = 3000;
/** On a table where some transaction is always a little too old, tries grow longer with time, too. */
const growsEveryMs = 20_000;
const beyondDeadlockTimeoutMs = 250;

/** lock_not_available and deadlock_detected: others are to blame, and another time it may well succeed. */
const isLocks = (error: unknown): boolean => ["55P03", "40P01"].includes(sqlState(error));

/**
 * Does work that needs strong locks without stalling those who use the tables. Before each try it looks who holds
 * conflicting locks, and does not enter the queue while a transaction does that has lasted long; each try is told how
 * long it may stand in the queue; between tries it pauses.
 * @param subject what is worked on, for the log: a file's path
 * @param wanted the locks as far as they are known beforehand
 * @param attempt the work; undone by the server when it fails with 55P03 or 40P01, and altogether when manners.isAtomic
 * @throws HeadgateError lock_timeout (75) that names the blockers, or what the server lacks; or what `attempt` throws
 */
export async function withPatience<T>(
  session: Session,
  subject: string,
  wanted: readonly StrongLock[],
  manners: LockManners,
  log: Log,
  signal: AbortSignal,
  attempt: (lockTimeoutMs: number) => Promise<T>,
): Promise<T> {
  const started = performance.now();
  const waited = (): number => performance.now() - started;
  const look = (): Promise<Blocker[]> => findBlockers(session, wanted, manners.showQueries, signal);
  let known: ReadonlySet<string> | undefined;
  let isAlone = manners.isAlone === true;
  let hasWaited = false;
  let tries = 0;
  let lastLine = Number.NEGATIVE_INFINITY;
  let lastCause: unknown;
  let lastLongTry = started - autovacuumEveryMs + autovacuumFirstMs;

  for (;;) {
    let limit =
      manners.lockTimeoutMs ??
      Math.min(firstTryMs * 2 ** (tries + Math.floor(waited() / growsEveryMs)), longestTryMs);
    let blockers = limit === Infinity || isAlone ? [] : await look();
    isAlone = false;
    // Whose age may not be seen is old if it was there at the look before.
    const isNew = blockers.some(({ ageMs }) => ageMs === null) && known === undefined;
    const old = blockers.filter(({ ageMs, transaction }) =>
      ageMs === null ? isNew || known?.has(transaction) : ageMs >= limit * oldInTries,
    );
    known = new Set(blockers.map(({ transaction }) => transaction));
    const isAutovacuum = old.length > 0 && old.every((blocker) => blocker.isAutovacuum);
    const isLongTry = isAutovacuum && performance.now() - lastLongTry >= autovacuumEveryMs;
    if (isLongTry) {
      limit = Math.max(
        limit,
        (await readDeadlockTimeout(session, signal)) + beyondDeadlockTimeoutMs,
      );
      lastLongTry = performance.now();
    }
    const isTried = old.length === 0 || isLongTry;
    let cause: unknown;
    if (isTried) {
      const ms = Math.round(waited());
      try {
        const done = await attempt(limit);
        if (hasWaited) {
          const event = mayPass(lastCause) ? "got through" : "got its table locks";
          log.info({ phase: "table-lock", migration: subject, tries, ms }, event);
        }
        return done;
      } catch (error) {
        cause = error instanceof HeadgateError ? error.cause : error;
        const isRepeatable = manners.isAtomic === true && mayPass(cause);
        if (!isLocks(cause) && !isRepeatable) throw error;
        lastCause = cause;
      }
      tries++;
      blockers = mayPass(cause) ? [] : await look();
    }

    if (manners.cancelIdleMs !== undefined) {
      await cancel(session, blockers, manners.cancelIdleMs, log, signal);
    }
    if (waited() >= manners.budgetMs) throw budgetSpent(subject, waited(), blockers, cause);
    if (performance.now() - lastLine >= progressEveryMs) {
      lastLine = performance.now();
      const facts = { migration: subject, tries, ms: Math.round(waited()) };
      if (mayPass(cause)) {
        const error = `${cause.message} (${describeSqlState(cause.code)})`;
        log.info({ phase: "table-lock", ...facts, error }, "trying again");
      } else {
        log.info(
          { phase: "table-lock", ...facts, blockers: describeBlockers(blockers) },
          "waiting for a table lock",
        );
      }
    }
    hasWaited = true;
    const pause = isTried
      ? Math.random() * Math.min(firstPauseMs * 2 ** tries, longestPauseMs)
      : lookEveryMs;
    await sleep(Math.min(pause, Math.max(0, manners.budgetMs - waited())), signal);
  }
}

async function readDeadlockTimeout(session: Session, signal: AbortSignal): Promise<number> {
  const [result] = await session.query(
    `select (extract(epoch from pg_catalog.current_setting('deadlock_timeout')::interval) * 1000)::float8 as ms`,
    signal,
  );
  return Number(result?.rows[0]?.["ms"]);
}

async function cancel(
  session: Session,
  blockers: readonly Blocker[],
  idleMs: number,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  try {
    const ended = await endIdleBlockers(session, blockers, idleMs, signal);
    for (const line of describeBlockers(ended)) {
      log.warn(
        { phase: "table-lock", blocker: line },
        "ended an idle transaction (--cancel-blockers)",
      );
    }
  } catch (error) {
    if (sqlState(error) !== "42501") throw error;
    const fix = "grant pg_signal_backend to the user headgate connects as";
    log.warn({ phase: "table-lock", fix }, "may not end idle transactions (--cancel-blockers)");
  }
}

function budgetSpent(
  subject: string,
  waitedMs: number,
  blockers: readonly Blocker[],
  cause: unknown,
): HeadgateError {
  if (mayPass(cause)) {
    return new HeadgateError(
      "lock_timeout",
      `${subject}: ${cause.message} (${describeSqlState(cause.code)}), at each try within ${Math.round(waitedMs)} ms; nothing of it was changed`,
      {
        fix: remedyOf(cause) ?? "run again when the server has room for it",
        details: { phase: "table-lock", migration: subject, sqlstate: cause.code },
        cause,
      },
    );
  }
  const reason =
    sqlState(cause) === "40P01"
      ? "deadlocks with other sessions"
      : "its table locks could not be had";
  return new HeadgateError(
    "lock_timeout",
    `${subject}: ${reason} within ${Math.round(waitedMs)} ms without stalling those who use the tables; nothing of it was changed`,
    {
      problems: describeBlockers(blockers).map((line) => `blocked by ${line}`),
      fix: "end or wait for the transactions named, then run again; or raise --ddl-lock-budget, or see --cancel-blockers",
      details: { phase: "table-lock", migration: subject },
      cause,
    },
  );
}
