/** Something in a file that has to be corrected. */
export type Problem = {
  /** A short name, which `headgate check` prints. */
  readonly rule: string;
  /** UTF-16 offset in the SQL; 0 when it is about the file as a whole. */
  readonly offset: number;
  readonly what: string;
  /** What to do. */
  readonly fix: string;
};

/** One sentence of both halves. */
export const sentenceOf = ({ what, fix }: Pick<Problem, "what" | "fix">): string =>
  `${what}; ${fix}`;
