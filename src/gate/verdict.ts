import { HeadgateError } from "../errors.ts";
import { judge, type Verdict } from "../migrator/judge.ts";
import type { RunLook, RunRecord } from "../migrator/records.ts";
import type { PreparedMigrator } from "./prepare-sets.ts";

export const judgeOf = ({ inputs }: PreparedMigrator, look: RunLook): Verdict =>
  judge(look, inputs);

const wordsOf = {
  succeeded: "has run",
  failed: "has failed",
  started: "is under way, or was killed,",
} as const;

/** In words. @param run the newer image's */
export const aheadOf = ({ outcome }: RunRecord): string =>
  `found the database ahead of this image: a newer one's migrator ${wordsOf[outcome]} after this one's; proceeding`;

/** @returns the refusal of a database that is ahead and must not be */
export function refusalOfAhead(
  verdict: Verdict,
  failWhenAhead: boolean,
): HeadgateError | undefined {
  if (verdict.kind !== "ahead" || !failWhenAhead) return undefined;
  return new HeadgateError(
    "history_mismatch",
    `the database is ahead of this image: ${describeAhead(verdict.run)}`,
    { fix: "deploy the newer image, or undo its migrations with the migrator" },
  );
}

/** Whose run it is that an image is behind of. */
export function describeAhead({ by, startedAt, outcome }: RunRecord): string {
  const end = { succeeded: "", failed: ", and it failed", started: ", and it has not ended" };
  return `${by} ran a newer one's migrator at ${startedAt}${end[outcome]}`;
}
