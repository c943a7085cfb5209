import type { RunLook, RunRecord } from "./records.ts";

/** Whether a migrator has to be run, and why. */
export type Verdict =
  | { readonly kind: "current"; readonly run: RunRecord }
  /** A newer image's run has left the database as it is, or is at work on it, after one of this image's. */
  | { readonly kind: "ahead"; readonly run: RunRecord }
  | { readonly kind: "due"; readonly why: string };

/** What an image has for a migrator. */
export type ImageFiles = {
  /** Of all its input files, and of the command. */
  readonly fingerprint: string;
  /** A hash of what its migrations are called in the migrator's own table. Absent when that is not known. */
  readonly versions?: string;
  /** The versions that the table may point at without being ahead, where it points at one. */
  readonly revisions?: readonly string[];
};

/**
 * Compares the files of this image and the state of the database with what was recorded of runs. In doubt, the migrator
 * runs.
 * @param files absent when no inputs are named
 */
export function judge(look: RunLook, files: ImageFiles | undefined): Verdict {
  const due = (why: string): Verdict => ({ kind: "due", why });
  if (files === undefined) return due("no --migrator-inputs are named");
  const { runs, state } = look;
  const last = runs.at(-1);
  const successes = runs.filter(({ outcome }) => outcome === "succeeded");
  const own = successes.findLast(({ inputs }) => inputs === files.fingerprint);
  // Of the same migrations: what a correction of the same release has, as well.
  const base = successes.findLast((run) => isOurs(run, files));
  if (last?.inputs === files.fingerprint && last.outcome !== "succeeded")
    return due(`the latest run of these files ${endOf(last)}`);
  if (base === undefined)
    return due(
      successes.length === 0 ? "no successful run is recorded" : "the inputs have changed",
    );
  if (own !== undefined && state !== undefined && own.state === state)
    return { kind: "current", run: own };
  if (last !== undefined && isAhead(look, base, last, files)) return { kind: "ahead", run: last };
  if (own === undefined) return due("the inputs have changed");
  return due(look.stateMissing ?? "the migrator's own table has changed since the recorded run");
}

const endOf = ({ outcome }: RunRecord): string =>
  outcome === "failed" ? "failed" : "has not ended";

const isOurs = ({ inputs, versions }: RunRecord, files: ImageFiles): boolean =>
  inputs === files.fingerprint || (files.versions !== undefined && versions === files.versions);

/**
 * Whether the database is as a newer image's run left it, or is at work on it, on top of what ours left.
 * @param base the latest success of ours
 * @param last the latest run
 */
function isAhead(look: RunLook, base: RunRecord, last: RunRecord, files: ImageFiles): boolean {
  const { runs, state, rows, pointers } = look;
  if (state === undefined || state === base.state) return false;
  if (last.id === base.id || isOurs(last, files)) return false;
  // What is under way, or was killed, may have left any state.
  if (last.outcome !== "started" && last.state !== state) return false;
  // Where the table points at a version, it says so itself: with one that is not ours, our migrator could only fail.
  const { revisions } = files;
  if (pointers !== undefined && revisions !== undefined)
    return pointers.some((pointer) => !revisions.includes(pointer));
  // Those of older versions have nothing to compare with.
  if (base.rows === null || rows === undefined) return false;
  // Most tables have a row for each migration: fewer of them means that some were taken back.
  if (rows !== base.rows) return rows > base.rows;
  const isFromBefore =
    base.stateBefore === state || runs.some((run) => run.id < base.id && run.state === state);
  return !isFromBefore && last.changes === base.changes;
}
