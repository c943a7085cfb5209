import { spawnSync } from "node:child_process";
import type { TestContext } from "node:test";

/** Runs what follows it as PID 1 of a pid namespace that dies with it. */
export const UNSHARE = ["-Urpf", "--mount-proc", "--kill-child=SIGKILL"];

let unshares: boolean | undefined;

/** Whether this machine lets us make a pid namespace; tried once. */
export function canUnshare(): boolean {
  unshares ??= spawnSync("unshare", [...UNSHARE, "true"]).status === 0;
  return unshares;
}

/**
 * True when the condition holds. Otherwise the test is skipped with the reason and this is false, so
 * that the test returns; where `HEADGATE_TEST_REQUIRE=all` is set (in CI) the test fails instead.
 */
export function requireOrSkip(t: TestContext, condition: boolean, why: string): boolean {
  if (condition) return true;
  if (process.env["HEADGATE_TEST_REQUIRE"] === "all") throw new Error(`not possible here: ${why}`);
  t.skip(why);
  return false;
}
