import { HeadgateError } from "../errors.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";

/**
 * Compares two databases by the identity of the server and the database's number in it, because two names, addresses or
 * poolers may lead to one database.
 * @throws HeadgateError usage (64) when they are one; refused (77) when that cannot be known
 */
export async function refuseSameDatabase(
  target: Session,
  scratch: Session,
  signal: AbortSignal,
): Promise<void> {
  if ((await identify(target, signal)) !== (await identify(scratch, signal))) return;
  throw new HeadgateError(
    "usage",
    "the scratch database is the database to migrate itself; nothing was changed",
    { fix: "name another, empty database with --scratch-url" },
  );
}

async function identify(session: Session, signal: AbortSignal): Promise<string> {
  try {
    const [result] = await session.query(
      `select (select system_identifier from pg_catalog.pg_control_system()) || '/' ||
        (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) as id`,
      signal,
    );
    return String(result?.rows[0]?.["id"]);
  } catch (error) {
    if (sqlState(error) !== "42501") throw error;
    throw new HeadgateError(
      "refused",
      "whether the scratch database is another one than the database to migrate cannot be known: the server's identity may not be read",
      { fix: "grant execute on function pg_control_system() to the user", cause: error },
    );
  }
}
