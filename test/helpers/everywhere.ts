import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { relative } from "node:path";
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

type Body = (t: TestContext) => Promise<void> | void;

/** `npm run test:full` tests each case on every artifact, as PID 1 and not. */
const isFull = process.env["HEADGATE_TEST_FULL"] === "1";

/** A number that is the title's own, so that a case is tested in the same place in every run. */
const turnOf = (title: string): number => createHash("sha256").update(title).digest()[0] ?? 0;

/**
 * Registers a test for one artifact; unless all are wanted, only when it is this artifact's turn. Three of four are the
 * first one's, the executable's, which starts in less than half the time.
 */
export function testOn(artifact: Artifact, title: string, body: Body): void {
  const turn = turnOf(title) % 4 === 0 ? 1 : 0;
  if (!isFull && artifacts[turn % artifacts.length] !== artifact) return;
  test(`${title} (${artifact.name})`, noted(body));
}

/** Registers a test for every artifact, as an ordinary process and as PID 1. */
export function testEverywhere(
  title: string,
  body: (place: Place, t: TestContext) => Promise<void>,
): void {
  for (const place of everyPlace()) testAt(place, title, body);
}

/** The same for what depends on neither: one artifact as an ordinary process, another as PID 1. */
export function testInPairs(
  title: string,
  body: (place: Place, t: TestContext) => Promise<void>,
): void {
  for (const place of places(title)) testAt(place, title, body);
}

/** Every place, or one for each artifact: in turn by the title, one is PID 1 and the next is not. */
export function places(title: string): Place[] {
  if (isFull || artifacts.length === 1) return everyPlace();
  return artifacts.map((artifact, index) => ({
    artifact,
    pid1: (turnOf(title) + index) % 2 === 1,
  }));
}

const everyPlace = (): Place[] =>
  artifacts.flatMap((artifact) => [false, true].map((pid1) => ({ artifact, pid1 })));

function testAt(
  { artifact, pid1 }: Place,
  title: string,
  body: (place: Place, t: TestContext) => Promise<void>,
): void {
  const here = async (t: TestContext): Promise<void> => {
    if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
    await body({ artifact, pid1 }, t);
  };
  test(`${title} (${artifact.name}${pid1 ? ", as PID 1" : ""})`, noted(here));
}

/** To a reporter the file of these tests is this one; which it really was is noted for `npm test -- --failed`. */
const noted =
  (body: Body): Body =>
  async (t) => {
    try {
      await body(t);
    } catch (error) {
      const list = process.env["HEADGATE_TEST_FAILED"];
      if (list !== undefined)
        appendFileSync(list, `${relative(process.cwd(), process.argv[1] ?? "")}\n`);
      throw error;
    }
  };

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
