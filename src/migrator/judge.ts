import type { RunLook, RunRecord } from "./records.ts";

/** Whether a migrator has to be run, and why. */
export type Verdict =
  | { readonly kind: "current"; readonly run: RunRecord }
  /** A newer image's run has left the database as it is, after one of this image's. */
  | { readonly kind: "ahead"; readonly run: RunRecord }
  | { readonly kind: "due"; readonly why: string };

/**
 * Compares the files of this image and the state of the database with what was recorded after successful runs. In
 * doubt, the migrator runs.
 * @param inputs the fingerprint of this image's files; absent when none are named
 */
export function judge(look: RunLook, inputs: string | undefined): Verdict {
  const due = (why: string): Verdict => ({ kind: "due", why });
  if (inputs === undefined) return due("no --migrator-inputs are named");
  const successes = look.runs.filter(({ outcome }) => outcome === "succeeded");
  const own = successes.findLast((run) => run.inputs === inputs);
  const last = successes.at(-1);
  const unfinished = look.runs.find((run) => run.outcome !== "succeeded" && run.inputs === inputs);
  if (unfinished !== undefined) return due(`the latest run of these files ${endOf(unfinished)}`);
  if (last === undefined) return due("no successful run is recorded");
  if (own === undefined) return due("the inputs have changed");
  if (look.state === undefined) return due(look.stateMissing ?? "");
  if (own.state === look.state) return { kind: "current", run: own };
  if (last.id > own.id && last.state === look.state) return { kind: "ahead", run: last };
  return due("the migrator's own table has changed since the recorded run");
}

const endOf = ({ outcome }: RunRecord): string =>
  outcome === "failed" ? "failed" : "has not ended";
