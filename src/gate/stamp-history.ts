import { type Entry, readEntries } from "../adopt/entries.ts";
import { type Match, matchEntries } from "../adopt/match.ts";
import { toolOf } from "../adopt/tools.ts";
import { noteSchema } from "../apply/note-schema.ts";
import { prepareHistory } from "../apply/prepare-history.ts";
import { readSteps, type StepRow } from "../apply/step-table.ts";
import type { Target } from "../apply/target.ts";
import { HeadgateError } from "../errors.ts";
import { askWhenReady, type Context } from "../look.ts";
import type { Elsewhere } from "../migrations/elsewhere.ts";
import type { Migration } from "../migrations/folder.ts";
import type { History } from "../migrations/history.ts";
import { listNames, planMigrations, planProblems, repairHint } from "../migrations/plan.ts";
import { sentenceOf } from "../migrations/problem.ts";
import type { Session } from "../postgres/session.ts";
import { placeFlags } from "../sets.ts";
import { elsewhereOf } from "./elsewhere.ts";
import { type LookWithSteps, lookWithSteps } from "./look-with-steps.ts";
import { underLock } from "./under-lock.ts";
import { type Locked, takeHistoryLock } from "./with-lock.ts";

/** What is recorded, or would be. */
export type Stamp = {
  readonly files: readonly Migration[];
  /** What is recorded already. */
  readonly recorded: readonly Migration[];
  /** What another tool knows of the files, by their numbers. */
  readonly reasons: ReadonlyMap<number, string>;
};

type StampLook = LookWithSteps & {
  readonly entries: readonly Entry[];
  readonly elsewhere: Elsewhere;
};

/**
 * Finds out what is to be recorded, and records it if that was confirmed: under the lock, in one transaction.
 * @throws HeadgateError usage (64) for an unknown number; history_mismatch (65) with every reason not to record
 */
export async function stampHistory(
  context: Context,
  migrations: readonly Migration[],
): Promise<Stamp> {
  const look = (session: Session, limit: AbortSignal): Promise<StampLook> =>
    lookAtAll(context, migrations, session, limit);
  if (context.config.stamp?.isConfirmed !== true) {
    const { session, answer } = await askWhenReady(context, { mustWrite: false }, look);
    session.end();
    return judge(context, migrations, answer);
  }
  let stamp: Stamp | undefined;
  await underLock<StampLook, Locked>(context, {
    look,
    wants: (seen) => {
      stamp = judge(context, migrations, seen);
      return stamp.files.length > 0;
    },
    take: (session, seen) => takeHistoryLock(context, session, seen),
    work: async (locked) => {
      stamp = await write(context, locked, migrations);
    },
  });
  return stamp ?? { files: [], recorded: [], reasons: new Map() };
}

/** @throws HeadgateError history_mismatch (65) also when the history is in another schema */
function judge(context: Context, migrations: readonly Migration[], seen: StampLook): Stamp {
  const stamp = planStamp(context, migrations, seen);
  if (stamp.files.length > 0 && seen.elsewhere.refusal !== undefined) throw seen.elsewhere.refusal;
  return stamp;
}

async function lookAtAll(
  context: Context,
  migrations: readonly Migration[],
  session: Session,
  limit: AbortSignal,
): Promise<StampLook> {
  const look = await lookWithSteps(context, session, limit);
  const elsewhere = await elsewhereOf(context, session, migrations, look.history, limit);
  return { ...look, elsewhere, entries: await readTool(context, session, limit) };
}

async function readTool(
  { config }: Context,
  session: Session,
  limit: AbortSignal,
): Promise<readonly Entry[]> {
  const tool = config.stamp?.from;
  return tool === undefined ? [] : readEntries(session, tool, limit);
}

async function write(
  context: Context,
  { target, history }: Locked,
  migrations: readonly Migration[],
): Promise<Stamp> {
  const { log, signal } = context;
  const started = performance.now();
  const seen = { history, ...(await lookAgain(context, target)) };
  const stamp = planStamp(context, migrations, seen);
  const rows = stamp.files.map(({ id, name, checksum }) => ({ id, name, hash: checksum }));
  // Another one may have been faster.
  if (rows.length === 0) return stamp;
  const prepared = await prepareHistory(target, history, signal, rows);
  const ms = Math.round(performance.now() - started);
  log.info({ phase: "stamp", stamped: rows.length, ms }, "stamped");
  await noteSchema(prepared, signal);
  return stamp;
}

async function lookAgain(
  context: Context,
  { session, historyTable }: Target,
): Promise<Pick<StampLook, "steps" | "entries">> {
  const steps = (await readSteps(session, historyTable, context.signal)) ?? [];
  return { steps, entries: await readTool(context, session, context.signal) };
}

function planStamp(
  { config }: Context,
  migrations: readonly Migration[],
  { history, steps, entries }: Pick<StampLook, "history" | "steps" | "entries">,
): Stamp {
  const { to, from } = config.stamp ?? {};
  const match: Match =
    from === undefined
      ? { newest: to ?? 0, reasons: new Map(), problems: [] }
      : matchEntries(migrations, entries, toolOf(from).table);
  const { newest, reasons } = match;
  if (newest !== 0 && !migrations.some(({ id }) => id === newest)) {
    throw new HeadgateError(
      "usage",
      `there is no migration ${newest} in the folder ${config.migrationsDir}; nothing was written`,
      { fix: "name the newest file whose changes the database has already" },
    );
  }
  const plan = planMigrations(migrations, history);
  const files = plan.pending.filter(({ id }) => id <= newest);
  const problems = [
    ...match.problems,
    ...planProblems({ ...plan, pending: [], outOfOrder: [] }, false),
    ...tooNew(history, newest),
    ...begun(files, steps),
    ...unwritten(files),
  ];
  if (problems.length > 0) {
    throw new HeadgateError(
      "history_mismatch",
      "the history and the files disagree; nothing was written",
      {
        problems,
        fix: `make them agree, then stamp; it never removes or replaces what is recorded${repairHint(plan.changed, placeFlags(config))}`,
      },
    );
  }
  return { files, recorded: plan.applied, reasons };
}

function tooNew({ rows }: History, newest: number): string[] {
  const beyond = rows.filter(({ id }) => id > newest);
  return beyond.length === 0
    ? []
    : [`the history is ahead: it has ${listNames(beyond)}, and ${newest} was to be the newest`];
}

/** Once it is recorded, the SQL that is written into it later would be an edit. */
function unwritten(files: readonly Migration[]): string[] {
  return files.flatMap(({ path, defects }) =>
    defects
      .filter(({ rule }) => rule === "not-written")
      .map((defect) => `${path}: ${sentenceOf(defect)}`),
  );
}

function begun(files: readonly Migration[], steps: readonly StepRow[]): string[] {
  return files
    .filter(({ id }) => steps.some(({ migration }) => Math.abs(migration) === id))
    .map(
      ({ path }) =>
        `${path}: applied or undone in part; let \`headgate migrate\` or \`rollback\` finish it`,
    );
}
