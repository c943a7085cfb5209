/**
 * Runs the tests. `npm test` runs all of them on the newest Postgres, against the bundled file and the executable.
 * `npm run test:matrix` runs those that depend on the server on Postgres 13 to 17, and those that depend on the
 * runtime on Node 22.15 and 26; it installs both into test/matrix first. `npm run test:tools` runs real migrators under
 * headgate; it installs those that npm has into test/tools first.
 */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";

const root = new URL("..", import.meta.url).pathname;
const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));

/** Test files that run at once; each starts its own server and many replicas of headgate. */
const concurrency = 2;
/** A run takes 1 to 5 minutes; one that never ends is a failure to be seen, not to be waited for. */
const mostMs = 20 * 60_000;

const find = (...patterns: string[]): string[] =>
  globSync(patterns, { cwd: root, exclude: ["**/node_modules/**"] }).toSorted();

function run(title: string, files: readonly string[], env: Record<string, string>): boolean {
  console.log(`# ${title}: ${files.length} files`);
  const flags = ["--test", `--test-concurrency=${concurrency}`, "--test-timeout=300000"];
  const { status } = spawnSync(process.execPath, [...flags, ...files], {
    cwd: root,
    stdio: "inherit",
    timeout: mostMs,
    env: { ...process.env, ...env },
  });
  if (status === null) console.error(`# ${title}: did not end`);
  return status === 0;
}

function install(folder: string): boolean {
  const args = ["ci", "--no-audit", "--no-fund", "--silent"];
  return spawnSync("npm", args, { cwd: root + folder, stdio: "inherit" }).status === 0;
}

const runTools = (): boolean =>
  install("test/tools") && run("tools", find("test/tools/*.test.ts"), {});

function runMatrix(): boolean {
  if (!install("test/matrix")) return false;
  const forServers = find(
    "test/{lock*,migrations*,table-locks*,interoperation,copy,journal,plan,scratch}.test.ts",
    "test/fingerprint/schema.test.ts",
    "test/sql/{strong-locks,manner,index-build}.test.ts",
  );
  const forRuntimes = find("test/{handover,signals}*.test.ts");
  const results = [
    ...["13", "14", "15", "16", "17"].map((major) =>
      run(`Postgres ${major}`, forServers, {
        HEADGATE_TEST_PG: major,
        HEADGATE_TEST_ARTIFACTS: "standalone",
      }),
    ),
    ...["22", "26"].map((major) =>
      run(`Node ${major}`, forRuntimes, { HEADGATE_TEST_ARTIFACTS: `bundle@${major}` }),
    ),
  ];
  return !results.includes(false);
}

/** Those that take long, or need an engine or a cluster, are suites of their own: see package.json. */
const apart = /^test\/(faults|executables|containers|cluster|deploy|tools)\//;
const everything = (): string[] => find("test/**/*.test.ts").filter((file) => !apart.test(file));

const suites: { readonly [flag: string]: () => boolean } = {
  "--matrix": runMatrix,
  "--tools": runTools,
};
const suite = process.argv.find((argument) => argument in suites) ?? "";
const passed = suites[suite]?.() ?? run("all", chosen.length > 0 ? chosen : everything(), {});
process.exit(passed ? 0 : 1);
