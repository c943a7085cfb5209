import { hostname } from "node:os";
import { createSchema } from "../apply/prepare-history.ts";
import { carryFirstFailure, noteFailure } from "../migrator/first-failure.ts";
import { addColumns, notesOf, recordEnd, recordStart } from "../migrator/record-run.ts";
import { lookAtRuns, type RunLook } from "../migrator/records.ts";
import { nameApplication } from "../postgres/application-name.ts";
import type { Session } from "../postgres/session.ts";
import { durably } from "../postgres/session-settings.ts";
import { describeSqlState, isServerError } from "../postgres/sqlstate.ts";
import type { PreparedMigrator } from "./prepare-sets.ts";
import type { Held } from "./take-lock.ts";

/** The lock that a run is recorded under, and what the records were before it. */
type HeldForRecord = Held & { readonly look: RunLook };

/** The record of a run, and whether its table has a place for what the migrator's own tables hold. */
type Begun = { readonly id: number; readonly hasNotes: boolean };

/** How the same files failed before. */
export function firstFailureOf(
  { set, inputs }: PreparedMigrator,
  { runs }: RunLook,
): string | undefined {
  const own = inputs?.fingerprint ?? "";
  const command = set.command.join(" ");
  const run = runs.findLast(
    (each) => each.inputs === own && each.command === command && each.outcome !== "succeeded",
  );
  return run?.firstFailure;
}

/** Records that a run has succeeded, and what its migrator's own tables hold then. */
export async function recordSuccess(
  prepared: PreparedMigrator,
  held: HeldForRecord,
  { id, hasNotes }: Begun,
): Promise<void> {
  const { context, place, inputs } = prepared;
  const { session } = held;
  const hasState = place.state.length > 0 && (await stateIsThere(prepared, session));
  const end = { outcome: "succeeded", hasState, hasNotes } as const;
  await session.query(`${durably(held)}${recordEnd(place, id, end)}`, context.signal);
  if (inputs !== undefined && !hasState && place.state.length > 0) {
    const tables = place.state.map((names) => names.join("."));
    const doubt =
      "found no table of the migrator's own to compare with; it will run at every start";
    context.log.warn({ phase: "migrator", tables }, doubt);
  }
}

async function stateIsThere(
  { context, place }: PreparedMigrator,
  session: Session,
): Promise<boolean> {
  return (await lookAtRuns(session, place, context.signal)).state !== undefined;
}

/**
 * Records that a run has failed, and how far it came: an older image compares that with what it finds. Never throws.
 * @param error which is worse
 */
export async function recordFailure(
  { context, place }: PreparedMigrator,
  held: HeldForRecord,
  { id, hasNotes }: Begun,
  error: unknown,
): Promise<void> {
  const { session } = held;
  const record = (hasState: boolean): Promise<void> =>
    session.afterwards(
      `${durably(held)}${recordEnd(place, id, { outcome: "failed", hasNotes, hasState })}`,
    );
  const hasState = place.state.length > 0;
  await record(hasState);
  // The tables may not be there, or not for us.
  if (hasState && session.failed()) await record(false);
  const by = nameApplication(hostname());
  await noteFailure(session, place, { id, by, error }, context.redact);
}

/**
 * Records that a run begins.
 * @param application the name of its sessions
 * @returns undefined when there can be no record, and then the migrator runs at every start
 */
export async function recordBegin(
  prepared: PreparedMigrator,
  held: HeldForRecord,
  application: string,
): Promise<Begun | undefined> {
  const { context, set, place, inputs } = prepared;
  const { session, look } = held;
  const { config, log, signal } = context;
  const own = { inputs: inputs?.fingerprint ?? "", versions: inputs?.versions ?? null };
  const run = {
    ...{ inputs: own.inputs, application, graceMs: config.stopGraceMs },
    ...{ by: nameApplication(hostname()), command: set.command.join(" ") },
    tableExists: look.exists,
  };
  try {
    const [schema, table] = place.table;
    if (!look.exists && table !== undefined && schema !== undefined)
      await createSchema(session, schema, signal);
    const hasNotes = look.isFull || (await addNotes(prepared, session));
    const notes = hasNotes ? { notes: notesOf(look, own) } : {};
    const id = await recordStart(session, place, { ...run, ...notes }, signal);
    if (hasNotes)
      await carryFirstFailure(session, place, id, firstFailureOf(prepared, look), signal);
    return { id, hasNotes };
  } catch (error) {
    if (!isServerError(error) || error.code !== "42501") throw error;
    const table = place.table.join(".");
    const reason = `${error.message} (${describeSqlState(error.code)})`;
    log.warn(
      { phase: "migrator", table, reason },
      "cannot record the run; it will run at every start",
    );
    return undefined;
  }
}

/** @returns whether the table of records has all columns now */
async function addNotes({ context, place }: PreparedMigrator, session: Session): Promise<boolean> {
  try {
    await addColumns(session, place, context.signal);
    return true;
  } catch (error) {
    if (!isServerError(error) || !["42501", "55P03"].includes(error.code)) throw error;
    const table = place.table.join(".");
    const reason = `${error.message} (${describeSqlState(error.code)})`;
    const lack =
      "cannot add columns to the table of an older version; an older image will run its migrator beside a newer one";
    context.log.warn({ phase: "migrator", table, reason }, lack);
    return false;
  }
}
