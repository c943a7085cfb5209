import { type Given, readNumber } from "./given.ts";

/** How far `headgate rollback` goes back: by so many migrations, or until this one is the newest. */
export type RollbackRequest = { readonly steps?: number; readonly to?: number };

/** @param mistakes receives what is wrong */
export function readRollback(options: Given, mistakes: string[]): RollbackRequest {
  const [steps, to] = [options.given("steps"), options.given("to")];
  if (steps !== undefined && to !== undefined) {
    mistakes.push(`${steps.from} and ${to.from} are both given; choose one`);
  }
  const numbers = {
    steps: readNumber(options, "steps", 1, mistakes),
    to: readNumber(options, "to", 0, mistakes),
  };
  return {
    ...(numbers.steps === undefined ? {} : { steps: numbers.steps }),
    ...(numbers.to === undefined ? {} : { to: numbers.to }),
  };
}
