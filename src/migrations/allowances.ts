/** Something that headgate would remark on, and that the author of a file means. */
export type Allowance = {
  /** The finding's name, such as drop-column. */
  readonly finding: string;
  readonly reason: string;
};

const form = /^allow\s*=\s*([a-z][a-z-]*)\s+reason\s*=\s*"([^"]*[^"\s][^"]*)"$/;

/** Reads `allow=drop-column reason="…"`. @returns undefined when it is not written like this */
export function readAllowance(text: string): Allowance | undefined {
  const [, finding, reason] = form.exec(text) ?? [];
  return finding === undefined || reason === undefined
    ? undefined
    : { finding, reason: reason.trim() };
}
