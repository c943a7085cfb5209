import { HeadgateError } from "../errors.ts";
import { type Context, lookWhenReady } from "../look.ts";
import { readFolder } from "../migrations/folder.ts";
import type { AppliedRow, History } from "../migrations/history.ts";
import { type Plan, planMigrations, planProblems } from "../migrations/plan.ts";
import { print } from "../report/print.ts";

type Entry = { id: number; name: string; state: string; executedAt: string | null };

/** `headgate status`: what is applied, pending, changed, missing, or ahead. Reads only, also from a standby. */
export async function status(context: Context): Promise<number> {
  const { config } = context;
  const migrations = await readFolder(config.migrationsDir);
  const { session, answer } = await lookWhenReady(context, { mustWrite: false });
  session.end();
  const plan = planMigrations(migrations, answer.history);
  const entries = listEntries(plan, answer.history);
  print(
    config.json
      ? toJson(plan, entries, answer.history, config.historyTable.join("."))
      : toTable(entries),
  );
  if (!config.exitCode) return 0;

  const problems = planProblems(plan, config.failWhenAhead);
  if (problems.length > 0) {
    throw new HeadgateError("history_mismatch", "the history and the files disagree", { problems });
  }
  return plan.pending.length > 0 ? 3 : 0;
}

function listEntries(plan: Plan, history: History): Entry[] {
  const rows = new Map(history.rows.map((row) => [row.id, row]));
  const entry = ({ id, name }: { id: number; name: string }, state: string): Entry => ({
    ...{ id, name, state },
    executedAt: rows.get(id)?.executedAt ?? null,
  });
  return [
    ...plan.applied.map((migration) => entry(migration, "applied")),
    ...plan.changed.map(({ migration }) => entry(migration, "changed")),
    ...plan.missing.map((row: AppliedRow) => entry(row, "missing")),
    ...plan.pending.map((migration) =>
      entry(migration, plan.outOfOrder.includes(migration) ? "out of order" : "pending"),
    ),
    ...plan.ahead.map((row: AppliedRow) => entry(row, "ahead")),
  ].toSorted((a, b) => a.id - b.id);
}

function toJson(plan: Plan, entries: readonly Entry[], history: History, table: string): string {
  const count = (state: string): number => entries.filter((entry) => entry.state === state).length;
  const result = {
    historyTable: history.exists ? table : null,
    upToDate: plan.pending.length + plan.changed.length + plan.missing.length === 0,
    applied: count("applied"),
    pending: plan.pending.length,
    changed: count("changed"),
    missing: count("missing"),
    outOfOrder: count("out of order"),
    ahead: count("ahead"),
    migrations: entries,
  };
  return `${JSON.stringify(result, null, 2)}\n`;
}

function toTable(entries: readonly Entry[]): string {
  if (entries.length === 0) return "no migrations\n";
  const idWidth = Math.max(2, ...entries.map(({ id }) => String(id).length));
  const stateWidth = Math.max(5, ...entries.map(({ state }) => state.length));
  const row = (id: string, state: string, at: string, name: string): string =>
    `${id.padStart(idWidth)}  ${state.padEnd(stateWidth)}  ${at.padEnd(19)}  ${name}`;
  return [
    row("id", "state", "applied at", "name"),
    ...entries.map((entry) =>
      row(String(entry.id), entry.state, entry.executedAt?.slice(0, 19) ?? "", entry.name),
    ),
    "",
  ].join("\n");
}
