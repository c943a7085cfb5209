import assert from "node:assert/strict";
import { after, before, test, type TestContext } from "node:test";
import { artifacts } from "../helpers/headgate.ts";
import type { Postgres } from "../helpers/postgres.ts";
import { type Case, describePoint, faults, type Group, phases, planCases } from "./plan.ts";
import { type Run, runCase } from "./run-case.ts";
import { copyDatabase, makeTemplate, prepareStage, startServer } from "./world.ts";

const seed = Number(process.env["HEADGATE_TEST_SEED"] || 1);
const only = Number(process.env["HEADGATE_TEST_CASE"]) || undefined;
const wantedFaults = 200;
/** Cases that run at once on the server that never crashes. */
const lanes = 2;

/** One that is crashed, by one case at a time, and one for all others. */
let fragile: Postgres;
let calm: Postgres;
before(async () => {
  [fragile, calm] = await Promise.all([startServer(), startServer()]);
});
after(() => Promise.all([fragile.stop(), calm.stop()]));

const allRuns: Run[] = [];

async function runGroup(
  t: TestContext,
  group: Group,
  { rounds, from }: { rounds: number; from: number },
): Promise<void> {
  const stage = await prepareStage(calm, group);
  const fragileTemplate = await makeTemplate(fragile, group);
  const cases = planCases(group, stage.bursts, { seed, rounds, from }).filter(
    ({ number }) => only === undefined || number === only,
  );
  const failures: string[] = [];
  const runs: Run[] = [];

  const runOn = async (server: Postgres, template: string, each: Case): Promise<void> => {
    const artifact = artifacts[each.turn % artifacts.length];
    assert.ok(artifact);
    const own: Run[] = [];
    try {
      const place = { artifact, server, folder: stage.folder };
      const database = await copyDatabase(server, template);
      await runCase({ ...place, database }, each, stage.wanted, own);
    } catch (error) {
      failures.push(describeFailure(each, artifact.name, own, error));
    }
    runs.push(...own);
  };
  const isCrash = ({ first }: Case): boolean => first.fault === "crash of the server";
  const crashing = cases.filter(isCrash).values();
  const others = cases.filter((each) => !isCrash(each)).values();
  const lane = async (server: Postgres, template: string, queue: Iterable<Case>): Promise<void> => {
    for (const each of queue) await runOn(server, template, each);
  };
  await Promise.all([
    lane(fragile, fragileTemplate, crashing),
    ...Array.from({ length: lanes }, () => lane(calm, stage.template, others)),
  ]);

  allRuns.push(...runs);
  const said = [...remedies, "waiting for the lock", "waiting"].map(
    (message) => `${count(runs, message)} × “${message}”`,
  );
  t.diagnostic(`${cases.length} cases: ${said.join(", ")}`);
  assert.ok(
    failures.length === 0,
    `${failures.length} of ${cases.length} cases failed\n\n${failures.join("\n\n")}`,
  );
  if (only !== undefined || group === "transactional") return;
  for (const message of remedies) assert.ok(count(runs, message) > 0, `no run said: ${message}`);
}

function describeFailure(
  each: Case,
  artifact: string,
  runs: readonly Run[],
  error: unknown,
): string {
  const lines = runs.map(({ what, result }) => {
    const ending = result.exitCode ?? result.signal;
    return `run struck by ${what}: ended with ${ending}\n${result.stderr.replace(/^/gm, "    ")}`;
  });
  const points = [each.first, each.second ?? []].flat().map(describePoint).join(", then ");
  const command = `HEADGATE_TEST_SEED=${seed} HEADGATE_TEST_CASE=${each.number} npm run test:faults`;
  return `${command} (${each.group}, ${artifact}, ${points})\n${lines.join("\n")}\n${String(error)}`;
}

/** What headgate says when it sets right what a fault has left. */
const remedies = [
  "resumed",
  "found an unfinished step; running it again",
  "found that an unfinished step is done",
  "dropped an INVALID index that a failed build left behind",
];

const count = (runs: readonly Run[], message: string): number =>
  runs.filter(({ result }) => result.lines.some(({ msg }) => msg === message)).length;

test("M2 a run of files with transactions ends as if there had been no fault, whatever struck it and when", (t) =>
  runGroup(t, "transactional", { rounds: 5, from: 1 }));

test("M3 a run of files without a transaction ends as if there had been no fault, whatever struck it and when", (t) =>
  runGroup(t, "stepwise", { rounds: 10, from: 1001 }));

test(`M2 M3 at least ${wantedFaults} faults did strike`, (t) => {
  const struck = allRuns.filter((run) => run.struck !== undefined);
  for (const fault of faults) {
    const ours = struck.filter((run) => run.fault === fault);
    const byPhase = phases.map(
      (phase) => `${ours.filter((run) => run.struck === phase).length} ${phase}`,
    );
    t.diagnostic(`${ours.length} × ${fault}: ${byPhase.join(", ")}`);
  }
  t.diagnostic(`HEADGATE_TEST_SEED=${seed}: ${struck.length} faults in ${allRuns.length} runs`);
  assert.ok(allRuns.length > 0, `there is no case ${only}`);
  if (only !== undefined) return t.skip("a single case");
  assert.ok(struck.length >= wantedFaults);
});
