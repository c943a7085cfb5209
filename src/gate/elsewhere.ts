import type { Context } from "../look.ts";
import { type Elsewhere, lookElsewhere } from "../migrations/elsewhere.ts";
import type { Migration } from "../migrations/folder.ts";
import type { History } from "../migrations/history.ts";
import type { Session } from "../postgres/session.ts";
import type { Log } from "../report/log.ts";

/** More are counted only: there may be one for each tenant. */
const mostNamed = 5;

/**
 * Looks whether another schema has a history of the same files, unless a new one is meant. Costs nothing where
 * something is recorded.
 * @param history as it was found on this session
 */
export async function elsewhereOf(
  { config }: Context,
  session: Session,
  migrations: readonly Migration[],
  history: History,
  signal: AbortSignal,
): Promise<Elsewhere> {
  if (config.isNewHistory) return { unread: [] };
  const known = config.sets.map(({ historyTable }) => historyTable);
  return lookElsewhere(session, config.historyTable, known, migrations, history, signal);
}

/** What cannot be seen is not absent. */
export function warnOfUnreadTables(log: Log, { unread }: Elsewhere): void {
  if (unread.length === 0) return;
  const more = unread.length > mostNamed ? ` and ${unread.length - mostNamed} more` : "";
  log.warn(
    { phase: "look", tables: `${unread.slice(0, mostNamed).join(", ")}${more}` },
    "could not see whether the history is in another schema: these tables may not be read",
  );
}
