import { copyFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { type TestContext, afterEach } from "node:test";
import { type Postgres, type PostgresOptions, startPostgres } from "./postgres.ts";
import { attachToShared } from "./shared-server.ts";

/** What a test file needs of its server. */
export interface ServerOptions extends PostgresOptions {
  /** Its own, because its tests stop or kill it, read its log, count its sessions or make roles. */
  own?: boolean;
}

const kept = join(import.meta.dirname, "../../node_modules/.cache/headgate-test/logs");

/**
 * A server for the tests of this file, until its process ends: the one that all files of a run share, or one of its own
 * when it is to be different. A test that fails names a copy of the server's log.
 */
export async function useServer({
  own = false,
  ...options
}: ServerOptions = {}): Promise<Postgres> {
  const shared = own || Object.keys(options).length > 0 ? undefined : attachToShared();
  const server = shared ?? (await startPostgres(options));
  afterEach((t) => keepLog(t as TestContext, server.logFile));
  return server;
}

function keepLog(t: TestContext, logFile: string): void {
  if (t.passed) return;
  mkdirSync(kept, { recursive: true });
  const copy = join(kept, `${basename(process.argv[1] ?? "test")}.${process.pid}.log`);
  copyFileSync(logFile, copy);
  t.diagnostic(`the server's log: ${copy}`);
}
