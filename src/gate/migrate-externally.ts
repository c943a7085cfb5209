import { hostname } from "node:os";
import { sleep } from "../deadline.ts";
import { HeadgateError } from "../errors.ts";
import { migratorKeys } from "../lock/key.ts";
import { askWhenReady, type Context } from "../look.ts";
import { locateHistory } from "../migrations/history.ts";
import { withFirstFailure } from "../migrator/first-failure.ts";
import type { Verdict } from "../migrator/judge.ts";
import { lookAtRuns, type RunLook, type RunRecord } from "../migrator/records.ts";
import { endSessions, newApplicationName, sweepSessions } from "../migrator/sessions.ts";
import { nameApplication } from "../postgres/application-name.ts";
import { askFacts, quoteLiteral } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { commitOfAll } from "../postgres/session-settings.ts";
import { describeSqlState, isServerError } from "../postgres/sqlstate.ts";
import { refuseUnlessRunApproved } from "./approved.ts";
import { betweenHooks } from "./hooks.ts";
import type { PreparedMigrator } from "./prepare-sets.ts";
import { firstFailureOf, recordBegin, recordFailure, recordSuccess } from "./record-migrator.ts";
import { runMigrator } from "./run-migrator.ts";
import { type Attempt, type Held, takeLock } from "./take-lock.ts";
import { underLock } from "./under-lock.ts";
import { aheadOf, judgeOf, refusalOfAhead } from "./verdict.ts";
import { noSchema } from "./with-lock.ts";

/** The lock of a migrator, and what the database says of it under the lock. */
type HeldForRun = Held & { readonly look: RunLook; readonly verdict: Verdict };

/**
 * Brings the database up to the files by another tool: looks whether they are the ones that were applied, and only if
 * they may not be, takes the lock, looks again and runs it.
 * @param began is called when there is something to do
 * @throws HeadgateError as `underLock`, `betweenHooks` and `runMigrator` do, and history_mismatch (65) where what is due
 * is not what was approved
 */
export async function migrateExternally(
  prepared: PreparedMigrator,
  began: (what: string) => void,
): Promise<void> {
  const { context, place } = prepared;
  await underLock<RunLook, HeldForRun>(context, {
    look: (session, limit) => lookAtRuns(session, place, limit),
    wants: (look) => isDue(prepared, judgeOf(prepared, look)),
    take: (session, look) => take(prepared, session, look),
    work: async (held) => {
      refuseUnlessRunApproved(prepared, held.look);
      if (!isDue(prepared, held.verdict)) return;
      const why = held.verdict.kind === "due" ? held.verdict.why : "";
      context.log.info({ phase: "lock", why }, "locked");
      const settled = await afterEarlierRun(prepared, held);
      began(prepared.set.command.join(" "));
      await runAndRecord(prepared, settled, why);
    },
  });
}

/** Says why nothing is to be done. @throws HeadgateError history_mismatch (65) with --on-ahead fail */
function isDue({ context }: PreparedMigrator, verdict: Verdict): boolean {
  const { config, log } = context;
  if (verdict.kind === "due") return true;
  const refusal = refusalOfAhead(verdict, config.failWhenAhead);
  if (refusal !== undefined) throw refusal;
  if (verdict.kind === "ahead")
    log.warn({ phase: "look", by: verdict.run.by }, aheadOf(verdict.run));
  log.info({ phase: "look", since: verdict.run.startedAt }, "found nothing pending");
  return false;
}

async function take(
  prepared: PreparedMigrator,
  session: Session,
  { facts }: RunLook,
): Promise<HeldForRun | Exclude<Attempt, Held>> {
  const { context, place, set } = prepared;
  const located = await locateHistory(session, place.table, context.signal);
  if (located === undefined) throw noSchema();
  // For other replicas, and for whoever looks at pg_stat_activity.
  const name = quoteLiteral(nameApplication(hostname(), set.name ?? set.preset ?? "migrator"));
  await session.query(`set application_name = ${name}`, context.signal);
  const held = await takeLock(context, session, facts, migratorKeys(...located, place.name));
  if (!("end" in held)) return held;
  const look = await lookAtRuns(held.session, place, context.signal);
  return { ...held, look, verdict: judgeOf(prepared, look) };
}

