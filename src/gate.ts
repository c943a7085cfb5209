import { hostname } from "node:os";
import { sleep } from "./deadline.ts";
import { HeadgateError } from "./errors.ts";
import type { Config } from "./config.ts";
import { lockKeys } from "./lock/key.ts";
import { describeHolder, findHolder, type Holder, lockIsHeld, tryLock } from "./lock/lock.ts";
import { applyMigration, createHistory } from "./migrations/apply.ts";
import type { Migration } from "./migrations/folder.ts";
import { type Look, lookAtHistory } from "./migrations/history.ts";
import { listNames, type Plan, planMigrations, refuseUnlessSound } from "./migrations/plan.ts";
import { findUnsendable } from "./migrations/transaction-control.ts";
import { nameApplication } from "./postgres/application-name.ts";
import { mustBeWritable } from "./postgres/facts.ts";
import type { Session } from "./postgres/session.ts";
import { migrationSettings, setForSession } from "./postgres/session-settings.ts";
import { createDatabase } from "./readiness/create-database.ts";
import { waitUntilReady } from "./readiness/wait-until-ready.ts";
import type { Log } from "./report/log.ts";

/** What every command works with. */
export type Context = { readonly config: Config; readonly log: Log; readonly signal: AbortSignal };

/** Waiters poll at about a tenth of the time they have waited: quick for a short migration, gentle for a long one. */
const pollShare = 0.1;
const fastestPollMs = 50;
const slowestPollMs = 5000;
const progressEveryMs = 5000;

/**
 * Brings the database up to the files: waits until it is ready, looks, and only if something is pending takes the
 * lock, looks again and applies. Waiters hold no connection between their looks, and each look comes before the try
 * for the lock, so that all of them leave together when the holder has committed.
 * @returns how many migrations this process applied
 */
export async function openGate(
  context: Context,
  migrations: readonly Migration[],
): Promise<number> {
  const { config, log, signal } = context;
  const started = performance.now();
  let waitingSince: number | undefined;
  let lastLine = 0;
  for (;;) {
    const { session, answer: look } = await lookWhenReady(context, { mustWrite: true });
    try {
      const plan = planMigrations(migrations, look.history);
      refuseUnlessSound(plan, config.failWhenAhead);
      if (plan.pending.length === 0) {
        reportUpToDate(log, migrations, plan, started);
        return 0;
      }
      waitingSince ??= performance.now();
      const holder = await lockAndApply(context, session, migrations, look);
      if (typeof holder === "number") return holder;

      const waited = performance.now() - waitingSince;
      if (waited >= config.lockWaitMs) throw lockTimeout(holder.holder, waited);
      if (lastLine === 0 || performance.now() - lastLine >= progressEveryMs) {
        lastLine = performance.now();
        const facts = {
          phase: "lock",
          holder: describeHolder(holder.holder),
          pending: plan.pending.length,
        };
        log.info({ ...facts, ms: Math.round(waited) }, "waiting for the lock");
      }
    } finally {
      await session.end();
    }
    const waited = performance.now() - waitingSince;
    const interval = Math.min(slowestPollMs, Math.max(fastestPollMs, waited * pollShare));
    await sleep(
      Math.min(Math.random() * interval, Math.max(0, config.lockWaitMs - waited)),
      signal,
    );
  }
}

/** Opens a session as soon as the database is ready, with the history already read. */
export function lookWhenReady(
  { config, log, signal }: Context,
  need: { mustWrite: boolean; waitTimeoutMs?: number; authGraceMs?: number },
): Promise<{ session: Session; answer: Look }> {
  const applicationName = nameApplication(hostname());
  const settings = (): Config["database"]["settings"] => config.rereadDatabase().settings;
  return waitUntilReady(
    {
      settings,
      applicationName,
      waitTimeoutMs: need.waitTimeoutMs ?? config.waitTimeoutMs,
      connectTimeoutMs: config.connectTimeoutMs,
      authGraceMs: need.authGraceMs ?? config.authGraceMs,
      log,
      ask: async (session, limit) => {
        const look = await lookAtHistory(session, config.historyTable, limit);
        if (need.mustWrite) mustBeWritable(look.facts);
        return look;
      },
      ...(config.createDatabase
        ? {
            createDatabase: (limit: AbortSignal) =>
              createDatabase(settings(), applicationName, config.connectTimeoutMs, limit),
          }
        : {}),
    },
    signal,
  );
}

