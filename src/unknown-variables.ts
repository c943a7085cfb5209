import { nearest } from "./nearest.ts";
import { options, variableOf } from "./options.ts";

/** HEADGATE_* variables that no option reads: most likely a misspelling, but Kubernetes also makes some for Services. */
export function unknownVariables(env: { readonly [name: string]: string | undefined }): string[] {
  const known = [...options.map((option) => variableOf(option.name)), "HEADGATE_DATABASE_URL_FILE"];
  return Object.keys(env)
    .filter((name) => name.startsWith("HEADGATE_") && !known.includes(name))
    .filter((name) => !/^HEADGATE_(\w+_)?(SERVICE_(HOST|PORT)|PORT(_|$))/.test(name))
    .map((name) => {
      const guess = nearest(name, known);
      return `${name} is not a variable of headgate; ignored${guess === undefined ? "" : ` (did you mean ${guess}?)`}`;
    });
}
