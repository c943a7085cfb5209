import { readSteps, type StepRow } from "../apply/step-table.ts";
import type { Context } from "../look.ts";
import { locateHistory, type Look, lookAtHistory } from "../migrations/history.ts";
import type { Session } from "../postgres/session.ts";

/** The history, and what is known of files that are applied or undone in part. */
export type LookWithSteps = Look & { readonly steps: readonly StepRow[] };

export async function lookWithSteps(
  { config }: Context,
  session: Session,
  limit: AbortSignal,
): Promise<LookWithSteps> {
  const look = await lookAtHistory(session, config.historyTable, limit);
  const table = look.history.exists && (await locateHistory(session, config.historyTable, limit));
  const steps = table ? await readSteps(session, table, limit) : undefined;
  return { ...look, steps: steps ?? [] };
}
