import { places } from "./everywhere.ts";
import {
  type HeadgateResult,
  type LaunchOptions,
  type LogLine,
  canUnshare,
  startHeadgate,
} from "./headgate.ts";

/** The same command at once with every artifact; one is PID 1, another is not, or each is both. */
export interface Together {
  /** Waits until each of them has logged it. */
  waitForLog(wanted: string | ((line: LogLine) => boolean)): Promise<void>;
  /** Waits for all of them to end, then checks each result; a failed check names the place. */
  each(check: (result: HeadgateResult) => void): Promise<void>;
}

/** For tests that change the world around headgate, which they then need to do only once. */
export async function startTogether(args: string[], options?: LaunchOptions): Promise<Together> {
  const possible = places(args.join(" ")).filter(({ pid1 }) => !pid1 || canUnshare());
  const all = await Promise.all(
    possible.map(async ({ artifact, pid1 }) => ({
      name: `${artifact.name}${pid1 ? ", as PID 1" : ""}`,
      running: await startHeadgate(artifact, args, { ...options, pid1 }),
    })),
  );
  return {
    waitForLog: async (wanted) => {
      await Promise.all(all.map(({ running }) => running.waitForLog(wanted)));
    },
    each: async (check) => {
      for (const { name, running } of all) {
        const result = await running.result;
        try {
          check(result);
        } catch (error) {
          throw new Error(`${name}: ${(error as Error).message}\nstderr:\n${result.stderr}`, {
            cause: error,
          });
        }
      }
    },
  };
}

/**
 * The states headgate reported while it waited, without the lines that only repeat one every ten seconds. Throws
 * when a state was repeated earlier than that.
 */
export function waitingStates({ lines }: HeadgateResult): unknown[] {
  const waiting = lines.filter(({ msg }) => msg === "waiting");
  return waiting.flatMap((line, index) => {
    const before = waiting[index - 1];
    if (before?.["state"] !== line["state"]) return [line["state"]];
    const gap = Number(line["ms"]) - Number(before?.["ms"]);
    if (gap < 10_000) throw new Error(`${String(line["state"])} is repeated after ${gap} ms`);
    return [];
  });
}
