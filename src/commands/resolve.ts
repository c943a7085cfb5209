import { markEnded, readSteps } from "../apply/step-table.ts";
import { HeadgateError } from "../errors.ts";
import { withLock } from "../gate/with-lock.ts";
import type { Context } from "../look.ts";
import { durably } from "../postgres/session-settings.ts";

/** `headgate resolve STEP --done|--redo`: a person tells what the catalog does not. Takes effect at the next run. */
export async function resolve(context: Context): Promise<number> {
  const { config, log, signal } = context;
  const { migration, step, isDone } = config.resolution ?? { migration: 0, step: 0, isDone: false };
  // Under the lock, because a step that is running looks the same as one in doubt.
  await withLock(
    context,
    () => true,
    async ({ target }) => {
      const rows = (await readSteps(target.session, target.historyTable, signal)) ?? [];
      const unfinished = rows.filter(({ state }) => state !== "done");
      // A migration is either on its way to be applied or to be undone (noted under -7), never both.
      const row = unfinished.find(
        (other) => Math.abs(other.migration) === migration && other.step === step,
      );
      if (row === undefined) throw notInDoubt(`${migration}:${step}`, unfinished);
      const sql = markEnded(target, row.migration, step, isDone ? "done" : "failed");
      await target.session.query(`${durably(target)}${sql}`, signal);
      const facts = { step: `${migration}:${step}`, statement: row.statement.slice(0, 500) };
      const next = isDone ? "the next run goes on behind it" : "the next run begins with it";
      log.info({ phase: "resolve", ...facts, next }, "resolved");
    },
  );
  return 0;
}

function notInDoubt(
  step: string,
  unfinished: readonly { readonly migration: number; readonly step: number }[],
): HeadgateError {
  const names = unfinished.map((row) => `${Math.abs(row.migration)}:${row.step}`);
  return new HeadgateError(
    "history_mismatch",
    `step ${step} is not in doubt; nothing was changed`,
    {
      fix:
        names.length === 0
          ? "no step is in doubt; just run again"
          : `in doubt: ${names.join(", ")}`,
    },
  );
}
