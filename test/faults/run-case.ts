import assert from "node:assert/strict";
import { eventually } from "../helpers/eventually.ts";
import type { HeadgateResult } from "../helpers/headgate.ts";
import { dropDatabase, type Postgres } from "../helpers/postgres.ts";
import { disturb, type Place, startMigrate } from "./disturb.ts";
import { type Case, describePoint, type Fault, type Phase, type Point } from "./plan.ts";
import { findLeftovers, type Snapshot, takeSnapshot } from "./snapshot.ts";

/** How a disturbed run may end; each may also have been faster than its fault. */
const endings: { readonly [fault in Fault]: readonly (number | string)[] } = {
  "SIGKILL of headgate": ["SIGKILL", 0],
  "SIGTERM to headgate": [143, 0],
  "end of its session": [69, 0],
  "cut of its connection": [69, 0],
  "crash of the server": [69, 0],
};

/** One run of a case. */
export type Run = {
  readonly result: HeadgateResult;
  /** What was to strike it, and whether it did. */
  readonly what: string;
  readonly fault?: Fault;
  readonly struck?: Phase;
};

/**
 * Disturbs a run once or twice, then lets one go on to its end, and drops the database.
 * @param wanted what a run without faults comes to
 * @param runs is filled with what has been run, also when something fails
 * @throws AssertionError when it comes to something else
 */
export async function runCase(
  place: Place,
  { first, second }: Case,
  wanted: Snapshot,
  runs: Run[],
): Promise<void> {
  let starting: Promise<void> | undefined;
  try {
    for (const point of second === undefined ? [first] : [first, second]) {
      await starting;
      const { result, struck, saying, restart } = await disturb(place, point);
      starting = restart;
      runs.push({
        ...{ result, fault: point.fault, what: describeRun(point, struck, saying) },
        ...(struck === undefined ? {} : { struck }),
      });
      const allowed = struck === undefined ? [0] : endings[point.fault];
      const ending = result.exitCode ?? result.signal ?? "";
      assert.ok(
        allowed.includes(ending),
        `ended with ${ending} instead of ${allowed.join(" or ")}`,
      );
    }
    // Also while the server is starting.
    const result = await (await startMigrate(place)).result;
    runs.push({ result, what: "nothing" });
    await starting;
    assert.equal(result.exitCode, 0, "the last run failed");
    await assertSame(place.server, place.database, wanted);
  } finally {
    await starting;
    await dropDatabase(place.server, place.database);
  }
}

async function assertSame(server: Postgres, database: string, wanted: Snapshot): Promise<void> {
  const client = await server.connect(database, { host: server.socketDir });
  try {
    let leftovers: readonly string[] = [];
    await eventually("nothing is left behind", async () => {
      leftovers = await findLeftovers(client);
      return leftovers.length === 0;
    }).catch((error: unknown) => {
      throw new Error(`left behind: ${leftovers.join(", ")}`, { cause: error });
    });
    assert.deepEqual(await takeSnapshot(client), wanted);
  } finally {
    await client.end();
  }
}

function describeRun(point: Point, struck: Phase | undefined, saying: string): string {
  const when = struck === undefined ? "over before it" : struck === point.phase ? "" : struck;
  const said = saying.replace(/\s+/g, " ").slice(0, 160);
  return [describePoint(point), when, said === "" ? "" : `“${said}”`].filter(Boolean).join("; ");
}
