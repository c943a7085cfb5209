/** Reads options by name, for what one command asks: a flag beats the environment, the environment the default. */
export type Given = {
  readonly text: (name: string) => string | undefined;
  readonly isOn: (name: string) => boolean;
  readonly choice: (name: string) => string | undefined;
  /** How to call an option in a mistake: by its flag, or the variable that its value came from. */
  readonly nameOf: (name: string) => string;
  /** What was given, and by which flag or variable; undefined when it was not. */
  readonly given: (
    name: string,
  ) => { readonly texts: readonly string[]; readonly from: string } | undefined;
};

/**
 * Reads a whole number from 0.
 * @param mistakes receives what is wrong
 */
export function readNumber(
  options: Given,
  option: string,
  least: number,
  mistakes: string[],
): number | undefined {
  const found = options.given(option);
  if (found === undefined) return undefined;
  const [text = ""] = found.texts;
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least) return number;
  mistakes.push(`${found.from}: "${text}" is not a whole number from ${least}`);
  return least;
}

/**
 * Several sets, or a migrator, are configured for the servers, and would be overlooked.
 * @param mistakes receives that, unless the folder is named
 */
export function refuseOtherSets(
  verb: string,
  options: Given,
  env: { readonly [name: string]: string | undefined },
  mistakes: string[],
): void {
  if (options.given("migrations") !== undefined) return;
  for (const name of ["HEADGATE_SETS", "HEADGATE_MIGRATOR"]) {
    if ((env[name] ?? "") === "") continue;
    mistakes.push(
      `${name} is set, and \`headgate ${verb}\` works on one folder of SQL files: name it with --migrations, and its table with --history-table`,
    );
  }
}
