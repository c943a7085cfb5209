import type { Given } from "./given.ts";
import type { ScratchRequest } from "./scratch.ts";

/** What `headgate check` is asked to do. */
export type CheckRequest = {
  /** The branch, tag or commit to compare with. */
  readonly base?: string;
  readonly makesRoundTrip: boolean;
  /** The lines are for GitHub Actions, which shows them beside the code. */
  readonly annotates: boolean;
};

/**
 * Reads the options of `headgate check`.
 * @param env tells whether this runs in GitHub Actions
 * @param mistakes receives what is wrong
 * @returns nothing for other commands
 */
export function readCheck(
  verb: string,
  given: Given,
  env: { readonly [name: string]: string | undefined },
  mistakes: string[],
): { readonly check?: CheckRequest } {
  if (verb !== "check") return {};
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
  const check = {
    ...(base === undefined ? {} : { base }),
    makesRoundTrip,
    annotates: env["GITHUB_ACTIONS"] === "true",
  };
  return { check };
}

/** Only to create a scratch database beside it must the database be known. */
export function needsNoDatabase(
  { check }: { readonly check?: CheckRequest },
  { scratch }: { readonly scratch?: ScratchRequest },
): boolean {
  return check !== undefined && !(check.makesRoundTrip && scratch?.kind === "created");
}