/** Beyond the grace period: what it takes to notice that the lock is gone, and to be killed. */
const noticeMs = 1500;
const pauseMs = 200;
/** Nothing waits for this but the exit. */
const sweepMs = 2000;

/** Looks once more where an earlier run has been ended: it may have gone on until then. */
async function afterEarlierRun(prepared: PreparedMigrator, held: HeldForRun): Promise<HeldForRun> {
  const { context, place } = prepared;
  if (openRun(held.look) === undefined) return held;
  await endEarlierRun(context, held);
  const look = await lookAtRuns(held.session, place, context.signal);
  refuseUnlessRunApproved(prepared, look);
  return { ...held, look };
}

/**
 * A run that never recorded its end may still go on: its headgate was killed, or cut off and has not noticed yet. Its
 * sessions are ended until it must be gone.
 */
async function endEarlierRun({ config, log, signal }: Context, held: HeldForRun): Promise<void> {
  const run = openRun(held.look);
  if (run === undefined) return;
  const { by, startedAt, graceMs, application } = run;
  log.warn({ phase: "lock", by, startedAt }, "found a run that never ended; ending its sessions");
  const began = performance.now();
  for (;;) {
    const left = await endSessions(held.session, application, signal);
    const waited = performance.now() - began;
    if (left === 0 && waited >= graceMs + noticeMs) return;
    if (waited >= Math.max(graceMs + noticeMs, config.lockWaitMs)) {
      throw new HeadgateError(
        "lock_timeout",
        `${left} sessions of an earlier run of the migrator do not end (application_name ${application}); nothing was changed`,
        {
          fix: "end them with pg_terminate_backend as their own role or a superuser; then run again",
        },
      );
    }
    await sleep(pauseMs, signal);
  }
}

const openRun = ({ runs }: RunLook): RunRecord | undefined =>
  runs.find(({ outcome }) => outcome === "started");

async function runAndRecord(
  prepared: PreparedMigrator,
  held: HeldForRun,
  why: string,
): Promise<void> {
  const { context, set } = prepared;
  const { session } = held;
  const application = newApplicationName(hostname());
  const begun = await recordBegin(prepared, held, application);
  const unwanted = openRun(held.look)?.application;
  const lock = { ...held, ...(unwanted === undefined ? {} : { unwanted }) };
  const plan = { ...(set.name === undefined ? {} : { set: set.name }), pending: [] };
  try {
    await betweenHooks(context, lock, { ...plan, migrator: set.command, why }, async () => {
      await runMigrator(prepared, lock, application);
      await keepCommits(context, session);
    });
  } catch (error) {
    // A run that was stopped may have left a session at work; the lock is given back only when that is gone.
    await sweepSessions(session, application);
    if (error instanceof HeadgateError && error.code === "not_ready")
      await sweepAgain(context, application);
    if (begun === undefined) await session.afterwards(commitOfAll);
    else await recordFailure(prepared, held, begun, error);
    throw withFirstFailure(error, firstFailureOf(prepared, held.look));
  }
  if (begun !== undefined) await recordSuccess(prepared, held, begun);
}

/** What the migrator committed outlives a crash of the server from now on, however its sessions were set. */
async function keepCommits({ log, signal }: Context, session: Session): Promise<void> {
  try {
    await session.query(commitOfAll, signal);
  } catch (error) {
    if (!isServerError(error)) throw error;
    const reason = `${error.message} (${describeSqlState(error.code)})`;
    const doubt = "cannot tell whether what the migrator committed would outlive a crash";
    log.warn({ phase: "migrator", reason }, doubt);
  }
}

/** Where the session that holds the lock is gone, another ends what the migrator left. */
async function sweepAgain(context: Context, application: string): Promise<void> {
  const need = { mustWrite: true, waitTimeoutMs: sweepMs, authGraceMs: 0 };
  const ask = async (session: Session, limit: AbortSignal) => ({
    facts: await askFacts(session, limit),
  });
  try {
    const { session } = await askWhenReady(context, need, ask);
    await sweepSessions(session, application);
    await session.afterwards(commitOfAll);
    session.end();
  } catch {
    // Out of reach; whoever takes the lock next ends them.
  }
}
