import { hostname } from "node:os";
import type { Config } from "./config.ts";
import { sleep } from "./deadline.ts";
import { HeadgateError } from "./errors.ts";
import { lockKeys } from "./lock/key.ts";
import { describeHolder, findHolder, type Holder, lockIsHeld, tryLock } from "./lock/lock.ts";
import { type Context, lookWhenReady } from "./look.ts";
import { applyPending } from "./migrations/apply-pending.ts";
import type { Migration } from "./migrations/folder.ts";
import { type History, locateHistory, type Look, lookAtHistory } from "./migrations/history.ts";
import { listNames, type Plan, planMigrations, refuseUnlessSound } from "./migrations/plan.ts";
import type { Target } from "./migrations/record.ts";
import { nameApplication } from "./postgres/application-name.ts";
import { ConnectionLost, type Session } from "./postgres/session.ts";
import { migrationSettings, setForSession } from "./postgres/session-settings.ts";
import type { Log } from "./report/log.ts";

/** Waiters poll at about a tenth of the time they have waited: quick for a short migration, gentle for a long one. */
const pollShare = 0.1;
const fastestPollMs = 50;
const slowestPollMs = 5000;
const progressEveryMs = 5000;

/**
 * Brings the database up to the files: waits until it is ready, looks, and only if something is pending takes the
 * lock, looks again and applies. Waiters hold no connection between their looks, and each look comes before the try
 * for the lock, so that all of them leave together when the holder has committed.
 */
export async function openGate(context: Context, migrations: readonly Migration[]): Promise<void> {
  const { config, log, signal } = context;
  const started = performance.now();
  let waitingSince: number | undefined;
  let lastLine = Number.NEGATIVE_INFINITY;
  for (;;) {
    const { session, answer: look } = await lookWhenReady(context, { mustWrite: true });
    let attempt: Attempt;
    try {
      const plan = planMigrations(migrations, look.history);
      refuseUnlessSound(plan, config.failWhenAhead);
      if (plan.pending.length === 0) return reportUpToDate(log, migrations, plan, started);

      waitingSince ??= performance.now();
      attempt = await tryToLock(config, session, look, signal);
      if ("target" in attempt) return await applyUnderLock(context, attempt, migrations, started);
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

/** The lock, with all that applying needs; or who has it, as far as can be seen. */
type Attempt = Locked | { readonly holder: Holder | undefined };
type Locked = { readonly target: Target; readonly history: History };

async function tryToLock(
  config: Config,
  session: Session,
  { facts }: Look,
  signal: AbortSignal,
): Promise<Attempt> {
  if (session.handshakePid !== facts.pid) throw pooled();
  const wanted = migrationSettings(facts.serverVersion, config.statementTimeoutMs);
  try {
    const historyTable = await locateHistory(session, config.historyTable, signal);
    if (historyTable === undefined) throw noSchema();
    const keys = lockKeys(...historyTable);
    const settings = await setForSession(session, wanted, signal);
    if (!(await tryLock(session, keys, signal))) {
      return { holder: await findHolder(session, keys, signal) };
    }
    const applicationName = (migration: Migration): string =>
      nameApplication(hostname(), migration.fileName);
    // Another replica may have applied some or all of it between the look and the lock.
    const { history } = await lookAtHistory(session, config.historyTable, signal);
    return {
      target: { session, settings, historyTable, lockIsHeld: lockIsHeld(keys), applicationName },
      history,
    };
  } catch (error) {
    // Nothing was begun; the next look waits until the server is back.
    if (error instanceof ConnectionLost) return { holder: undefined };
    throw error;
  }
}

async function applyUnderLock(
  { config, log, signal }: Context,
  { target, history }: Locked,
  migrations: readonly Migration[],
  started: number,
): Promise<void> {
  const plan = planMigrations(migrations, history);
  refuseUnlessSound(plan, config.failWhenAhead);
  if (plan.pending.length === 0) return reportUpToDate(log, migrations, plan, started);
  log.info({ phase: "lock", pending: plan.pending.length }, "locked");
  await applyPending(target, plan.pending, history, log, signal);
}

function reportUpToDate(
  log: Log,
  migrations: readonly Migration[],
  plan: Plan,
  started: number,
): void {
  if (migrations.length === 0) log.warn({ phase: "look" }, "found no migrations in the folder");
  if (plan.ahead.length > 0) {
    log.warn(
      { phase: "look", ahead: listNames(plan.ahead) },
      "found the database ahead of this image: it has migrations this image does not know; proceeding",
    );
  }
  const ms = Math.round(performance.now() - started);
  log.info({ phase: "look", applied: plan.applied.length, ms }, "found nothing pending");
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

/** Behind a pooler a session's lock may be one backend's and its work another's. */
function pooled(): HeadgateError {
  return new HeadgateError(
    "usage",
    "the connection goes through a pooler (the process id of the handshake is not the backend's), where a migration lock may be an illusion",
    {
      fix: "set HEADGATE_DATABASE_URL to the server's own address; the API may keep the pooled one",
    },
  );
}

function noSchema(): HeadgateError {
  return new HeadgateError(
    "refused",
    "there is no schema to create the history table in: the search path names none that exists",
    { fix: "create the schema, or name one with --history-table schema.table" },
  );
}
