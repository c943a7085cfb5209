import {
  accessSync,
  chmodSync,
  constants,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Task = () => void;
const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const tasks = new Set<Task>();
let armed = false;
let signalsAreOurs = true;

/**
 * Runs a synchronous task when this process ends: at its natural end, by `process.exit`, by an
 * uncaught exception, and by SIGINT, SIGTERM or SIGHUP.
 */
export function onExit(task: Task): void {
  tasks.add(task);
  if (armed) return;
  armed = true;
  process.once("exit", runTasks);
  if (!signalsAreOurs) return;
  for (const signal of STOP_SIGNALS) process.on(signal, endBySignal);
}

/** For a program that handles these signals itself and then exits; to be called before the rest. */
export function leaveSignalsToProgram(): void {
  signalsAreOurs = false;
}

/** Makes an empty folder, readable by every user, that is removed when this process ends. */
export function temporaryFolder(prefix: string, parent = memory()): string {
  const folder = mkdtempSync(join(parent, prefix));
  onExit(() => removeFolder(folder));
  // mkdtemp makes it 0700, but a test may start the program that reads it as another user.
  chmodSync(folder, 0o755);
  return folder;
}

/** Of a cluster 40 MB, of a database 8, and several servers run at once. */
const roomNeeded = 2 * 2 ** 30;

/**
 * Where files are memory, if there is such a place, with room and for programs: CREATE DATABASE makes 300 files, which
 * took 0.35 s of CPU time on one machine's ext4 and 0.015 s on its tmpfs. A container's /dev/shm is noexec, with 64 MB.
 */
function memory(): string {
  const folder = "/dev/shm";
  try {
    accessSync(folder, constants.W_OK);
    const mounts = readFileSync("/proc/mounts", "utf8");
    const isForPrograms = / \/dev\/shm tmpfs (?!\S*noexec)/.test(mounts);
    const { bavail, bsize } = statfsSync(folder);
    return isForPrograms && bavail * bsize >= roomNeeded ? folder : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** Removes a folder even while a dying process may still write its last file into it. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

function runTasks(): void {
  // Newest first, so that a server is gone before the folder it was given.
  for (const task of [...tasks].toReversed()) {
    tasks.delete(task);
    try {
      task();
    } catch (error) {
      console.error("clean-up at exit failed:", error);
    }
  }
}

function endBySignal(signal: NodeJS.Signals): void {
  runTasks();
  // Die by the same signal, as this process would have without the handler.
  for (const each of STOP_SIGNALS) process.off(each, endBySignal);
  process.kill(process.pid, signal);
}
