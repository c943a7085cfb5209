import { HeadgateError } from "../errors.ts";
import { isSameText } from "../migrations/checksum.ts";
import type { Migration } from "../migrations/folder.ts";
import { type AppliedRow, builtIn, type History, newestOf } from "../migrations/history.ts";
import type { Plan } from "../migrations/plan.ts";
import { sentenceOf } from "../migrations/problem.ts";
import { undoPathOf } from "../migrations/undo-files.ts";
import { undoStepsOf } from "./half-undone.ts";
import type { StepRow } from "./step-table.ts";

/** The migrations of a folder, and the files that undo them, by the numbers of the migrations. */
export type Folder = {
  readonly migrations: readonly Migration[];
  readonly undoFiles: ReadonlyMap<number, Migration>;
};

/** How far to go back: by so many migrations, or until this one is the newest. */
export type Wanted = { readonly steps?: number; readonly to?: number };

/** What is undone, newest first, and every reason not to, each a whole sentence. */
export type UndoPlan = {
  readonly undos: readonly Migration[];
  readonly problems: readonly string[];
  /** Those of the migrations whose files were edited since. */
  readonly changed: Plan["changed"];
};

/** A migration of which something is applied; without a row when its undo has been begun by steps. */
type Subject = { readonly id: number; readonly name: string; readonly row: AppliedRow | null };

/** Newest first. */
function subjectsOf(
  { migrations }: Folder,
  history: History,
  rows: readonly StepRow[],
): readonly Subject[] {
  const newest = newestOf(history);
  const halfUndone = migrations
    .filter(({ id }) => id > newest && undoStepsOf(id, rows).length > 0)
    .map(({ id, name }) => ({ id, name, row: null }));
  const applied = history.rows
    .filter(({ id }) => id > builtIn.id)
    .map((row) => ({ id: row.id, name: row.name, row }));
  return [...applied, ...halfUndone].toReversed();
}

/**
 * Which migration will be the newest; 0 for none. Pure.
 * @throws HeadgateError usage (64) for a number that is not applied, or more steps than there are
 */
export function goalOf(
  folder: Folder,
  { steps, to }: Wanted,
  history: History,
  rows: readonly StepRow[],
): number {
  const subjects = subjectsOf(folder, history, rows);
  const newest = newestOf(history);
  if (to === undefined) {
    if (steps !== undefined && steps > subjects.length) {
      throw usage(`--steps ${steps}, but only ${subjects.length} can be undone`, newest);
    }
    return subjects[steps ?? 1]?.id ?? builtIn.id;
  }
  if (to === builtIn.id || history.rows.some(({ id }) => id === to)) return to;
  const file = folder.migrations.find(({ id }) => id === to);
  const isHalf = subjects.some(({ id }) => id === to);
  throw usage(
    file === undefined
      ? `--to ${to}: there is no migration ${to}, neither in the folder nor in the history`
      : `--to ${to}: ${file.path} is ${isHalf ? "half undone" : "not applied"}`,
    newest,
  );
}

function usage(what: string, newest: number): HeadgateError {
  const now = newest === 0 ? "no migration is applied" : `the newest that is applied is ${newest}`;
  return new HeadgateError("usage", `${what}; ${now}; nothing was changed`, {
    fix: "look at `headgate status`; --to names the migration that stays, and 0 undoes all",
  });
}

/**
 * Compares the folder with what is applied beyond the goal. Pure.
 * @param rows of the step table
 */
export function planUndo(
  folder: Folder,
  history: History,
  rows: readonly StepRow[],
  goal: number,
): UndoPlan {
  const subjects = subjectsOf(folder, history, rows).filter(({ id }) => id > goal);
  const problems = lateFiles(folder, subjects, goal);
  const undos = subjects.flatMap((subject) => {
    const migration = folder.migrations.find(({ id }) => id === subject.id);
    const undo = folder.undoFiles.get(subject.id);
    problems.push(...problemsOf(subject, migration, undo));
    return undo === undefined ? [] : [{ ...undo, undoes: subject.row }];
  });
  const changed = subjects.flatMap(({ row, id }) => {
    const migration = folder.migrations.find((each) => each.id === id);
    return row !== null && migration !== undefined && isEdited(row, migration)
      ? [{ row, migration }]
      : [];
  });
  return { undos, problems, changed };
}

const isEdited = ({ hash }: AppliedRow, { fileName, text }: Migration): boolean =>
  !isSameText(hash, fileName, text);

/** Files that are not applied although a later one is: then it is not known what their later ones rest on. */
function lateFiles({ migrations }: Folder, subjects: readonly Subject[], goal: number): string[] {
  const newest = subjects[0]?.id ?? goal;
  return migrations
    .filter(({ id }) => id > goal && id < newest && !subjects.some((subject) => subject.id === id))
    .map(({ path }) => `${path}: out of order: not applied, but a later migration is`);
}

function problemsOf(
  { id, name, row }: Subject,
  migration: Migration | undefined,
  undo: Migration | undefined,
): string[] {
  if (migration === undefined) {
    return [
      `${id} ${name}: missing: applied to the database, but not in the folder, so that nothing tells how to undo it`,
    ];
  }
  const isChanged = row !== null && isEdited(row, migration);
  const changed = isChanged
    ? [`${migration.path}: changed: edited after it was applied, so that its undo may not fit`]
    : [];
  if (undo === undefined) return [...changed, missingUndo(migration)];
  return [...changed, ...undo.defects.map((defect) => `${undo.path}: ${sentenceOf(defect)}`)];
}

export const missingUndo = (migration: Migration): string =>
  `${undoPathOf(migration)}: missing: the file that undoes ${migration.fileName}`;

/** Migrations that are applied in part, which have to be finished before anything below them is undone. Pure. */
export function halfApplied(
  { migrations }: Folder,
  history: History,
  rows: readonly StepRow[],
  goal: number,
): readonly string[] {
  const applied = new Set(history.rows.map(({ id }) => id));
  return migrations
    .filter(({ id }) => id > goal && !applied.has(id))
    .filter(({ id }) => rows.some(({ migration }) => migration === id))
    .map(
      ({ path }) =>
        `${path}: applied in part: some of its steps are done or in doubt; finish it with \`headgate migrate\` (what follows the steps that are done may be edited)`,
    );
}

/**
 * @param hint more to do than what holds for all of them
 * @throws HeadgateError history_mismatch (65) listing every reason not to undo
 */
export function refuseProblems(problems: readonly string[], hint = ""): void {
  if (problems.length === 0) return;
  throw new HeadgateError(
    "history_mismatch",
    "what is to be undone cannot be undone; nothing was changed",
    {
      problems,
      fix: `put the files there that were applied, and the ones that undo them; use the newest image${hint}`,
    },
  );
}
