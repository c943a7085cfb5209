import { HeadgateError } from "../errors.ts";
import type { LockKey } from "../lock/key.ts";
import { findLoss, type Loss } from "../lock/loss.ts";
import { findHolder, type Holder, type LockKeys, lockIsHeld, tryLock } from "../lock/lock.ts";
import { hasToken, newToken, tryPooledLock } from "../lock/pooled.ts";
import { connectWhenReady, type Context } from "../look.ts";
import type { SessionFacts } from "../postgres/facts.ts";
import { isPoolerFull } from "../postgres/pooler.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import { migrationSettings, setForSession } from "../postgres/session-settings.ts";

/** A lock, and the session to work on while it is held. */
export type Held = {
  readonly session: Session;
  /** Whether a pooler stands between: then only what is inside one transaction belongs together. */
  readonly isPooled: boolean;
  /** An SQL condition: this run still has the lock. */
  readonly lockIsHeld: string;
  /** Finds out who has ended the lock. */
  readonly findLoss: () => Promise<Loss>;
  /** Settings for the session while it works. */
  readonly settings: Readonly<Record<string, string>>;
  /** Closes what was opened beside the session that looked. */
  readonly end: () => void;
};

/** The lock; or who has it, as far as can be seen. */
export type Attempt = Held | { readonly holder?: Holder };

/**
 * Tries once to take a lock.
 * @param session the one that looked; the lock lives on it
 * @throws HeadgateError usage (64), not_ready (69) when a pooler's second connection is of no use
 */
export async function takeLock(
  context: Context,
  session: Session,
  facts: SessionFacts,
  keys: LockKeys,
): Promise<Attempt> {
  const { config, signal } = context;
  // Behind a pooler the handshake tells the pooler's own number.
  const isPooled = session.handshakePid !== facts.pid;
  const wanted = migrationSettings(facts, config.statementTimeoutMs);
  const token = newToken();
  const settings = isPooled ? wanted : await setForSession(session, wanted, signal);
  const isLocked = isPooled
    ? await tryPooledLock(session, keys, token, settings, signal)
    : await tryLock(session, keys, signal);
  if (!isLocked) {
    const holder = await findHolder(session, keys, signal);
    return holder === undefined ? {} : { holder };
  }
  const letDie = isPooled ? keepAlive(session, signal) : undefined;
  const worker = isPooled
    ? await openWorker(context, token).catch((error: unknown) => {
        letDie?.();
        throw error;
      })
    : session;
  return {
    session: worker,
    isPooled,
    lockIsHeld: isPooled ? hasToken(token) : lockIsHeld(keys),
    findLoss: () => findLoss(session, isPooled),
    settings,
    end: () => {
      letDie?.();
      if (isPooled) worker.end();
    },
  };
}

/** Shorter than any limit that a pooler may have for an open transaction in which nothing is asked. */
const keepAliveMs = 500;

/** Asks something now and then, so that the pooler does not take the transaction with the lock for a forgotten one. */
function keepAlive(session: Session, signal: AbortSignal): () => void {
  let isAsking = false;
  const timer = setInterval(() => {
    if (isAsking) return;
    isAsking = true;
    const done = (): void => void (isAsking = false);
    // That it is lost is found when a file is recorded, or by the watch over a migrator.
    session.query("select", signal).then(done, done);
  }, keepAliveMs);
  return () => clearInterval(timer);
}

/** A second connection through the pooler, for the work; it must reach the server that holds the lock. */
async function openWorker(context: Context, token: LockKey): Promise<Session> {
  const { config, signal } = context;
  const began = performance.now();
  let worker: Session | undefined;
  while (worker === undefined) {
    try {
      const need = { mustWrite: true, waitTimeoutMs: config.connectTimeoutMs };
      worker = await connectWhenReady(context, need);
    } catch (error) {
      if (!(error instanceof HeadgateError) || error.code !== "not_ready") throw error;
      // One that is full gives up places all the time; one with a single connection never has another.
      const isWorthWaiting = isPoolerFull(error.cause) || sqlState(error.cause) === "53300";
      if (isWorthWaiting && performance.now() - began < config.waitTimeoutMs) continue;
      throw noSecondConnection(error);
    }
  }
  const [answer] = await worker.query(`select ${hasToken(token)} as seen`, signal);
  if (answer?.rows[0]?.["seen"] === true) return worker;
  worker.end();
  throw new HeadgateError(
    "usage",
    "two connections through the pooler lead to different servers, so that a lock on one means nothing on the other",
    { fix: directly },
  );
}

function noSecondConnection(error: HeadgateError): HeadgateError {
  const said = error.cause instanceof Error ? error.cause.message : error.message;
  const isFull = isPoolerFull(error.cause);
  return new HeadgateError(
    "not_ready",
    `the pooler gave no second connection (${said}), and behind a pooler the lock needs one of its own`,
    {
      fix: isFull
        ? `raise max_client_conn of the pooler, or ${directly}`
        : `${directly}; or give the pool at least two connections`,
      cause: error,
    },
  );
}

const directly =
  "set HEADGATE_DATABASE_URL to the server's own address (the API may keep the pooled one)";
