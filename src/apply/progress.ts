import { sleep } from "../deadline.ts";
import type { Session } from "../postgres/session.ts";
import { Stopped } from "../errors.ts";
import type { Target } from "./target.ts";

/** Most builds are over before the first look; it costs a connection. */
const firstLookMs = 2000;
const lookEveryMs = 5000;

/**
 * Tells how far a statement has come that may take hours: which phase, how many percent, whom it waits for.
 * Looks from a session of its own, opened when the statement has taken a while and closed with it.
 * @param facts for each log line
 * @param work the statement, running on the target's session
 */
export async function withProgress<T>(
  target: Target,
  facts: object,
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const done = new AbortController();
  const stop = (): void => done.abort(new Stopped("SIGTERM"));
  signal.addEventListener("abort", stop, { once: true });
  const observing = observe(target, facts, done.signal).catch((error: unknown) => {
    // Progress is a courtesy: a server that has no connection to spare must not fail the build.
    if (!done.signal.aborted)
      target.log.debug({ phase: "migrate", error: String(error) }, "cannot see the progress");
  });
  try {
    return await work;
  } finally {
    stop();
    signal.removeEventListener("abort", stop);
    await observing;
  }
}

async function observe(target: Target, facts: object, signal: AbortSignal): Promise<never> {
  const started = performance.now();
  await sleep(firstLookMs, signal);
  const observer = await target.openObserver(signal);
  try {
    for (;;) {
      const progress = await readProgress(observer, target.session.handshakePid, signal);
      const ms = Math.round(performance.now() - started);
      target.log.info({ phase: "migrate", ...facts, ...progress, ms }, "still working");
      await sleep(lookEveryMs, signal);
    }
  } finally {
    observer.end();
  }
}

/** @param pid the backend that works */
async function readProgress(observer: Session, pid: number, signal: AbortSignal): Promise<object> {
  const [result] = await observer.query(
    `select p.phase, case when p.blocks_total > 0 then 100.0 * p.blocks_done / p.blocks_total
        when p.tuples_total > 0 then 100.0 * p.tuples_done / p.tuples_total
        when p.lockers_total > 0 then 100.0 * p.lockers_done / p.lockers_total end::float8 as percent,
      b.pid as blocker, b.application_name as application, b.state,
      extract(epoch from pg_catalog.clock_timestamp() - b.xact_start)::float8 as seconds
    from pg_catalog.pg_stat_activity a
      left join pg_catalog.pg_stat_progress_create_index p on p.pid = a.pid
      left join lateral pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) as blocking (pid) on true
      left join pg_catalog.pg_stat_activity b on b.pid = blocking.pid
    where a.pid = ${pid} order by b.xact_start limit 1`,
    signal,
  );
  const row = result?.rows[0] ?? {};
  const { phase, percent, blocker, seconds } = row;
  const application = (row["application"] as string | null) || "a session";
  const state = row["state"] === null ? "" : `, ${row["state"] as string}`;
  const age = seconds === null ? "" : `, transaction open for ${Number(seconds).toFixed(1)} s`;
  return {
    ...(typeof phase === "string" ? { doing: phase } : {}),
    ...(typeof percent === "number" ? { percent: Math.round(percent) } : {}),
    ...(typeof blocker === "number"
      ? { waitingFor: `${application} (pid ${blocker}${state}${age})` }
      : {}),
  };
}
