/** What was given for options, by their names; the mistakes of reading are noted elsewhere. */
export type Given = {
  readonly text: (name: string) => string | undefined;
  readonly isOn: (name: string) => boolean;
  readonly choice: (name: string) => string | undefined;
  /** The flag or variable that a value came from. */
  readonly nameOf: (name: string) => string;
};
