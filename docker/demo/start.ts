// `npm start`: headgate in front of the demo's API server, with a PostgreSQL that comes up too late.
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";
import { leaveSignalsToProgram } from "../../test/helpers/cleanup.ts";
import { eventually } from "../../test/helpers/eventually.ts";
import { freePort, isFree } from "../../test/helpers/port.ts";
import { type Postgres, startPostgres } from "../../test/helpers/postgres.ts";

const ROOT = join(import.meta.dirname, "../..");
const API_SERVER = ["node", "docker/demo/api.mjs"];
const POSTGRES_DELAY_MS = 2000;

const stopped = new AbortController();
leaveSignalsToProgram();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stopped.abort());

try {
  process.exit(await demo(stopped.signal));
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}

/** Runs the demo until it is stopped (0) or the API server ends (its exit code). */
async function demo(stop: AbortSignal): Promise<number> {
  const [program, ...args] = headgateCommand();
  const port = process.env["PORT"] || String((await isFree(3000)) ? 3000 : await freePort());
  // Initialised now, because headgate needs its password; started below.
  const postgres = await startPostgres({ start: false });
  if (stop.aborted) return 0;

  const headgate = execa(program, [...args, "--migrations", "migrations", "--", ...API_SERVER], {
    cwd: ROOT,
    env: { DATABASE_URL: postgres.url("postgres"), PORT: port },
    stdio: "inherit",
    reject: false,
  });
  const over = new AbortController();
  stop.addEventListener("abort", () => headgate.kill("SIGTERM"));
  const [{ exitCode, signal }] = await Promise.all([
    headgate.finally(() => over.abort()),
    startLate(postgres, `http://127.0.0.1:${port}`, over.signal),
  ]);
  await postgres.stop();
  if (stop.aborted) return 0;
  return exitCode ?? (signal ? 128 + constants.signals[signal] : 1);
}

/** Starts PostgreSQL when headgate has waited a while, and says when the API answers. */
async function startLate(postgres: Postgres, url: string, over: AbortSignal): Promise<void> {
  await delay(POSTGRES_DELAY_MS, undefined, { signal: over }).catch(() => {});
  if (over.aborted) return;
  console.log(`demo: PostgreSQL starts only now, on purpose (port ${postgres.port})`);
  await postgres.start();
  const answers = async () => over.aborted || (await fetch(`${url}/health`)).ok;
  await eventually(`${url}/health answers`, answers, 60_000);
  if (!over.aborted) console.log(`demo: try ${url}/health and ${url}/notes; Ctrl-C ends it`);
}

function headgateCommand(): [string, ...string[]] {
  const standalone = join(ROOT, "dist/headgate");
  const bundle = join(ROOT, "dist/headgate.cjs");
  if (existsSync(standalone)) return [standalone];
  if (existsSync(bundle)) return [process.execPath, bundle];
  throw new Error('headgate is not built; run "npm run build" first');
}
