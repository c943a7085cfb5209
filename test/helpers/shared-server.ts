/** The server that all test files of a run share, unless they need one of their own; `scripts/test.ts` starts it. */
import type { Cluster } from "./postgres-cluster.ts";
import { connectAsSuperuser } from "./postgres-process.ts";
import { type Postgres, describeServer, startPostgres } from "./postgres.ts";

type Shared = { readonly cluster: Cluster; readonly port: number; readonly pid: number };

const variable = "HEADGATE_TEST_SERVER";

/** Starts it. @returns the server, and the variable that tells test processes of it */
export async function startShared(
  major: number,
): Promise<{ server: Postgres; environment: Record<string, string> }> {
  // Several files at once, some with fifty replicas.
  const server = await startPostgres({ major, settings: { max_connections: "300" } });
  const { password, socketDir, dataDir, logFile, port, pid } = server;
  const binaries = { major };
  const shared = { cluster: { password, socketDir, dataDir, logFile, binaries }, port, pid };
  return { server, environment: { [variable]: JSON.stringify(shared) } };
}

/** @returns undefined when a test file is run alone */
export function attachToShared(): Postgres | undefined {
  const text = process.env[variable];
  if (text === undefined) return undefined;
  const { cluster, port, pid } = JSON.parse(text) as Shared;
  const refuse = (): Promise<never> =>
    Promise.reject(new Error("other tests use this server, too: useServer({ own: true })"));
  return describeServer(cluster, {
    port,
    pid,
    start: refuse,
    // What every test file does at its end.
    stop: (mode) => (mode === undefined ? Promise.resolve() : refuse()),
    connect: (database, config) => connectAsSuperuser(cluster, port, database, config ?? {}),
  });
}
