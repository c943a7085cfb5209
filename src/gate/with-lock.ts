import { hostname } from "node:os";
import type { Target } from "../apply/target.ts";
import { HeadgateError } from "../errors.ts";
import { lockKeys } from "../lock/key.ts";
import { type Context, lookWhenReady } from "../look.ts";
import type { Migration } from "../migrations/folder.ts";
import { type History, locateHistory, type Look, lookAtHistory } from "../migrations/history.ts";
import { nameApplication } from "../postgres/application-name.ts";
import type { Session } from "../postgres/session.ts";
import { ownTables } from "./own-tables.ts";
import { type Attempt, takeLock } from "./take-lock.ts";
import { underLock } from "./under-lock.ts";

/** The lock of a history table, with all that work under it needs. */
export type Locked = {
  readonly target: Target;
  /** As it is now that nobody else can change it. */
  readonly history: History;
  /** Closes what was opened beside the session that looked. */
  readonly end: () => void;
};

/**
 * Does work under the migration lock, if a look at the history says that there is any.
 * @param wants whether there is work to do; asked at each look
 * @throws HeadgateError lock_timeout (75) that names the holder, after --lock-wait; refused (77) when there is no schema
 * for the history table
 */
export function withLock(
  context: Context,
  wants: (look: Look) => boolean,
  work: (locked: Locked) => Promise<void>,
): Promise<void> {
  return underLock(context, {
    look: (session, limit) => lookAtHistory(session, context.config.historyTable, limit),
    wants,
    take: (session, look) => takeHistoryLock(context, session, look),
    work,
  });
}

/** Tries once to take the lock of the history table. */
export async function takeHistoryLock(
  context: Context,
  session: Session,
  { facts }: Look,
): Promise<Locked | Exclude<Attempt, { end: unknown }>> {
  const { config, signal } = context;
  const historyTable = await locateHistory(session, config.historyTable, signal);
  if (historyTable === undefined) throw noSchema();
  const held = await takeLock(context, session, facts, lockKeys(...historyTable));
  if (!("end" in held)) return held;
  // Another replica may have applied some or all of it between the look and the lock.
  const { history } = await lookAtHistory(held.session, config.historyTable, signal);
  const { end, ...lock } = held;
  const target: Target = {
    ...lock,
    historyTable,
    hasJournal: false,
    ownTables: ownTables(config.sets),
    applicationName: (migration: Migration) => nameApplication(hostname(), migration.fileName),
    lockManners: {
      budgetMs: config.ddlLockBudgetMs,
      showQueries: config.showQueries,
      ...(config.cancelBlockersMs === undefined ? {} : { cancelIdleMs: config.cancelBlockersMs }),
    },
    openObserver: async (limit, waitTimeoutMs = 0) => {
      const need = { mustWrite: true, waitTimeoutMs, authGraceMs: waitTimeoutMs };
      return (await lookWhenReady({ ...context, signal: limit }, need)).session;
    },
    log: context.log,
  };
  return { target, history, end };
}

/** @returns the refusal to work where no schema of the search path exists */
export function noSchema(): HeadgateError {
  return new HeadgateError(
    "refused",
    "there is no schema to create the history table in: the search path names none that exists",
    { fix: "create the schema, or name one with --history-table schema.table" },
  );
}
