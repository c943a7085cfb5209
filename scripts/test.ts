/**
 * Runs the tests. `npm test` runs all of them on the newest Postgres, against the bundled file and the executable.
 * `npm run test:matrix` runs those that depend on the server or the runtime on every other Postgres from 13 and on
 * Node 22.15 and 24, which it installs into test/matrix first.
 */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";

const root = new URL("..", import.meta.url).pathname;
const node = process.execPath;
const isMatrix = process.argv.includes("--matrix");
const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));

/** What meets the server or the runtime. */
const matrixFiles = ["handover", "signals", "readiness", "lock", "migrations", "interoperation"];
/** Test files that run at once; each starts its own server and many replicas of headgate. */
const concurrency = 2;

function run(files: readonly string[], env: Record<string, string>): number {
  const flags = ["--test", `--test-concurrency=${concurrency}`, "--test-timeout=300000"];
  const { status } = spawnSync(node, [...flags, ...files], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  return status ?? 1;
}

if (!isMatrix) {
  const files = chosen.length > 0 ? chosen : globSync("test/**/*.test.ts", { cwd: root });
  process.exit(run(files.toSorted(), {}));
}

const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], {
  cwd: `${root}test/matrix`,
  stdio: "inherit",
});
if (npm.status !== 0) process.exit(npm.status ?? 1);
const files = matrixFiles.map((name) => `test/${name}.test.ts`);
let failed = 0;
for (const major of ["13", "14", "15", "16", "17"]) {
  const artifact = Number(major) % 2 === 1 ? "standalone" : "bundle";
  console.log(`\n# Postgres ${major}, ${artifact}`);
  failed |= run(files, { HEADGATE_TEST_PG: major, HEADGATE_TEST_ARTIFACTS: artifact });
}
for (const version of ["22", "24"]) {
  console.log(`\n# Node ${version}`);
  failed |= run(files, { HEADGATE_TEST_ARTIFACTS: `bundle@${version}` });
}
process.exit(failed);
