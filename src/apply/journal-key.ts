import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import { durably } from "../postgres/session-settings.ts";
import { describeSqlState, isServerError } from "../postgres/sqlstate.ts";
import { journalKey, journalTable } from "./journal.ts";
import type { Target } from "./target.ts";

/** A dump reads the table for as long as it takes, and who wants to read it next would wait behind the change. */
const longestMs = 1000;

/** SQL: whether this role could give the journal the key that it lacks. An older headgate made it without one. */
export const lacksKey = (historyTable: Target["historyTable"]): string => {
  const journal = `pg_catalog.to_regclass(${quoteLiteral(quoteTable(journalTable(historyTable)))})`;
  return `exists (select from pg_catalog.pg_class where oid = ${journal} and relkind = 'r'
    and pg_catalog.pg_has_role(relowner, 'usage')
    and not exists (select from pg_catalog.pg_index where indrelid = ${journal} and indisprimary)
    and not exists (select from pg_catalog.pg_attribute where attrelid = ${journal} and attname = 'id'))`;
};

/**
 * Gives the journal a key. Without one a publication of all tables refuses what is deleted from it, and a subscriber
 * cannot tell two rows apart. That it cannot is said, and no reason to fail: the next run tries again.
 */
export async function giveKey(target: Target, signal: AbortSignal): Promise<void> {
  const { session, historyTable, log } = target;
  const text = `begin; ${durably(target)}set local lock_timeout = ${longestMs}; set local statement_timeout = ${5 * longestMs};
    alter table ${quoteTable(journalTable(historyTable))} add column if not exists ${journalKey}; commit`;
  try {
    await session.query(text, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!isServerError(error)) throw error;
    await session.afterwards("rollback");
    const reason = `${error.message} (${describeSqlState(error.code)})`;
    log.warn({ phase: "migrate", reason }, "could not give the journal its key");
  }
}
