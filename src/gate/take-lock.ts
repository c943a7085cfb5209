import { hostname } from "node:os";
import type { Target } from "../apply/target.ts";
import { type LockKey, lockKeys } from "../lock/key.ts";
import { findHolder, type Holder, lockIsHeld, tryLock } from "../lock/lock.ts";
import { hasToken, newToken, tryPooledLock } from "../lock/pooled.ts";
import { HeadgateError } from "../errors.ts";
import { type Context, lookWhenReady } from "../look.ts";
import type { Migration } from "../migrations/folder.ts";
import { type History, locateHistory, type Look, lookAtHistory } from "../migrations/history.ts";
import { nameApplication } from "../postgres/application-name.ts";
import { ConnectionLost, type Session } from "../postgres/session.ts";
import { migrationSettings, setForSession } from "../postgres/session-settings.ts";

/** The lock, with all that work under it needs. */
export type Locked = {
  readonly target: Target;
  /** As it is now that nobody else can change it. */
  readonly history: History;
  /** Closes what was opened beside the session that looked. */
  readonly end: () => void;
};

/** The lock; or who has it, as far as can be seen. */
export type Attempt = Locked | { readonly holder: Holder | undefined };

/**
 * Tries once to take the migration lock.
 * @param session the one that looked; the lock lives on it
 * @throws HeadgateError refused (77) when there is no schema for the history table
 */
export async function takeLock(
  context: Context,
  session: Session,
  { facts }: Look,
): Promise<Attempt> {
  const { config, signal } = context;
  // Behind a pooler the handshake tells the pooler's own number.
  const isPooled = session.handshakePid !== facts.pid;
  const wanted = migrationSettings(facts.serverVersion, config.statementTimeoutMs);
  try {
    const historyTable = await locateHistory(session, config.historyTable, signal);
    if (historyTable === undefined) throw noSchema();
    const keys = lockKeys(...historyTable);
    const token = newToken();
    const settings = isPooled ? wanted : await setForSession(session, wanted, signal);
    const isLocked = isPooled
      ? await tryPooledLock(session, keys, token, settings, signal)
      : await tryLock(session, keys, signal);
    if (!isLocked) return { holder: await findHolder(session, keys, signal) };

    const worker = isPooled ? await openWorker(context, token) : session;
    // Another replica may have applied some or all of it between the look and the lock.
    const { history } = await lookAtHistory(worker, config.historyTable, signal);
    const target: Target = {
      session: worker,
      isPooled,
      historyTable,
      lockIsHeld: isPooled ? hasToken(token) : lockIsHeld(keys),
      settings,
      applicationName: (migration: Migration) => nameApplication(hostname(), migration.fileName),
      lockManners: {
        budgetMs: config.ddlLockBudgetMs,
        showQueries: config.showQueries,
        ...(config.cancelBlockersMs === undefined ? {} : { cancelIdleMs: config.cancelBlockersMs }),
      },
      openObserver: async () => {
        const need = { mustWrite: true, waitTimeoutMs: 0, authGraceMs: 0 };
        return (await lookWhenReady(context, need)).session;
      },
      log: context.log,
    };
    return { target, history, end: () => isPooled && worker.end() };
  } catch (error) {
    // Nothing was begun; the next look waits until the server is back.
    if (error instanceof ConnectionLost) return { holder: undefined };
    throw error;
  }
}

/** A second connection through the pooler, for the work; it must reach the server that holds the lock. */
async function openWorker(context: Context, token: LockKey): Promise<Session> {
  const { config, signal } = context;
  let worker: Session;
  try {
    const need = { mustWrite: true, waitTimeoutMs: config.connectTimeoutMs };
    worker = (await lookWhenReady(context, need)).session;
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

function noSchema(): HeadgateError {
  return new HeadgateError(
    "refused",
    "there is no schema to create the history table in: the search path names none that exists",
    { fix: "create the schema, or name one with --history-table schema.table" },
  );
}
