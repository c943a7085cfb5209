import { randomBytes } from "node:crypto";
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

/** The same as a statement. */
export const endingSessions = (application: string): string =>
  `select count(*) as found, count(case when pg_catalog.pg_has_role(usesysid, 'member') then pg_catalog.pg_terminate_backend(pid) end) as ended
  from pg_catalog.pg_stat_activity where application_name = ${quoteLiteral(application)} and pid <> pg_catalog.pg_backend_pid()`;