/** @returns how many were applied, or who has the lock */
async function lockAndApply(
  { config, log, signal }: Context,
  session: Session,
  migrations: readonly Migration[],
  look: Look,
): Promise<number | { holder: Holder | undefined }> {
  const { schema, table } = look.history;
  if (schema === null) {
    throw new HeadgateError(
      "refused",
      "there is no schema to create the history table in: the search path names none that exists",
      {
        fix: "create the schema, or name one with --history-table schema.table",
      },
    );
  }
  refusePooler(session, look);
  const keys = lockKeys(schema, table);
  const wanted = migrationSettings(look.facts.serverVersion, config.statementTimeoutMs);
  const settings = await setForSession(session, wanted, signal);
  if (!(await tryLock(session, keys, signal)))
    return { holder: await findHolder(session, keys, signal) };

  // Another replica may have applied all of it between our look and our lock.
  const { history } = await lookAtHistory(session, config.historyTable, signal);
  const plan = planMigrations(migrations, history);
  refuseUnlessSound(plan, config.failWhenAhead);
  refuseUnsendable(plan);
  log.info({ phase: "lock", pending: plan.pending.length }, "locked");

  const target = {
    session,
    settings,
    historyTable: [schema, table] as const,
    lockIsHeld: lockIsHeld(keys),
    applicationName: (migration: Migration) => nameApplication(hostname(), migration.fileName),
  };
  session.onNotice(({ severity, message }) => {
    if (severity === "WARNING") log.warn({ phase: "migrate", message }, "warned by the server");
    else log.debug({ phase: "migrate", severity, message }, "told by the server");
  });
  const started = performance.now();
  if (!history.exists) await createHistory(target, signal);
  for (const migration of plan.pending) {
    const began = performance.now();
    await applyMigration(target, migration, signal);
    log.info({ phase: "migrate", migration: migration.fileName, ms: since(began) }, "applied");
  }
  log.info({ phase: "migrate", applied: plan.pending.length, ms: since(started) }, "migrated");
  return plan.pending.length;
}

/** Behind a transaction pooler a session's lock may be one backend's and its work another's. */
function refusePooler(session: Session, { facts }: Look): void {
  if (session.handshakePid === facts.pid) return;
  throw new HeadgateError(
    "usage",
    "the connection goes through a pooler (the server's process id is not the one of the handshake), where a migration lock may be an illusion",
    {
      fix: "set HEADGATE_DATABASE_URL to the server's own address; the API may keep the pooled one",
    },
  );
}

function refuseUnsendable(plan: Plan): void {
  const problems = plan.pending.flatMap(findUnsendable);
  if (problems.length === 0) return;
  throw new HeadgateError(
    "sql_failed",
    "pending files cannot be applied as they are; nothing was changed",
    {
      problems,
      fix: "correct the files and run again",
    },
  );
}

function reportUpToDate(
  log: Log,
  migrations: readonly Migration[],
  plan: Plan,
  started: number,
): void {
  if (migrations.length === 0) log.warn({ phase: "look" }, "found no migrations in the folder");
  if (plan.ahead.length > 0) {
    const facts = { phase: "look", ahead: listNames(plan.ahead) };
    log.warn(
      facts,
      "found the database ahead of this image: it has migrations this image does not know; proceeding",
    );
  }
  log.info(
    { phase: "look", applied: plan.applied.length, ms: since(started) },
    "found nothing pending",
  );
}

function lockTimeout(holder: Holder | undefined, waited: number): HeadgateError {
  const who = describeHolder(holder);
  return new HeadgateError(
    "lock_timeout",
    `the migration lock was not free within ${Math.round(waited)} ms; held by ${who}; nothing was changed`,
    {
      fix: "look at what the holder does (pg_stat_activity); raise --lock-wait if it is only slow",
      details: { phase: "lock", holder },
    },
  );
}

const since = (started: number): number => Math.round(performance.now() - started);
