import type { RowRepair } from "../apply/repair-rows.ts";
import type { StepRow } from "../apply/step-table.ts";
import { isSameText } from "../migrations/checksum.ts";
import type { Migration } from "../migrations/folder.ts";
import { type AppliedRow, type History, newestOf } from "../migrations/history.ts";
import { listNames, wasEmpty } from "../migrations/plan.ts";
import type { RepairRequest } from "../requests/repair.ts";

/** What becomes of one migration, for people. */
export type RepairLine = {
  readonly id: number;
  readonly name: string;
  /** Absent: nothing is to be done. */
  readonly change?: RowRepair;
  readonly what: string;
};

export type RepairPlan = {
  readonly lines: readonly RepairLine[];
  /** Numbers that mean nothing here, each a whole sentence. */
  readonly unknown: readonly string[];
  /** Every reason not to, each a whole sentence. */
  readonly problems: readonly string[];
  /** Steps that are not finished; no reason while another headgate is at them. */
  readonly begun: readonly string[];
};

type Found = {
  readonly lines: RepairLine[];
  readonly problems: string[];
  readonly begun: string[];
};

/**
 * Compares what is asked with the folder, the history and the steps of unfinished files. Pure.
 * @param steps of the step table
 */
export function planRepair(
  { ids, change }: RepairRequest,
  migrations: readonly Migration[],
  history: History,
  steps: readonly StepRow[],
): RepairPlan {
  const found: Found = { lines: [], problems: [], begun: [] };
  const unknown: string[] = [];
  for (const id of ids) {
    const row = history.rows.find((each) => each.id === id);
    const file = migrations.find((each) => each.id === id);
    if (row === undefined && file === undefined) {
      unknown.push(`there is no migration ${id}, neither in the folder nor in the history`);
      continue;
    }
    const begun = begunSteps(id, file?.path ?? `${id} ${row?.name}`, steps);
    found.begun.push(...begun);
    if (row === undefined) {
      // What is begun is neither applied nor pending.
      if (begun.length === 0) addPending(found, file as Migration, change);
    } else if (change === "accept") addAccepted(found, row, file, history);
    else found.lines.push(forgotten(row, file, steps));
  }
  if (change === "forget") found.problems.push(...newer(ids, history, steps));
  return { ...found, unknown };
}

function addPending(
  { lines, problems }: Found,
  { id, name, path }: Migration,
  change: RepairRequest["change"],
): void {
  if (change === "forget") lines.push({ id, name, what: "it is not in the history" });
  else {
    problems.push(
      `${path}: not applied, so that there is nothing to accept; \`headgate stamp\` records what the database has already`,
    );
  }
}

function addAccepted(
  { lines, problems }: Found,
  row: AppliedRow,
  file: Migration | undefined,
  { rows }: History,
): void {
  const { id, name } = row;
  if (file === undefined) {
    problems.push(`${id} ${name}: the folder has no file of this number to accept`);
    return;
  }
  const twin = rows.find((other) => other.id !== id && other.name === file.name);
  if (twin !== undefined) {
    problems.push(
      `${file.path}: the history has the name "${file.name}" already, of ${twin.id}, and needs it unique; give the file the name it had, "${name}"`,
    );
    return;
  }
  const isRenamed = name !== file.name;
  if (!isRenamed && row.hash === file.checksum) {
    lines.push({ id, name, what: "the history has it as it is" });
    return;
  }
  const what = isRenamed
    ? `it was ${name}`
    : isSameText(row.hash, file.fileName, file.text)
      ? "other line endings"
      : wasEmpty(row, file)
        ? "edited; nothing was in it when it was applied, so that nothing of it has run"
        : "edited";
  lines.push({ id, name: file.name, change: { row, file }, what });
}

function forgotten(
  row: AppliedRow,
  file: Migration | undefined,
  steps: readonly StepRow[],
): RepairLine {
  const { id, name } = row;
  const hasSteps = steps.some(({ migration }) => migration === -id);
  const what =
    file === undefined ? "the folder has no such file" : "the next run applies the file again";
  return { id, name, change: { row, hasSteps }, what };
}

/** A step that failed has done nothing, whatever it belongs to. */
function begunSteps(id: number, subject: string, steps: readonly StepRow[]): string[] {
  const own = steps.filter(
    ({ migration, state }) => Math.abs(migration) === id && state !== "failed",
  );
  if (own.length === 0) return [];
  const doubt = own.find(({ state }) => state === "started");
  if (doubt !== undefined) {
    return [
      `${subject}: step ${doubt.step} is in doubt; settle it first, by the next run or with \`headgate resolve ${id}:${doubt.step} --done\` or \`--redo\``,
    ];
  }
  return own[0]?.migration === id
    ? [`${subject}: applied in part; let \`headgate migrate\` finish it`]
    : [`${subject}: half undone; let \`headgate rollback --to ${id - 1}\` finish it`];
}

/** What comes after the rows to forget, and rests on them: the order of postgres-migrations is strict. */
function newer(ids: readonly number[], history: History, steps: readonly StepRow[]): string[] {
  const oldest = Math.min(...ids.filter((id) => history.rows.some((row) => row.id === id)));
  const rows = history.rows.filter(({ id }) => id > oldest && !ids.includes(id));
  const begun = new Set(
    steps
      .filter(({ state }) => state !== "failed")
      .map(({ migration }) => Math.abs(migration))
      .filter((id) => id > newestOf(history)),
  );
  if (!Number.isFinite(oldest)) return [];
  return [
    ...(rows.length === 0
      ? []
      : [`only the newest can be forgotten: ${listNames(rows)} came after ${oldest}`]),
    ...[...begun].map(
      (id) =>
        `only the newest can be forgotten: ${id} came after ${oldest}, and is applied or undone in part`,
    ),
  ];
}
