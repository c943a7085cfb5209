import type { Migration } from "../migrations/folder.ts";
import { lineAndColumn } from "./sql-failure.ts";
import { type Step, type StepRow, stepsKey } from "./step-table.ts";

/** Where a file without a transaction goes on. */
export type Resume = {
  /** How many of its steps are done. */
  readonly done: number;
  /** A step that was started, and either failed or never reported. */
  readonly unfinished?: StepRow;
  /** Why it cannot go on. */
  readonly problem?: string;
};

/**
 * Compares a file with what is known of its steps. Pure.
 * What is done must still stand in the file as it was; what follows may have been edited.
 */
export function findResume(
  migration: Migration,
  steps: readonly Step[],
  rows: readonly StepRow[],
): Resume {
  const own = rows.filter((row) => row.migration === stepsKey(migration));
  const done = own.filter(({ state }) => state === "done");
  const edited = done.find(({ step, hash }) => steps[step - 1]?.hash !== hash);
  if (edited !== undefined) {
    const step = steps[edited.step - 1];
    const where =
      step === undefined
        ? migration.path
        : `${migration.path}:${lineAndColumn(migration.sql, step.start).line}`;
    const was = edited.statement.replace(/\s+/g, " ").slice(0, 200);
    return {
      done: 0,
      problem: `${where}: step ${edited.step} of ${migration.fileName} is done, and was edited or removed since; it was: ${was}`,
    };
  }
  const unfinished = own.find(({ state, step }) => state !== "done" && step === done.length + 1);
  return { done: done.length, ...(unfinished === undefined ? {} : { unfinished }) };
}
