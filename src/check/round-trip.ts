import { HeadgateError } from "../errors.ts";
import {
  brief,
  compareSchemas,
  describeDifference,
  type Difference,
  type SchemaObject,
} from "../fingerprint/schema.ts";
import { connectWhenReady, type Context } from "../look.ts";
import type { Migration } from "../migrations/folder.ts";
import type { Session } from "../postgres/session.ts";
import { withScratch } from "../scratch/with-scratch.ts";
import type { CheckedFolder } from "./check-folder.ts";
import { type Finding, toFinding } from "./finding.ts";
import { prepareTarget, readScratch, type ScratchTarget } from "./scratch-target.ts";

/** A folder, and the history table of its set. */
export type CheckedSet = CheckedFolder & { readonly historyTable: readonly string[] };

/** How many files were applied and undone, and what that showed. */
export type RoundTrip = {
  readonly up: number;
  readonly down: number;
  readonly findings: readonly Finding[];
};

/** A migration on its way through the scratch database. */
type Stop = {
  readonly migration: Migration;
  readonly undoFile: Migration | undefined;
  readonly target: ScratchTarget;
};

/**
 * Applies all files to an empty database, undoes them from the newest one down as far as there are undo files, and
 * applies them again. The schema is read after each file, so that the one that is at fault can be named.
 * @throws HeadgateError usage (64), not_ready (69), lock_timeout (75), refused (77) about the scratch database
 */
export async function roundTrip(context: Context, sets: readonly CheckedSet[]): Promise<RoundTrip> {
  const travel = (session: Session): Promise<RoundTrip> => travelIn(context, session, sets);
  if (context.config.scratch?.kind !== "created") return withScratch(context, undefined, travel);
  const session = await connectWhenReady(context, { mustWrite: true });
  try {
    return await withScratch(context, session, travel);
  } finally {
    session.end();
  }
}

async function travelIn(
  context: Context,
  session: Session,
  sets: readonly CheckedSet[],
): Promise<RoundTrip> {
  const { log } = context;
  const stops: Stop[] = [];
  for (const { migrations, undoFiles, historyTable } of sets) {
    const target = await prepareTarget(context, session, historyTable);
    for (const migration of migrations) {
      stops.push({ migration, undoFile: undoFiles.get(migration.id), target });
    }
  }
  const read = async (): Promise<readonly SchemaObject[]> => readScratch(session, context);

  // schemas[n] is that before the file n is applied.
  const schemas = [await read()];
  for (const { migration, target } of stops) {
    const failed = await attempt(migration, "it fails", () => target.apply(migration));
    if (failed !== undefined) return { up: schemas.length - 1, down: 0, findings: [failed] };
    schemas.push(share(await read(), schemas.at(-1)));
  }
  log.info({ phase: "check", files: stops.length }, "applied all files to the scratch database");

  const lowest = stops.findLastIndex(({ undoFile }) => undoFile === undefined) + 1;
  const findings: Finding[] = [];
  const sum = (): RoundTrip => ({ up: stops.length, down: stops.length - lowest, findings });
  // What differs already is not held against the next file.
  let known: readonly Difference[] = [];
  for (let index = stops.length - 1; index >= lowest; index--) {
    const { migration, undoFile, target } = stops[index] as Stop & { undoFile: Migration };
    const failed = await attempt(undoFile, "it fails", () => target.undo(migration, undoFile));
    if (failed !== undefined) {
      findings.push(failed);
      return { ...sum(), down: stops.length - 1 - index };
    }
    const differences = compareSchemas(schemas[index] ?? [], await read());
    const own = without(differences, known);
    known = differences;
    if (own.length > 0) findings.push(toUndoFinding(migration, undoFile, own));
  }
  log.info({ phase: "check", files: stops.length - lowest }, "undid them");
  // What they left behind is in the way now.
  if (findings.some(({ allowed }) => allowed === undefined)) return sum();

  for (const [index, { migration, target }] of stops.entries()) {
    if (index < lowest) continue;
    const when = "it fails after it was undone";
    const failed = await attempt(migration, when, () => target.apply(migration));
    if (failed !== undefined) {
      findings.push(failed);
      return sum();
    }
    const differences = compareSchemas(schemas[index + 1] ?? [], await read());
    const own = without(differences, known);
    known = differences;
    if (own.length > 0) {
      const what = `applied again, it makes another schema: ${list(own, describeDifference)}`;
      findings.push(toFinding("redo-differs", migration, 0, what));
    }
  }
  log.info({ phase: "check", files: stops.length - lowest }, "applied them again");
  return sum();
}

/** Turns what the server has against a file into a finding. */
async function attempt(
  file: Migration,
  when: string,
  work: () => Promise<void>,
): Promise<Finding | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!(error instanceof HeadgateError) || error.code !== "sql_failed") throw error;
    const { line = 1, column = 1 } = error.details as { line?: number; column?: number };
    const what = error.message.replace(`${file.path}:${line}:${column}: `, "");
    return { ...toFinding("sql-fails", file, 0, `${when}: ${what}`, error.fix), line, column };
  }
}

function toUndoFinding(
  migration: Migration,
  undoFile: Migration,
  differences: readonly Difference[],
): Finding {
  // The reason may stand in either file.
  const allows = [undoFile, migration].flatMap(({ directives }) => directives.allows ?? []);
  const place = { path: undoFile.path, directives: { allows } };
  return toFinding("undo-differs", place, 0, list(differences, describeLeft));
}

function describeLeft(difference: Difference): string {
  const { kind, name, before, after } = difference;
  if (before === undefined) return `leaves ${kind} ${name} behind${colon(after)}`;
  if (after === undefined) return `does not bring ${kind} ${name} back${colon(before)}`;
  return `restores it differently: ${describeDifference(difference)}`;
}

const colon = (definition = ""): string => (definition === "" ? "" : ` (${brief(definition)})`);

/** In one line of a log. */
const mostListed = 5;

/** Columns and constraints go without saying where their table is named. */
function list(differences: readonly Difference[], describe: (one: Difference) => string): string {
  const whole = differences.filter(
    ({ kind, before, after }) =>
      kind === "relation" && (before === undefined || after === undefined),
  );
  const told = differences.filter(
    ({ kind, name }) =>
      kind === "relation" ||
      !whole.some(
        (relation) => name.startsWith(`${relation.name}.`) || name.endsWith(` on ${relation.name}`),
      ),
  );
  const shown = told.slice(0, mostListed).map(describe);
  const more = told.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}

const keyOf = (value: SchemaObject | Difference): string => JSON.stringify(value);

function without(
  differences: readonly Difference[],
  known: readonly Difference[],
): readonly Difference[] {
  const keys = new Set(known.map(keyOf));
  return differences.filter((difference) => !keys.has(keyOf(difference)));
}

/** The schema, with the objects of the one before where they are the same: a thousand copies need no more room than one. */
function share(
  objects: readonly SchemaObject[],
  before: readonly SchemaObject[] = [],
): readonly SchemaObject[] {
  const old = new Map(before.map((object) => [keyOf(object), object]));
  return objects.map((object) => old.get(keyOf(object)) ?? object);
}
