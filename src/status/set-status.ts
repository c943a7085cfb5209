/** What `headgate status` says of one set. */
export type SetStatus = {
  /** For people; ends with a newline. */
  readonly text: string;
  readonly json: object;
  readonly hasPending: boolean;
  readonly problems: readonly string[];
  /** What to do about them, where it is more than what holds for all. */
  readonly fix?: string;
};
