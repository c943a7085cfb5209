import { HeadgateError } from "../errors.ts";
import { quoteLiteral, quoteName } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { isServerError, sqlState } from "../postgres/sqlstate.ts";
import type { Log } from "../report/log.ts";
import { cleanUp } from "./clean-up.ts";

/** Eight digits of the server's clock in seconds, eight that nobody else has. */
const pattern = "^headgate_scratch_[0-9a-f]{16}$";
/** A run opens its session within seconds, and keeps it: one that nobody is in for so long has nobody. */
const orphanedAfterMinutes = 10;

/**
 * Creates a database with the locale and encoding of the one the session is in.
 * @returns its name
 * @throws HeadgateError refused (77) when the role may not, not_ready (69) on a standby
 */
export async function createScratch(session: Session, signal: AbortSignal): Promise<string> {
  const [result] = await session.query(
    `select 'headgate_scratch_' || pg_catalog.lpad(pg_catalog.to_hex(extract(epoch from pg_catalog.clock_timestamp())::bigint), 8, '0')
        || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text || pg_catalog.pg_backend_pid()), 1, 8) as name,
      current_user as "user", pg_catalog.pg_encoding_to_char(encoding) as encoding, pg_catalog.to_jsonb(d) as facts
    from pg_catalog.pg_database d where datname = pg_catalog.current_database()`,
    signal,
  );
  const row = result?.rows[0] ?? {};
  const name = String(row["name"]);
  const locale = localeOf(row["facts"] as Record<string, unknown>);
  try {
    await session.query(
      `create database ${name} template template0 encoding ${quoteLiteral(String(row["encoding"]))} ${locale}`,
      signal,
    );
    return name;
  } catch (error) {
    // Whether it was made in spite of the signal is not known.
    if (signal.aborted) await dropScratch(session, name, signal);
    if (sqlState(error) === "42501") {
      throw new HeadgateError("refused", `${String(row["user"])} may not create databases`, {
        fix: `alter role ${quoteName(String(row["user"]))} createdb; or name an empty database with --scratch-url`,
        cause: error,
      });
    }
    if (!isServerError(error)) throw error;
    throw new HeadgateError(
      "not_ready",
      `no scratch database could be created: ${error.message} (${error.code})`,
      { fix: "name an empty database on another server with --scratch-url", cause: error },
    );
  }
}

/** The clauses for the locale: its provider has a name of its own since PostgreSQL 15, another column since 17. */
function localeOf(facts: Readonly<Record<string, unknown>>): string {
  const text = (name: string): string => quoteLiteral(String(facts[name]));
  const libc = `lc_collate ${text("datcollate")} lc_ctype ${text("datctype")}`;
  const other = facts["datlocale"] === undefined ? "daticulocale" : "datlocale";
  if (facts["datlocprovider"] === "i")
    return `${libc} locale_provider icu icu_locale ${text(other)}`;
  if (facts["datlocprovider"] === "b") {
    return `${libc} locale_provider builtin builtin_locale ${text(other)}`;
  }
  return libc;
}

/**
 * Drops it with everybody in it, also after a signal to stop. Never throws, because what it follows may be worse.
 * @returns why it is still there
 */
export async function dropScratch(
  session: Session,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  return cleanUp(signal, async (limit) => {
    await session.query(`drop database if exists ${quoteName(name)} with (force)`, limit);
    return undefined;
  });
}

/** Removes the databases of runs that were killed; says of those it may not remove that they are there. */
export async function dropOrphans(session: Session, log: Log, signal: AbortSignal): Promise<void> {
  const [result] = await session.query(
    `select datname as name from pg_catalog.pg_database d
    where datname ~ '${pattern}'
      and ('x' || pg_catalog.substr(datname, 18, 8))::bit(32)::bigint < extract(epoch from pg_catalog.clock_timestamp()) - 60 * ${orphanedAfterMinutes}
      and not exists (select from pg_catalog.pg_stat_activity a where a.datid = d.oid)`,
    signal,
  );
  for (const row of result?.rows ?? []) {
    const database = String(row["name"]);
    const facts = { phase: "scratch", database };
    try {
      // Without FORCE: the server itself refuses while anybody is in it.
      await session.query(`drop database if exists ${quoteName(database)}`, signal);
      log.info(facts, "dropped the scratch database of a run that was killed");
    } catch (error) {
      if (!isServerError(error)) throw error;
      log.warn(
        { ...facts, error: error.message },
        "found the scratch database of a run that was killed, and could not drop it",
      );
    }
  }
}
