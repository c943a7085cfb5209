import { HeadgateError } from "../errors.ts";
import { askWhenReady, lookWhenReady } from "../look.ts";
import { notesOf } from "../migrator/record-run.ts";
import { lookAtRuns, type RunLook } from "../migrator/records.ts";
import { builtIn, type History } from "../migrations/history.ts";
import type { Migration } from "../migrations/folder.ts";
import { planMigrations } from "../migrations/plan.ts";
import type { Approval, ApprovedFile } from "../requests/approval.ts";
import { isSql, type Prepared, type PreparedMigrator, type PreparedSql } from "./prepare-sets.ts";
import { judgeOf } from "./verdict.ts";

/**
 * Holds all sets to the plan that was approved, before the first of them is touched.
 * @throws HeadgateError history_mismatch (65) that names every difference
 */
export async function refuseUnlessApproved(sets: readonly Prepared[]): Promise<void> {
  const [first] = sets;
  const approval = first?.context.config.approval;
  if (approval === undefined) return;
  const problems: string[] = [];
  for (const prepared of sets) {
    const name = prepared.set.name === undefined ? "" : `${prepared.set.name}: `;
    const found = isSql(prepared)
      ? await lookForDifferences(approval, prepared)
      : await lookForRunDifferences(approval, prepared);
    problems.push(...found.map((problem) => `${name}${problem}`));
  }
  const known = sets.map(({ set }) => set.name ?? null);
  for (const { name } of approval.sets) {
    if (!known.includes(name)) problems.push(`the approved set "${name}" is not configured`);
  }
  refuse(approval, problems);
}

/** Holds one set to it again, under its lock. */
export function refuseUnlessSetApproved(prepared: PreparedSql, history: History): void {
  const { approval } = prepared.context.config;
  if (approval !== undefined) refuse(approval, differences(approval, prepared, history));
}

/** The same for a migrator. */
export function refuseUnlessRunApproved(prepared: PreparedMigrator, look: RunLook): void {
  const { approval } = prepared.context.config;
  if (approval !== undefined) refuse(approval, migratorDifferences(approval, prepared, look));
}

function refuse({ path }: Approval, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new HeadgateError(
    "history_mismatch",
    `this is not what was approved in ${path}; nothing was changed`,
    { problems, fix: "make a new plan with `headgate plan --out FILE` and have it approved" },
  );
}

async function lookForDifferences(approval: Approval, prepared: PreparedSql): Promise<string[]> {
  const { session, answer } = await lookWhenReady(prepared.context, { mustWrite: true });
  session.end();
  return differences(approval, prepared, answer.history);
}

/** Where a run may begin: at the history that the plan was made for, or behind some of its own files. */
function differences(
  approval: Approval,
  { set, migrations }: PreparedSql,
  history: History,
): string[] {
  const approved = findSet(approval, set);
  if (typeof approved === "string") return [approved];
  if (approved.migrator !== null) return ["was approved as a migrator, and is SQL files now"];
  const rows = history.rows.filter(({ id }) => id !== builtIn.id).map(toFile);
  const begun = rows.slice(approved.applied.length);
  return [
    ...compare(approved.applied, rows.slice(0, approved.applied.length), "the history"),
    ...compare(approved.pending.slice(0, begun.length), begun, "the history"),
    ...compare(
      approved.pending.slice(begun.length),
      planMigrations(migrations, history).pending.map(toFile),
      "the folder",
    ),
  ];
}

const toFile = (
  file: { id: number; name: string } & ({ hash: string } | Pick<Migration, "checksum">),
): ApprovedFile => ({
  ...{ id: file.id, name: file.name },
  checksum: "hash" in file ? file.hash : file.checksum,
});

function compare(
  approved: readonly ApprovedFile[],
  found: readonly ApprovedFile[],
  place: string,
): string[] {
  const problems = approved.flatMap((file) => {
    const other = found.find(({ id }) => id === file.id);
    if (other === undefined) return [`${describe(file)} was approved, and is not in ${place}`];
    const isSame = other.name === file.name && other.checksum === file.checksum;
    return isSame
      ? []
      : [
          `${describe(file)} in ${place} is another than was approved (${describe(other)}, checksum ${other.checksum} instead of ${file.checksum})`,
        ];
  });
  const more = found.filter(({ id }) => !approved.some((file) => file.id === id));
  return [
    ...problems,
    ...more.map(
      (file) => `${describe(file)} is in ${place}, and was not when the plan was approved`,
    ),
  ];
}

const describe = ({ id, name }: ApprovedFile): string => `${id} ${name}`;

async function lookForRunDifferences(
  approval: Approval,
  prepared: PreparedMigrator,
): Promise<string[]> {
  const { context, place } = prepared;
  const { session, answer } = await askWhenReady(context, { mustWrite: true }, (asked, limit) =>
    lookAtRuns(asked, place, limit),
  );
  session.end();
  return migratorDifferences(approval, prepared, answer);
}

/** Where a run may begin: at the state that the plan was made for, or where a try of the same files has left it. */
function migratorDifferences(
  approval: Approval,
  prepared: PreparedMigrator,
  look: RunLook,
): string[] {
  const { set, inputs, context } = prepared;
  const approved = findSet(approval, set);
  if (typeof approved === "string") return [approved];
  // As it stands in the plan, which holds no secret.
  const command = context.redact(set.command.join(" "));
  if (approved.migrator?.command !== command) return [`\`${command}\` was not approved`];
  if (inputs === undefined) {
    return [`nothing tells what \`${command}\` would do; name its files with --migrator-inputs`];
  }
  if (inputs.fingerprint !== approved.migrator.fingerprint)
    return [`the files of \`${command}\` are others than were approved`];
  // What was approved is done.
  if (judgeOf(prepared, look).kind === "current") return [];
  const { stateBefore } = notesOf(look, { inputs: inputs.fingerprint, versions: null });
  if (stateBefore === null) {
    const why = look.stateMissing ?? "the state before is not known";
    return [`nothing tells what \`${command}\` has applied (${why}); see --migrator-state`];
  }
  return stateBefore === approved.migrator.state
    ? []
    : [`what \`${command}\` has applied to the database is other than when the plan was approved`];
}

function findSet(approval: Approval, set: Prepared["set"]): Approval["sets"][number] | string {
  const historyTable = set.historyTable.join(".");
  const found = approval.sets.find(({ name }) => name === (set.name ?? null));
  if (found === undefined) return "this set was not approved";
  return found.historyTable === historyTable
    ? found
    : `the history table is ${historyTable}, and ${found.historyTable} was approved`;
}
