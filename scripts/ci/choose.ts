import type { Suite } from "./suites.ts";

/**
 * The order of their worth: first those that a change touches, then the rest; in both the turn goes round with the
 * number of the commit, so that none is always the last.
 * @param changed paths from the repository's root; undefined when it is not known what has changed
 */
export function inOrder(
  suites: readonly Suite[],
  changed: readonly string[] | undefined,
  commitNumber: number,
): readonly Suite[] {
  const first = commitNumber % suites.length;
  const turned = [...suites.slice(first), ...suites.slice(0, first)];
  const isTouched = ({ about }: Suite): boolean =>
    changed?.some((path) => about.test(path)) ?? true;
  return [...turned.filter(isTouched), ...turned.filter((suite) => !isTouched(suite))];
}

/** A run of all suites took 40 minutes on the machine whose speed is 1; this is what a change may take there. */
const wantedSeconds = 25 * 60;
/** No run goes on for longer: at 90 minutes CI is cut off, and nothing lands. */
export const mostSeconds = 75 * 60;

/** How long a run may take before no further suite is begun. @param slowness 2 when everything takes twice as long */
export const budgetSeconds = (slowness: number): number =>
  Math.min(wantedSeconds * slowness, mostSeconds - 5 * 60);

/** Whether a suite will have ended in time, if it is begun now. */
export const fits = (suite: Suite, elapsedSeconds: number, slowness: number): boolean =>
  elapsedSeconds + suite.seconds * slowness <= budgetSeconds(slowness);
