import type { Migration } from "../migrations/folder.ts";
import { setConfigCalls } from "../postgres/session-settings.ts";
import { mannerOf } from "../sql/manner.ts";
import type { Statement } from "../sql/statements.ts";
import { restoreSession, settingsFor } from "./manners.ts";
import { recording } from "./record.ts";
import { explaining } from "./sql-failure.ts";
import type { Step } from "./step-table.ts";
import type { Target } from "./target.ts";

const unfinishedState =
  "the steps that are noted as done are committed; the next run goes on behind them";

/** A file on its way. */
export type Stepwise = {
  readonly target: Target;
  readonly migration: Migration;
  readonly statements: readonly Statement[];
  readonly steps: readonly Step[];
  /** The SETs so far: each step starts from a clean session, and they are put before it. */
  readonly settings: Step[];
  /** Removes the history row of the migration that the file undoes; its first step to take effect takes this along. */
  removal: string | undefined;
  readonly signal: AbortSignal;
};

/** The session as the file has set it so far. */
export async function prepare(
  file: Stepwise,
  limits: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { target, migration, signal } = file;
  const own = `select ${setConfigCalls({ ...settingsFor(target, migration), ...limits }, false)}`;
  const theirs = settingsPart(file);
  const sql = theirs === undefined ? own : `${own};\n${theirs.own}`;
  await explaining(migration, "when its settings were set again", unfinishedState, () =>
    target.session.query(sql, signal),
  );
}

export function remember(file: Stepwise, step: Step): void {
  if (mannerOf(file.migration.sql, step) === "setting") file.settings.push(step);
}

function settingsPart({
  settings,
}: Stepwise): { own: string; statements: number } | undefined {
  if (settings.length === 0) return undefined;
  return { own: settings.map(({ text }) => `${text}\n;`).join(""), statements: settings.length };
}

/**
 * What comes before a step in its transaction. The history row of an undone migration goes first, as the role headgate
 * connected as: from then on no server that needs the migration starts.
 */
export function partBefore(file: Stepwise): { own: string; statements: number } | undefined {
  const settings = settingsPart(file);
  if (file.removal === undefined) return settings;
  const { own, statements } = settings ?? { own: "", statements: 0 };
  return { own: `${file.removal}\n;${own}`, statements: statements + 1 };
}

/**
 * Writes into headgate's own tables, as the role it connected as.
 * @param elsewhere for errors: when this was
 */
export async function checkpoint(
  { target, migration, signal }: Stepwise,
  sql: string,
  elsewhere = "when its progress was noted",
  state = unfinishedState,
): Promise<void> {
  const { session } = target;
  await recording(target, migration.path, () =>
    explaining(migration, elsewhere, state, async () => {
      // Apart, because a transaction is read-only from its start if the file has set default_transaction_read_only.
      await session.query(restoreSession(target), signal);
      await session.query(sql, signal);
    }),
  );
}
