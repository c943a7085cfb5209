import { HeadgateError } from "../errors.ts";
import type { LockKey } from "../lock/key.ts";
import { findHolder, type Holder, type LockKeys, lockIsHeld, tryLock } from "../lock/lock.ts";
import { hasToken, newToken, tryPooledLock } from "../lock/pooled.ts";
import { askWhenReady, type Context } from "../look.ts";
import { askFacts, type SessionFacts } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { migrationSettings, setForSession } from "../postgres/session-settings.ts";

/** A lock, and the session to work on while it is held. */
export type Held = {
  readonly session: Session;
  /** Whether a pooler stands between: then only what is inside one transaction belongs together. */
  readonly isPooled: boolean;
  /** An SQL condition: this run still has the lock. */
  readonly lockIsHeld: string;
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
  const worker = isPooled ? await openWorker(context, token) : session;
  return {
    session: worker,
    isPooled,
    lockIsHeld: isPooled ? hasToken(token) : lockIsHeld(keys),
    settings,
    end: () => isPooled && worker.end(),
  };
}

/** A second connection through the pooler, for the work; it must reach the server that holds the lock. */
async function openWorker(context: Context, token: LockKey): Promise<Session> {
  const { config, signal } = context;
  let worker: Session;
  try {
    const need = { mustWrite: true, waitTimeoutMs: config.connectTimeoutMs };
    const ask = async (session: Session, limit: AbortSignal) => ({
      facts: await askFacts(session, limit),
    });
    worker = (await askWhenReady(context, need, ask)).session;
  } catch (error) {
    if (!(error instanceof HeadgateError) || error.code !== "not_ready") throw error;
    throw pooled(
      "not_ready",
      "the pooler gave no second connection, and behind a pooler the lock needs one of its own",
      error,
    );
  }
  const [answer] = await worker.query(`select ${hasToken(token)} as seen`, signal);
  if (answer?.rows[0]?.["seen"] === true) return worker;
  worker.end();
  throw pooled(
    "usage",
    "two connections through the pooler lead to different servers, so that a lock on one means nothing on the other",
  );
}

function pooled(code: "not_ready" | "usage", what: string, cause?: unknown): HeadgateError {
  const fix =
    "set HEADGATE_DATABASE_URL to the server's own address (the API may keep the pooled one), or give the pool at least two connections";
  return new HeadgateError(code, what, { fix, cause });
}
