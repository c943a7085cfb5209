import { HeadgateError } from "../errors.ts";
import { markEnded, type StepRow, stepsKey } from "./step-table.ts";
import { explaining, lineAndColumn } from "./sql-failure.ts";
import { settle } from "./settle.ts";
import { checkpoint, prepare, type Stepwise } from "./stepwise.ts";

/** `7:2`, as `headgate resolve` takes it. */
const stepName = (migration: { readonly id: number }, step: number): string =>
  `${migration.id}:${step}`;

/**
 * Finds out what became of a step that a run before has started.
 * @returns whether it is done; if not, SQL to run instead of it where half of it is done
 * @throws HeadgateError history_mismatch (65) with the command to type, when the catalog does not tell
 */
export async function settleUnfinished(
  file: Stepwise,
  row: StepRow,
): Promise<{ isDone: boolean; instead?: string }> {
  const { target, migration, steps, signal } = file;
  const step = steps[row.step - 1];
  const isEdited = step?.hash !== row.hash;
  await prepare(file);
  const text = isEdited ? row.statement : (step?.text ?? "");
  const settled = await explaining(
    migration,
    "when an unfinished step was looked into",
    "nothing was changed",
    () => settle(target.session, text, signal),
  );
  const name = stepName(migration, row.step);
  const facts = { phase: "migrate", migration: migration.fileName, step: row.step };
  const isToldToRedo = row.state === "failed" && (settled.is === "unknown" || isEdited);
  if (settled.is === "redo" || isToldToRedo) {
    target.log.info({ ...facts, was: row.state }, "found an unfinished step; running it again");
    return {
      isDone: false,
      ...(settled.instead === undefined || isEdited ? {} : { instead: settled.instead }),
    };
  }
  if (settled.is === "done" && !isEdited) {
    await checkpoint(file, markEnded(target, stepsKey(migration), row.step, "done"));
    target.log.info({ ...facts, was: row.state }, "found that an unfinished step is done");
    return { isDone: true };
  }
  const place = step === undefined ? "" : `:${lineAndColumn(migration.sql, step.start).line}`;
  const what =
    settled.is === "done"
      ? "took effect before headgate could note it, and was edited since"
      : "was started and never reported, and the catalog does not tell whether it took effect";
  const was = row.statement.replace(/\s+/g, " ").slice(0, 200);
  throw new HeadgateError(
    "history_mismatch",
    `${migration.path}${place}: step ${row.step} is in doubt: it ${what}: ${was}`,
    {
      fix: `look whether it took effect; then type \`headgate resolve ${name} --done\` or \`headgate resolve ${name} --redo\`, and run again`,
      details: facts,
    },
  );
}
