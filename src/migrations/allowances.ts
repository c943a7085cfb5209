import { nearest } from "../nearest.ts";

/** What `headgate plan` finds in a statement, the worst first. */
const planFindings = ["unknown", "rewrite", "index-build", "scan", "data-change", "lock"] as const;
export type PlanFinding = (typeof planFindings)[number];

/** What `headgate check` finds, as far as a file may allow it. */
export const checkFindings = [
  "no-undo",
  "drop-table",
  "drop-column",
  "drop-object",
  "rename-table",
  "rename-column",
  "rename-object",
  "set-not-null",
  "add-required-column",
  "change-type",
  "drop-default",
  "undo-differs",
  "redo-differs",
] as const;

/** What a file may allow, each with a reason. */
const findingNames = [...planFindings, ...checkFindings] as const;
type FindingName = (typeof findingNames)[number];

/** A finding that the author of a file means. */
export type Allowed = { readonly finding: FindingName; readonly reason: string };

/** Reads `reason="…"`. @returns undefined when it is not written so, or is blank */
export const readReason = (text: string): string | undefined =>
  /^\s*reason\s*=\s*"([^"]*[^"\s][^"]*)"$/.exec(text)?.[1]?.trim();

/** Reads `allow=drop-column reason="…"`. @returns what is wrong with it, and what to do, when it is not written so */
export function readAllow(text: string): Allowed | { readonly what: string; readonly fix: string } {
  const [, typed = "", rest = ""] = /^allow\s*=\s*([\w-]*)\s*(.*)$/.exec(text) ?? [];
  const finding = findingNames.find((known) => known === typed);
  const reason = readReason(rest);
  if (finding !== undefined && reason !== undefined) return { finding, reason };
  if (finding !== undefined) {
    const fix = `write allow=${finding} reason="why it is no matter here"`;
    return { what: `the directive "${text}" needs a reason`, fix };
  }
  const guess = nearest(typed, findingNames);
  return {
    what: `the directive "${text}" allows nothing that headgate finds`,
    fix: guess === undefined ? `known are ${findingNames.join(", ")}` : `did you mean ${guess}?`,
  };
}
