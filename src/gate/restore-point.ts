import type { Session } from "../postgres/session.ts";
import type { Log } from "../report/log.ts";

/**
 * Logs where in the write-ahead log the database stood before anything was applied, so that a recovery to that point
 * is possible; and names the point, where the role may and the server archives
 * (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-BACKUP).
 */
export async function markPoint(session: Session, log: Log, signal: AbortSignal): Promise<void> {
  // Seconds are enough to tell two runs apart; the server takes 63 bytes.
  const name = `headgate ${new Date().toISOString().slice(0, 19)}Z`;
  const [result] = await session.query(
    `select pg_catalog.pg_current_wal_lsn()::text as wal,
      pg_catalog.has_function_privilege('pg_catalog.pg_create_restore_point(text)', 'execute')
        and pg_catalog.current_setting('wal_level') <> 'minimal' as may_name`,
    signal,
  );
  const { wal, may_name: mayName } = result?.rows[0] ?? {};
  if (mayName === true) {
    await session.query(`select pg_catalog.pg_create_restore_point('${name}')`, signal);
  }
  log.info({ phase: "before", wal, ...(mayName === true ? { restorePoint: name } : {}) }, "marked");
}
