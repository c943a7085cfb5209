/**
 * Runs the suites in the order of their worth for as long as there is time, and prints what became of each.
 *
 *   node scripts/ci/run.ts SLOWNESS ELAPSED [--all]
 *
 * SLOWNESS is 2 where everything takes twice as long as on the machine whose speed is 1; ELAPSED are the seconds that
 * CI has taken already. With --all everything is run, whatever it takes.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fits, inOrder, mostSeconds } from "./choose.ts";
import { always, type Suite, suites } from "./suites.ts";

type Row = { readonly name: string; readonly state: string; readonly seconds: number | undefined };

const [slowness = 1, before = 0] = process.argv.slice(2, 4).map(Number);
const runsAll = process.argv.includes("--all");
const began = performance.now();
const elapsed = (): number => before + (performance.now() - began) / 1000;
const rows: Row[] = [];

const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();

/**
 * What has changed since the last submission: since the commit that HEADGATE_CI_BASE names, or else since the newest one
 * that is six hours older than HEAD, which is longer than one submission takes to write.
 */
function changedPaths(): readonly string[] | undefined {
  try {
    const until = Number(git("log", "-1", "--format=%ct")) - 6 * 3600;
    const base =
      process.env["HEADGATE_CI_BASE"] || git("rev-list", "-1", `--before=${until}`, "HEAD");
    return base === "" ? undefined : git("diff", "--name-only", base).split("\n");
  } catch {
    return undefined;
  }
}

const isShallow = git("rev-parse", "--is-shallow-repository") === "true";
const number = isShallow ? 0 : Number(git("rev-list", "--count", "HEAD"));

function run({ name, command }: Suite, limitSeconds: number): void {
  console.log(`\n=== ${name} (${Math.round(elapsed())} s)`);
  const started = performance.now();
  // Ends the whole group of processes, which spawnSync's own time-out does not.
  const most = Math.ceil(Math.max(1, limitSeconds)).toString();
  const limit = runsAll ? [] : ["timeout", "--kill-after=30", most];
  const { status } = spawnSync("env", [...limit, "bash", "-c", command], { stdio: "inherit" });
  const seconds = (performance.now() - started) / 1000;
  const isCutOff = !runsAll && seconds >= limitSeconds;
  const state = status === 0 ? "passed" : isCutOff ? "CUT OFF: no time" : "FAILED";
  rows.push({ name, state, seconds });
}

for (const suite of always) run(suite, mostSeconds - elapsed());
for (const suite of inOrder(suites, changedPaths(), number)) {
  const isInTime = runsAll || fits(suite, elapsed(), slowness);
  if (isInTime) run(suite, mostSeconds - elapsed());
  else rows.push({ name: suite.name, state: "NOT RUN: no time", seconds: undefined });
}

/** What the suites say of each artifact, mode and manifest. */
const report = process.env["HEADGATE_TEST_REPORT"];
if (report !== undefined && existsSync(report)) {
  console.log("\n=== what was run");
  for (const line of readFileSync(report, "utf8").split("\n").filter(Boolean)) {
    const [subject = "", what = "", state = ""] = line.split("\t");
    console.log(`${subject.padEnd(50)} | ${state.padEnd(20)} | ${what}`);
  }
}
console.log(
  "not run: official base images, a newer API server, Argo CD, AWS, GitHub, Fly, Heroku and Render themselves",
);

console.log(
  `\n=== the suites (${Math.round(elapsed())} s, ${slowness} x the time of the reference machine)`,
);
for (const { name, state, seconds } of rows) {
  const time = seconds === undefined ? "" : `${Math.round(seconds)} s`;
  console.log(`${name.padEnd(26)} | ${state.padEnd(18)} | ${time}`);
}
// What is always run must have ended; of the rest, what was run must not have failed.
const failed = rows.filter(
  ({ name, state }) =>
    state === "FAILED" || (state !== "passed" && always.some((suite) => suite.name === name)),
);
if (failed.length > 0) console.error(`\nFAILED: ${failed.map(({ name }) => name).join(", ")}`);
process.exit(failed.length === 0 ? 0 : 1);
