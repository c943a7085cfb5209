/** What was given for an option, and by which flag or variable; undefined when it was not. */
export type Given = (
  option: string,
) => { readonly texts: readonly string[]; readonly from: string } | undefined;

/**
 * Reads a whole number from 0.
 * @param mistakes receives what is wrong
 */
export function readNumber(
  given: Given,
  option: string,
  least: number,
  mistakes: string[],
): number | undefined {
  const found = given(option);
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
  given: Given,
  env: { readonly [name: string]: string | undefined },
  mistakes: string[],
): void {
  if (given("migrations") !== undefined) return;
  for (const name of ["HEADGATE_SETS", "HEADGATE_MIGRATOR"]) {
    if ((env[name] ?? "") === "") continue;
    mistakes.push(
      `${name} is set, and \`headgate ${verb}\` works on one folder of SQL files: name it with --migrations, and its table with --history-table`,
    );
  }
}
