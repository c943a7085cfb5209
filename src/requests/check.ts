import type { Given } from "./given.ts";

/** What `headgate check` is asked to do. */
export type CheckRequest = {
  /** The branch, tag or commit to compare with. */
  readonly base?: string;
  readonly makesRoundTrip: boolean;
  /** Warnings count like errors. */
  readonly isStrict: boolean;
  /** The lines are for GitHub Actions, which shows them beside the code. */
  readonly annotates: boolean;
};

/**
 * Reads the options of `headgate check`.
 * @param isOnGitHub whether this runs in GitHub Actions
 * @param mistakes receives what is wrong
 */
export function readCheck(given: Given, isOnGitHub: boolean, mistakes: string[]): CheckRequest {
  const base = given.text("base");
  if (base?.startsWith("-") === true) {
    mistakes.push(`${given.nameOf("base")}: "${base}" is not the name of a branch, tag or commit`);
  }
  const makesRoundTrip = given.isOn("roundtrip");
  const hasScratch = given.text("scratch-url") !== undefined || given.isOn("scratch-create");
  if (makesRoundTrip && !hasScratch) {
    mistakes.push(
      "--roundtrip needs a scratch database: name an empty one with --scratch-url, or let headgate create one with --scratch-create",
    );
  }
  return {
    ...(base === undefined ? {} : { base }),
    makesRoundTrip,
    isStrict: given.isOn("strict"),
    annotates: isOnGitHub,
  };
}
