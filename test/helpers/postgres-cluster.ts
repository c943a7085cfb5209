import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { temporaryFolder } from "./cleanup.ts";
import { type PostgresBinaries, postgresBinaries } from "./postgres-binaries.ts";

/** A database cluster on disk; whether a server runs on it is another matter. */
export interface Cluster {
  binaries: PostgresBinaries;
  dataDir: string;
  socketDir: string;
  logFile: string;
  password: string;
}

export interface ClusterOptions {
  /** PostgreSQL major version; `HEADGATE_TEST_PG` or 18 when not given. */
  major?: number;
  /** Lines for postgresql.conf, such as `{ max_connections: "10" }`. */
  settings?: Record<string, string>;
  /** Lines put before all others in pg_hba.conf, where the first match decides. */
  hba?: string | string[];
}

// Nothing here outlives the test, so nothing needs to survive a power cut.
const FAST = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  shared_buffers: "16MB",
  // Not in /dev/shm: a server killed with SIGKILL leaves its segment, and here it goes with the folder.
  dynamic_shared_memory_type: "mmap",
  log_line_prefix: "%m [%p] %q%u@%d/%a ",
};

/** Initialises a new cluster in a temporary folder, which is removed when this process ends. */
export function createCluster(options: ClusterOptions = {}): Cluster {
  const binaries = postgresBinaries(options.major);
  // The socket's path may have 107 bytes: short names.
  const folder = temporaryFolder("headgate-pg-");
  const cluster = {
    binaries,
    dataDir: join(folder, "data"),
    socketDir: join(folder, "s"),
    logFile: join(folder, "log"),
    // Every character that means something in a URL or a connection string, and one beyond ASCII.
    password: `p@ss:w/ord#é%${randomBytes(4).toString("hex")}`,
  };
  for (const path of [cluster.dataDir, cluster.socketDir]) {
    mkdirSync(path, { mode: path === cluster.dataDir ? 0o700 : 0o755 });
    if (binaries.owner) chownSync(path, binaries.owner.uid, binaries.owner.gid);
  }
  writeFileSync(cluster.logFile, "");
  initialise(cluster, join(folder, "password"));
  configure(cluster, options);
  return cluster;
}

/** The environment of initdb and postgres: nothing of ours, so no PG* variable can steer them. */
export const serverEnvironment = { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" };

function initialise({ binaries, dataDir, password }: Cluster, passwordFile: string): void {
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (binaries.owner) chownSync(passwordFile, binaries.owner.uid, binaries.owner.gid);
  const args = [
    ["--pgdata", dataDir, "--username", "postgres", "--pwfile", passwordFile],
    ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
  ].flat();
  // Synchronous on purpose: a signal cannot fall between initdb and the folder it fills.
  const result = spawnSync(binaries.initdb, args, {
    ...binaries.owner,
    cwd: dataDir,
    env: serverEnvironment,
    encoding: "utf8",
  });
  rmSync(passwordFile);
  if (result.error) throw result.error;
  if (result.status !== 0) {
    throw new Error(`initdb failed (${result.status}):\n${result.stdout}${result.stderr}`);
  }
}

function configure({ dataDir, socketDir }: Cluster, options: ClusterOptions): void {
  const settings = {
    ...FAST,
    listen_addresses: hasIpv6Loopback() ? "127.0.0.1,::1" : "127.0.0.1",
    unix_socket_directories: socketDir,
    ...options.settings,
  };
  // In the file rather than as -c arguments, so that a test can still use ALTER SYSTEM on them.
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`,
  );
  appendFileSync(join(dataDir, "postgresql.conf"), lines.join(""));
  const hba = join(dataDir, "pg_hba.conf");
  const first = [options.hba ?? []].flat().join("\n");
  writeFileSync(hba, `${first}\n${readFileSync(hba, "utf8")}`);
}

function hasIpv6Loopback(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => address === "::1"),
  );
}
