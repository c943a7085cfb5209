import { HeadgateError } from "../errors.ts";
import { connectFirst } from "../postgres/connect.ts";
import { quoteName } from "../postgres/facts.ts";
import type { DatabaseSettings } from "../postgres/settings.ts";
import { sqlState } from "../postgres/sqlstate.ts";

/** Another replica was faster: the duplicate is noticed by name, or only by the catalog's unique index. */
const alreadyThere = new Set(["42P04", "23505"]);
/** The template is being copied by another replica at this moment. */
const busy = new Set(["55006"]);

/**
 * Creates the database of the settings, through the `postgres` database of the same server. Safe when many replicas
 * do it at once.
 * @throws HeadgateError refused (77) when the role may not
 */
export async function createDatabase(
  settings: DatabaseSettings,
  applicationName: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const maintenance = { ...settings, database: "postgres" };
  const { session } = await connectFirst(maintenance, applicationName, timeoutMs, signal, () =>
    Promise.resolve(),
  );
  try {
    await session.query(`create database ${quoteName(settings.database)}`, signal);
  } catch (error) {
    const code = sqlState(error);
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
  } finally {
    await session.end();
  }
}
