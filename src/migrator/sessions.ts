import { randomBytes } from "node:crypto";
import { sleep, withTimeout } from "../deadline.ts";
import { quoteLiteral } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";

/** The server cuts application_name at NAMEDATALEN - 1 bytes. */
const mostBytes = 63;

/**
 * The name of all sessions of one run of a migrator, unlike that of any other run: `headgate-migrator 1f0c… api-1`.
 * libpq and most drivers take it from PGAPPNAME.
 */
export function newApplicationName(host: string): string {
  const start = `headgate-migrator ${randomBytes(6).toString("hex")} `;
  return start + host.replace(/[^!-~]/g, "_").slice(-(mostBytes - start.length));
}

/**
 * Ends the sessions of a run that must not go on. A session of another role's stays, unless we may end it.
 * @returns how many there were
 */
export async function endSessions(
  session: Session,
  application: string,
  signal: AbortSignal,
): Promise<number> {
  const [result] = await session.query(endingSessions(application), signal);
  return Number(result?.rows[0]?.["found"]);
}

/** A second is what `afterwards` gives a last word, too; a backend ends in milliseconds. */
const sweepMs = 1000;
const pauseMs = 20;

/**
 * Ends the sessions of a run that was stopped, and waits until they are gone, for a second at most. Also after a signal
 * to stop; never throws, because what it follows is worse.
 */
export async function sweepSessions(session: Session, application: string): Promise<void> {
  const limit = withTimeout(new AbortController().signal, sweepMs, () => new Error("too late"));
  try {
    while ((await endSessions(session, application, limit.signal)) > 0) {
      await sleep(pauseMs, limit.signal);
    }
  } catch {
    // Whoever takes the lock next ends them.
  } finally {
    limit.clear();
  }
}

/** The same as a statement. */
export const endingSessions = (application: string): string =>
  `select count(*) as found, count(case when pg_catalog.pg_has_role(usesysid, 'member') then pg_catalog.pg_terminate_backend(pid) end) as ended
  from pg_catalog.pg_stat_activity where application_name = ${quoteLiteral(application)} and pid <> pg_catalog.pg_backend_pid()`;
