import { HeadgateError } from "../errors.ts";
import { connectFirst, type Limits } from "../postgres/connect.ts";
import { NotWritable, quoteName } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import type { DatabaseSettings } from "../postgres/settings.ts";
import { sqlState } from "../postgres/sqlstate.ts";

/** Another replica was faster: the duplicate is noticed by name, or only by the catalog's unique index. */
const alreadyThere = new Set(["42P04", "23505"]);
/** The template is being copied by another replica at this moment. */
const busy = new Set(["55006"]);
/** What a standby says to CREATE DATABASE. */
const readOnly = "25006";

/**
 * Creates the database of the settings, through the `postgres` database of the same server. Safe when many replicas
 * do it at once.
 * @throws ConnectFailed with what each server said; in it HeadgateError refused (77) when the role may not
 */
export async function createDatabase(
  settings: DatabaseSettings,
  applicationName: string,
  limits: Limits,
  signal: AbortSignal,
): Promise<void> {
  const maintenance = { ...settings, database: "postgres" };
  // As the question that makes a server the right one, so that a standby is passed over. Without the connect
  // timeout: the template may be large.
  const { session } = await connectFirst(
    maintenance,
    applicationName,
    limits,
    signal,
    (candidate) => createOn(candidate, settings, signal),
  );
  session.end();
}

async function createOn(
  session: Session,
  settings: DatabaseSettings,
  signal: AbortSignal,
): Promise<void> {
  try {
    await session.query(`create database ${quoteName(settings.database)}`, signal);
  } catch (error) {
    const code = sqlState(error);
    if (code === readOnly) throw new NotWritable(true);
    if (alreadyThere.has(code) || busy.has(code)) return;
    if (code !== "42501") throw error;
    throw new HeadgateError(
      "refused",
      `the database ${settings.database} does not exist and ${settings.user} may not create it`,
      {
        fix: `create it, or: alter role ${quoteName(settings.user)} createdb`,
        cause: error,
      },
    );
  }
}
