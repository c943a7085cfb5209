import { type TestContext, test } from "node:test";
import { eventually } from "./eventually.ts";
import {
  type Artifact,
  type RunningHeadgate,
  artifacts,
  canUnshare,
  proc,
  requireOrSkip,
} from "./headgate.ts";

/** Where a test runs: which program, and whether as PID 1. */
export interface Place {
  artifact: Artifact;
  pid1: boolean;
}

/** Registers a test for every artifact, as an ordinary process and as PID 1. */
export function testEverywhere(
  title: string,
  body: (place: Place, t: TestContext) => Promise<void>,
): void {
  for (const artifact of artifacts) {
    for (const pid1 of [false, true]) {
      test(`${title} (${artifact.name}${pid1 ? ", as PID 1" : ""})`, async (t) => {
        if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
        await body({ artifact, pid1 }, t);
      });
    }
  }
}

/** What the tests of the hand-over compare headgate with: the server started without it. */
export const direct: Artifact = { name: "direct", command: [] };

/** Waits until the process has become the server, whose argv[0] is given. */
export async function becomes({ pid, result }: RunningHeadgate, argv0: string): Promise<void> {
  const ended = result.then(({ stderr }) => {
    throw new Error(`ended before it became ${argv0}\n${stderr}`);
  });
  const check = () => proc.commandLine(pid)[0] === argv0;
  await Promise.race([ended, eventually(`the process has become ${argv0}`, check)]);
}
