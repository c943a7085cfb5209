import { slugOf } from "../migrations/new-file.ts";

/** What `headgate new` makes a file of. */
export type NewRequest = {
  /** As it was typed, for the file's first line. */
  readonly title: string;
  /** `add-users-email`. */
  readonly slug: string;
};

/** What the history table holds of a name. */
const longestName = 100;

/**
 * @param operand as typed; undefined when it was left out, which is a mistake that is known already
 * @param mistakes receives what is wrong
 */
export function readNew(operand: string | undefined, mistakes: string[]): NewRequest {
  const title = operand ?? "";
  const slug = slugOf(title);
  if (operand !== undefined && slug === "") {
    mistakes.push(`"${operand}" is not a name: write what the migration does, such as add-author`);
  }
  // The history's column counts characters.
  if ([...slug].length > longestName) {
    mistakes.push(`the name is ${[...slug].length} characters long; the history table holds 100`);
  }
  return { title: title.replace(/\s+/g, " ").trim(), slug };
}
