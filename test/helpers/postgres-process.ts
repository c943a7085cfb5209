import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { onExit } from "./cleanup.ts";
import { eventually } from "./eventually.ts";
import { type Cluster, forgetSharedMemory, serverEnvironment } from "./postgres-cluster.ts";
import { alive, children } from "./proc.ts";

export type StopMode = "fast" | "immediate" | "kill";

const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 30_000;
const EXIT_DEADLINE_MS = 5000;
const SIGNALS = { fast: "SIGINT", immediate: "SIGQUIT", kill: "SIGKILL" } as const;

/** The port was in use by somebody else each time the server tried to listen on it. */
export class PortTaken extends Error {}

/** The server process on a cluster: started, stopped and started again. */
export class PostgresProcess {
  port: number;
  readonly #cluster: Cluster;
  #child: ChildProcess | undefined;

  constructor(cluster: Cluster, port: number) {
    this.#cluster = cluster;
    this.port = port;
    onExit(() => this.#stopNow());
  }

  get pid(): number | undefined {
    return this.#running() ? this.#child?.pid : undefined;
  }

  async start(): Promise<void> {
    if (this.#running()) throw new Error("PostgreSQL already runs");
    const logged = statSync(this.#cluster.logFile).size;
    this.#child = this.#spawn();
    const log = () => readFileSync(this.#cluster.logFile).subarray(logged).toString();
    try {
      const outcome = await eventually(
        "a query is answered",
        () => this.#try(log),
        START_DEADLINE_MS,
      );
      if (outcome instanceof Error) throw outcome;
    } catch (error) {
      await this.stop("immediate");
      if (!(error instanceof Error)) throw error;
      error.message = `PostgreSQL did not start: ${error.message}\n${log()}`;
      throw error;
    }
  }

  async stop(mode: StopMode = "fast"): Promise<void> {
    const child = this.#child;
    if (!child?.pid || !this.#running()) return;
    // Listed before the kill: afterwards they are orphans, and one busy with a long query may live on,
    // attached to the shared memory that the next start needs to itself.
    const backends = mode === "kill" ? children(child.pid) : [];
    child.kill(SIGNALS[mode]);
    for (const backend of backends) killQuietly(backend);
    await eventually(
      `PostgreSQL stopped (${mode})`,
      () => !this.#running() && !backends.some(alive),
      STOP_DEADLINE_MS,
    );
    if (mode === "kill") forgetSharedMemory(this.#cluster.dataDir);
  }

  connect(database: string, config: pg.ClientConfig = {}): Promise<pg.Client> {
    return connectAsSuperuser(this.#cluster, this.port, database, config);
  }

  #spawn(): ChildProcess {
    const { binaries, dataDir, logFile } = this.#cluster;
    const log = openSync(logFile, "a");
    const child = spawn(binaries.postgres, ["-D", dataDir, "-p", String(this.port)], {
      ...binaries.owner,
      cwd: dataDir,
      env: serverEnvironment,
      stdio: ["ignore", log, log],
      // A session of its own: Ctrl-C in a terminal reaches every process of the foreground group,
      // and to PostgreSQL SIGINT means shut down.
      detached: true,
    });
    closeSync(log);
    // A forgotten server must not keep the test process from ending, and with it the server.
    child.unref();
    // Reported by start(), as a server that is not running.
    child.on("error", () => {});
    return child;
  }

  /** True when ready, an error when waiting is pointless; throws when it may still become ready. */
  async #try(log: () => string): Promise<true | Error> {
    // It goes on when only one of its addresses is taken, and would leave our port to a stranger.
    if (log().includes("could not bind IPv")) return new PortTaken(`port ${this.port} is in use`);
    if (!this.#running()) return new Error("it ended at once");
    // By the socket, which no pg_hba.conf rule of a test about hosts can close.
    const host = this.#cluster.socketDir;
    const client = await this.connect("postgres", { host, connectionTimeoutMillis: 2000 });
    await client.query("SELECT 1").finally(() => client.end());
    return true;
  }

  #running(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** The synchronous stop for the end of this process, when no event is delivered any more. */
  #stopNow(): void {
    const pid = this.pid;
    if (pid === undefined) return;
    process.kill(pid, "SIGQUIT");
    // The server removes its pid file last, unless it had not begun to handle signals. Its exit cannot
    // be seen from here, where it stays a zombie, without /proc.
    const mayRun = () => alive(pid) || !existsSync("/proc/self/status");
    const pidFile = join(this.#cluster.dataDir, "postmaster.pid");
    const deadline = performance.now() + EXIT_DEADLINE_MS;
    while (existsSync(pidFile) && mayRun() && performance.now() < deadline) pause(10);
    process.kill(pid, "SIGKILL");
    forgetSharedMemory(this.#cluster.dataDir);
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Already gone.
  }
}

/** Opens a superuser connection; the caller ends it. */
export async function connectAsSuperuser(
  { password }: Pick<Cluster, "password">,
  port: number,
  database: string,
  config: pg.ClientConfig,
): Promise<pg.Client> {
  const client = new pg.Client({
    host: "127.0.0.1",
    port,
    user: "postgres",
    password,
    database,
    application_name: "headgate-test",
    connectionTimeoutMillis: 10_000,
    ...config,
  });
  // A connection that ends while idle (the test stopped the server) must not end the test process.
  client.on("error", () => {});
  await client.connect();
  return client;
}
