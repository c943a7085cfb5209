import type { PreparedSql } from "../gate/prepare-sets.ts";
import { elsewhereOf, warnOfUnreadTables } from "../gate/elsewhere.ts";
import { lookWhenReady } from "../look.ts";
import type { Elsewhere } from "../migrations/elsewhere.ts";
import { placeFlags } from "../sets.ts";
import { undoStepsOf } from "../apply/half-undone.ts";
import {
  type Journal,
  type JournalRow,
  readJournal,
  type Repair,
  type RepairRow,
} from "../apply/journal.ts";
import { readSteps, type StepRow } from "../apply/step-table.ts";
import { lockKeys } from "../lock/key.ts";
import { findHolder } from "../lock/lock.ts";
import { type AppliedRow, type History, locateHistory } from "../migrations/history.ts";
import { type Plan, planMigrations, refusalOf } from "../migrations/plan.ts";
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
  /** Null where the journal does not know: another tool applied it, or headgate before it kept one. */
  ms: number | null;
  by: { host: string; headgate: string; dbUser: string } | null;
  /** What `headgate repair` did to its history row, where that was the last that happened to it. */
  repaired?: { event: Repair; reason: string; at: string; host: string; dbUser: string };
};

/** Looks at a set of SQL files: what is applied, pending, changed, missing, or ahead. Reads only, also from a standby. */
export async function sqlStatus({ context, migrations }: PreparedSql): Promise<SetStatus> {
  const { config } = context;
  const { session, answer } = await lookWhenReady(context, { mustWrite: false });
  const plan = planMigrations(migrations, answer.history);
  const { historyTable } = config;
  const located = answer.history.exists
    ? await locateHistory(session, historyTable, context.signal)
    : undefined;
  const begun = await lookAtBegun(session, plan, located, config.migrationsDir, context.signal);
  const journal =
    located === undefined ? undefined : await readJournal(session, located, context.signal);
  const elsewhere = await elsewhereOf(context, session, migrations, answer.history, context.signal);
  session.end();
  warnOfUnreadTables(context.log, elsewhere);
  const entries = listEntries(plan, answer.history, begun, journal);
  const refusal = refusalOf(plan, config.failWhenAhead, placeFlags(config)) ?? elsewhere.refusal;
  const json = toJson(plan, entries, answer.history, config.historyTable.join("."));
  return {
    text: `${toTable(entries)}${inWords(elsewhere)}`,
    json:
      elsewhere.refusal === undefined ? json : { ...json, elsewhere: elsewhere.refusal.problems },
    hasPending: plan.pending.length > 0,
    problems: refusal?.problems ?? [],
    ...(refusal === undefined ? {} : { fix: refusal.fix }),
  };
}

/** An error in words for people who asked for no error. */
function inWords({ refusal }: Elsewhere): string {
  if (refusal === undefined) return "";
  const problems = refusal.problems.map((problem) => `  - ${problem}\n`).join("");
  return `\n${refusal.message}\n${problems}  to do: ${refusal.fix}\n`;
}

type Begun = ReadonlyMap<number, Pick<Entry, "state" | "steps">>;

/** The pending files of which some steps are applied or undone, and one may be in doubt. */
async function lookAtBegun(
  session: Session,
  plan: Plan,
  historyTable: readonly [string, string] | undefined,
  migrationsDir: string,
  signal: AbortSignal,
): Promise<Begun> {
  const begun = new Map<number, Pick<Entry, "state" | "steps">>();
  const { pending } = plan;
  if (historyTable === undefined || pending.length === 0) return begun;
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

function listEntries(
  plan: Plan,
  history: History,
  begun: Begun,
  journal: Journal | undefined,
): Entry[] {
  const rows = new Map(history.rows.map((row) => [row.id, row]));
  const entry = ({ id, name }: { id: number; name: string }, state: string): Entry => {
    const row = rows.get(id);
    const noted = row === undefined ? undefined : journal?.runs.get(id);
    const repair = journal?.repairs.get(id);
    const isStill = (repair?.event === "accepted") === (row !== undefined);
    return {
      ...{ id, name, state },
      executedAt: row?.executedAt ?? null,
      ms: typeof noted?.ms === "number" ? Math.round(noted.ms) : null,
      by: noted === undefined ? null : byOf(noted),
      ...(repair === undefined || !isStill ? {} : { repaired: repairedBy(repair) }),
    };
  };
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

const repairedBy = (repair: RepairRow): NonNullable<Entry["repaired"]> => {
  const { event, reason, at, host, dbUser } = repair;
  return { event, reason, at, host, dbUser };
};
const byOf = ({ host, headgate, dbUser }: JournalRow): Entry["by"] => ({ host, headgate, dbUser });

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
  const rows = entries.map((entry) => [
    String(entry.id),
    entry.state,
    progressOf(entry),
    entry.ms === null ? "" : `${entry.ms} ms`,
    entry.by === null ? "" : `${entry.by.dbUser} on ${entry.by.host}`,
    entry.name,
    entry.repaired === undefined
      ? ""
      : `${entry.repaired.event}: ${entry.repaired.reason.replace(/\s+/g, " ")}`,
  ]);
  const isRepaired = entries.some(({ repaired }) => repaired !== undefined);
  const head = ["id", "state", "applied at", "took", "by", "name", isRepaired ? "repaired" : ""];
  const table = [head, ...rows];
  const widths = head
    .map((_, at) => at)
    .map((at) => Math.max(...table.map((row) => row[at]?.length ?? 0)));
  const isRight = (at: number): boolean => at === 0 || at === 3;
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) =>
        isRight(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join("  ");
  return table.map((row) => `${line(row).trimEnd()}\n`).join("");
}

function progressOf({ executedAt, steps }: Entry): string {
  if (steps !== undefined) return `${steps.done} of ${steps.of} steps`;
  return executedAt?.slice(0, 19) ?? "";
}
