import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { onExit, temporaryFolder } from "./cleanup.ts";
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
  /** By an initdb of its own, for tests that tell one cluster from another: copies share a system identifier. */
  fresh?: boolean;
  /** For tests that write gigabytes. */
  onDisk?: boolean;
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

/** Makes a new cluster in a temporary folder, which is removed when this process ends. */
export async function createCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const binaries = postgresBinaries(options.major);
  // The socket's path may have 107 bytes: short names.
  const folder = temporaryFolder("headgate-pg-", options.onDisk === true ? tmpdir() : undefined);
  const cluster = {
    binaries,
    dataDir: join(folder, "data"),
    socketDir: join(folder, "s"),
    logFile: join(folder, "log"),
    password: PASSWORD,
  };
  mkdirSync(cluster.socketDir, { mode: 0o755 });
  if (binaries.owner) chownSync(cluster.socketDir, binaries.owner.uid, binaries.owner.gid);
  writeFileSync(cluster.logFile, "");
  if (options.fresh === true) await initialise(binaries, folder);
  else copyTree(await templateOf(binaries), cluster.dataDir);
  configure(cluster, options);
  return cluster;
}

// Every character that means something in a URL or a connection string, and one beyond ASCII.
const PASSWORD = "p@ss:w/ord#é%7f3a";

/** The environment of initdb and postgres: nothing of ours, so no PG* variable can steer them. */
export const serverEnvironment = { PATH: process.env["PATH"] ?? "", LC_ALL: "C", TZ: "UTC" };

/**
 * The data folder of a cluster on which no server ever ran, made once for each version and user and kept: a copy costs
 * 0.09 s of CPU time, initdb 1.4 s.
 */
async function templateOf(binaries: PostgresBinaries): Promise<string> {
  const cache = join(import.meta.dirname, "../../node_modules/.cache/headgate-test");
  const uid = binaries.owner?.uid ?? process.getuid?.() ?? 0;
  const template = join(cache, `postgres-${binaries.version}-${uid}`);
  if (!existsSync(template)) {
    const workshop = temporaryFolder("headgate-template-");
    const data = await initialise(binaries, workshop);
    mkdirSync(cache, { recursive: true });
    const aside = `${template}.${process.pid}`;
    copyTree(data, aside);
    try {
      renameSync(aside, template);
    } catch (error) {
      // Another test file, started at the same moment, made it first.
      rmSync(aside, { recursive: true });
      if (!existsSync(template)) throw error;
    }
  }
  return template;
}

/** Keeps owners and modes, which PostgreSQL insists on. */
function copyTree(from: string, to: string): void {
  const { status, stderr } = spawnSync("cp", ["-a", from, to], { encoding: "utf8" });
  if (status !== 0) throw new Error(`cannot copy ${from}: ${stderr}`);
}

/** Runs initdb. @returns the data folder, beneath the given one */
async function initialise(binaries: PostgresBinaries, folder: string): Promise<string> {
  const [dataDir, passwordFile] = [join(folder, "data"), join(folder, "password")];
  mkdirSync(dataDir, { mode: 0o700 });
  writeFileSync(passwordFile, PASSWORD, { mode: 0o600 });
  const { owner } = binaries;
  if (owner) for (const path of [dataDir, passwordFile]) chownSync(path, owner.uid, owner.gid);
  const args = [
    ["--pgdata", dataDir, "--username", "postgres", "--pwfile", passwordFile],
    ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
  ].flat();
  const initdb = execa(binaries.initdb, args, {
    ...owner,
    cwd: dataDir,
    env: serverEnvironment,
    extendEnv: false,
    all: true,
    reject: false,
    // A group of its own: out of reach of Ctrl-C, and killed below with the servers it starts.
    detached: true,
  });
  let over = false;
  onExit(() => {
    if (!initdb.pid || over) return;
    process.kill(-initdb.pid, "SIGKILL");
    forgetSharedMemory(dataDir);
  });
  const result = await initdb;
  over = true;
  rmSync(passwordFile);
  if (result.failed) throw new Error(`${result.shortMessage}\n${result.all}`);
  return dataDir;
}

/** Removes what a killed server could not give back: its System V segment outlives it. */
export function forgetSharedMemory(dataDir: string): void {
  const pidFile = join(dataDir, "postmaster.pid");
  if (!existsSync(pidFile)) return;
  // The seventh line is the key and the identifier of the segment.
  const identifier = readFileSync(pidFile, "utf8").split("\n")[6]?.trim().split(/\s+/)[1];
  if (identifier) spawnSync("ipcrm", ["-m", identifier]);
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
