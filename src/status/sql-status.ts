import type { PreparedSql } from "../gate/prepare-sets.ts";
import type { Config } from "../config.ts";
import { lookWhenReady } from "../look.ts";
import { undoStepsOf } from "../apply/half-undone.ts";
import { readSteps, type StepRow } from "../apply/step-table.ts";
import { lockKeys } from "../lock/key.ts";
import { findHolder } from "../lock/lock.ts";
import { type AppliedRow, type History, locateHistory } from "../migrations/history.ts";
import { type Plan, planMigrations, planProblems } from "../migrations/plan.ts";
import type { Session } from "../postgres/session.ts";
import { readUndoFiles } from "../migrations/undo-files.ts";
import { splitStatements } from "../sql/statements.ts";
import type { SetStatus } from "./set-status.ts";

type Entry = {
  id: number;
  name: string;
  state: string;
  executedAt: string | null;
  /** Of a file without a transaction, or one that undoes it, that has been begun. */
  steps?: { done: number; of: number };
};

/** Looks at a set of SQL files: what is applied, pending, changed, missing, or ahead. Reads only, also from a standby. */
export async function sqlStatus({ context, migrations }: PreparedSql): Promise<SetStatus> {
  const { config } = context;
  const { session, answer } = await lookWhenReady(context, { mustWrite: false });
  const plan = planMigrations(migrations, answer.history);
  const begun = await lookAtBegun(session, plan, config, context.signal);
  session.end();
  const entries = listEntries(plan, answer.history, begun);
  const problems = planProblems(plan, config.failWhenAhead);
  return {
    text: toTable(entries),
    json: toJson(plan, entries, answer.history, config.historyTable.join(".")),
    hasPending: plan.pending.length > 0,
    problems,
  };
}

type Begun = ReadonlyMap<number, Pick<Entry, "state" | "steps">>;

/** The pending files of which some steps are applied or undone, and one may be in doubt. */
async function lookAtBegun(
  session: Session,
  plan: Plan,
  { historyTable: names, migrationsDir }: Config,
  signal: AbortSignal,
): Promise<Begun> {
  const begun = new Map<number, Pick<Entry, "state" | "steps">>();
  const { pending } = plan;
  const historyTable =
    pending.length === 0 ? undefined : await locateHistory(session, names, signal);
  if (historyTable === undefined) return begun;
  const rows = (await readSteps(session, historyTable, signal)) ?? [];
  if (rows.length === 0) return begun;
  // A step that was started is being run, if somebody has the lock.
  const holder = await findHolder(session, lockKeys(...historyTable), signal);
  const set = (id: number, own: readonly StepRow[], sql: string, unfinished: string): void => {
    if (own.length === 0) return;
    const isStarted = own.some(({ state }) => state === "started");
    begun.set(id, {
      state: holder !== undefined ? "running" : isStarted ? "in doubt" : unfinished,
      steps: {
        done: own.filter(({ state }) => state === "done").length,
        of: splitStatements(sql).statements.length,
      },
    });
  };
  const undoFiles = readUndoFiles(migrationsDir, pending);
  for (const { id, sql } of pending) {
    const applied = rows.filter(({ migration }) => migration === id);
    set(id, applied, sql, "unfinished");
    set(id, undoStepsOf(id, rows), undoFiles.get(id)?.sql ?? "", "half undone");
  }
  return begun;
}

function listEntries(plan: Plan, history: History, begun: Begun): Entry[] {
  const rows = new Map(history.rows.map((row) => [row.id, row]));
  const entry = ({ id, name }: { id: number; name: string }, state: string): Entry => ({
    ...{ id, name, state },
    executedAt: rows.get(id)?.executedAt ?? null,
  });
  return [
    ...plan.applied.map((migration) => entry(migration, "applied")),
    ...plan.changed.map(({ migration }) => entry(migration, "changed")),
    ...plan.missing.map((row: AppliedRow) => entry(row, "missing")),
    ...plan.pending.map((migration) => ({
      ...entry(migration, plan.outOfOrder.includes(migration) ? "out of order" : "pending"),
      ...begun.get(migration.id),
    })),
    ...plan.ahead.map((row: AppliedRow) => entry(row, "ahead")),
  ].toSorted((a, b) => a.id - b.id);
}

function toJson(plan: Plan, entries: readonly Entry[], history: History, table: string): object {
  const count = (state: string): number => entries.filter((entry) => entry.state === state).length;
  return {
    historyTable: history.exists ? table : null,
    upToDate: plan.pending.length + plan.changed.length + plan.missing.length === 0,
    applied: count("applied"),
    pending: plan.pending.length,
    changed: count("changed"),
    missing: count("missing"),
    inDoubt: count("in doubt"),
    outOfOrder: count("out of order"),
    ahead: count("ahead"),
    migrations: entries,
  };
}

function toTable(entries: readonly Entry[]): string {
  if (entries.length === 0) return "no migrations\n";
  const idWidth = Math.max(2, ...entries.map(({ id }) => String(id).length));
  const stateWidth = Math.max(5, ...entries.map(({ state }) => state.length));
  const row = (id: string, state: string, at: string, name: string): string =>
    `${id.padStart(idWidth)}  ${state.padEnd(stateWidth)}  ${at.padEnd(19)}  ${name}`;
  return [
    row("id", "state", "applied at", "name"),
    ...entries.map((entry) => row(String(entry.id), entry.state, progressOf(entry), entry.name)),
    "",
  ].join("\n");
}

function progressOf({ executedAt, steps }: Entry): string {
  if (steps !== undefined) return `${steps.done} of ${steps.of} steps`;
  return executedAt?.slice(0, 19) ?? "";
}
