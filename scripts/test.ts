/**
 * Runs the tests. `npm test` runs all of them on the newest Postgres, each case in one place: on the bundled file or on
 * the executable, as PID 1 or not; `npm run test:full` runs each case everywhere. `npm run test:matrix` runs those that
 * depend on the server on Postgres 13 to 17, and those that depend on the runtime on Node 22.15 and 26; it installs both
 * into test/matrix first. `npm run test:tools` runs real migrators under headgate; it installs those that npm has into
 * test/tools first. `npm test -- FILE …` runs these files only, `npm test -- --failed` those that failed last time.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { defaultMajor } from "../test/helpers/postgres-binaries.ts";
import { startShared } from "../test/helpers/shared-server.ts";

const root = new URL("..", import.meta.url).pathname;
const cache = `${root}node_modules/.cache/headgate-test`;
const failedFiles = `${cache}/failed`;
const options = process.argv.slice(2);
const chosen = options.filter((argument) => !argument.startsWith("--"));

/**
 * Test files that run at once, each with a server and many replicas of headgate. A third of the time is spent waiting
 * for them, so half as many again as there are cores keep the cores busy.
 */
const concurrency = Math.ceil(1.5 * availableParallelism());
/** A test that never ends is a failure to be seen; ten times what the slowest needs on a slow machine. */
const mostMs = 30 * 60_000;

const find = (...patterns: string[]): string[] =>
  globSync(patterns, { cwd: root, exclude: ["**/node_modules/**"] }).toSorted();

async function run(
  title: string,
  files: readonly string[],
  env: Record<string, string> = {},
): Promise<boolean> {
  console.log(`# ${title}: ${files.length} files`);
  const { server, environment } = await startShared(
    Number(env["HEADGATE_TEST_PG"] ?? defaultMajor()),
  );
  const flags = [
    ["--test", `--test-concurrency=${concurrency}`, `--test-timeout=${mostMs}`],
    ["--test-reporter=spec", "--test-reporter-destination=stdout"],
    // Prints nothing: it adds to the same file as the tests themselves.
    [`--test-reporter=${root}scripts/failed-files.mjs`, "--test-reporter-destination=stderr"],
  ].flat();
  const { status } = spawnSync(process.execPath, [...flags, ...longestFirst(files)], {
    cwd: root,
    stdio: "inherit",
    env: {
      ...{ NODE_COMPILE_CACHE: `${cache}/compiled`, HEADGATE_TEST_FAILED: `${failedFiles}.now` },
      ...{ ...process.env, ...env, ...environment },
    },
  });
  await server.stop("immediate");
  return status === 0;
}

/** So that no long one is left alone at the end; the largest file is a good guess at the longest. */
const longestFirst = (files: readonly string[]): string[] =>
  files.toSorted((a, b) => statSync(root + b).size - statSync(root + a).size);

function install(folder: string): boolean {
  const args = ["ci", "--no-audit", "--no-fund", "--silent"];
  return spawnSync("npm", args, { cwd: root + folder, stdio: "inherit" }).status === 0;
}

const runTools = async (): Promise<boolean> =>
  install("test/tools") && (await run("tools", find("test/tools/*.test.ts")));

async function runMatrix(): Promise<boolean> {
  if (!install("test/matrix")) return false;
  const forServers = find(
    "test/e2e/{lock,migrations,table-locks}/*.test.ts",
    "test/e2e/reports/journal.test.ts",
    "test/e2e/plan/{plan,scratch}.test.ts",
    "test/unit/{copy,fingerprint}/*.test.ts",
    "test/unit/sql/{strong-locks,manner,index-build}.test.ts",
  );
  const forRuntimes = find("test/e2e/{handover,signals}/*.test.ts");
  let passed = true;
  for (const major of ["13", "14", "15", "16", "17"]) {
    const env = { HEADGATE_TEST_PG: major, HEADGATE_TEST_ARTIFACTS: "standalone" };
    passed = (await run(`Postgres ${major}`, forServers, env)) && passed;
  }
  for (const major of ["22", "26"]) {
    const env = { HEADGATE_TEST_ARTIFACTS: `bundle@${major}` };
    passed = (await run(`Node ${major}`, forRuntimes, env)) && passed;
  }
  return passed;
}

/** Those that take long, or need an engine or a cluster, are suites of their own: see package.json. */
const apart = /^test\/(faults|executables|containers|cluster|deploy|tools)\//;
const everything = (): string[] => find("test/**/*.test.ts").filter((file) => !apart.test(file));

/** What failed in the run before; everything when nothing did. */
function failedBefore(): string[] {
  const files = existsSync(failedFiles) ? readFileSync(failedFiles, "utf8").split("\n") : [];
  const left = [...new Set(files)].filter((file) => file.endsWith(".test.ts"));
  if (left.length === 0) console.log("# nothing failed in the run before, so all files are run");
  return left.length === 0 ? everything() : left;
}

const runChosen = async (): Promise<boolean> =>
  run(
    chosen.length > 0 ? "chosen" : "all",
    options.includes("--failed") ? failedBefore() : chosen.length > 0 ? chosen : everything(),
    options.includes("--full") ? { HEADGATE_TEST_FULL: "1" } : {},
  );

mkdirSync(cache, { recursive: true });
writeFileSync(`${failedFiles}.now`, "");
const suite = options.includes("--matrix")
  ? runMatrix
  : options.includes("--tools")
    ? runTools
    : runChosen;
const passed = await suite();
renameSync(`${failedFiles}.now`, failedFiles);
process.exit(passed ? 0 : 1);
