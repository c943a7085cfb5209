import { hostname } from "node:os";
import type { Target } from "../apply/target.ts";
import type { Context } from "../look.ts";
import { recordEnd, recordStart } from "../migrator/record-run.ts";
import { lookAtRuns, type RecordPlace } from "../migrator/records.ts";
import { nameApplication } from "../postgres/application-name.ts";
import { durably } from "../postgres/session-settings.ts";
import type { Session } from "../postgres/session.ts";
import { runsTable } from "../sets.ts";

/**
 * An --after command that fails must keep servers from starting also when they are started again, and then find
 * nothing pending. So that it is owed is written down before anything is applied.
 */
function placeOf({ config }: Context): RecordPlace {
  const { historyTable } = config;
  const table = historyTable.length === 2 ? [historyTable[0] ?? "", runsTable] : [runsTable];
  return { table, name: `--after ${historyTable.join(".")}`, state: [] };
}

/** Whether the --after command of an earlier run has not succeeded yet. */
export async function isUnchecked(
  context: Context,
  session: Session,
  signal: AbortSignal,
): Promise<boolean> {
  if (context.config.after === undefined) return false;
  const { runs } = await lookAtRuns(session, placeOf(context), signal);
  return runs.some(({ outcome }) => outcome !== "succeeded");
}

/** Does work that the --after command ends, and remembers until then that it is owed. */
export async function keepChecked(
  context: Context,
  target: Target,
  work: () => Promise<void>,
): Promise<void> {
  const { config, signal } = context;
  const { session } = target;
  if (config.after === undefined) return work();
  const place = placeOf(context);
  const { exists } = await lookAtRuns(session, place, signal);
  const run = {
    ...{ inputs: "", application: "", graceMs: config.stopGraceMs, tableExists: exists },
    ...{ by: nameApplication(hostname()), command: config.after.join(" ") },
  };
  const id = await recordStart(session, place, run, signal);
  await work();
  const end = { outcome: "succeeded", hasState: false, hasNotes: false } as const;
  await session.query(`${durably(target)}${recordEnd(place, id, end)}`, signal);
}
