import { existsSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { Stopped, stopSignalNames, stopSignals } from "../errors.ts";
import { isNonBlocking } from "./blocking.ts";
import { loadLibc } from "./bun-libc.ts";

/**
 * Ends the catching of stop signals so that none is lost: one that was caught is thrown, one that comes later has its
 * default effect, which is to end this process or the server. (Not as PID 1: a signal that PID 1 does not catch means
 * nothing to the kernel, before exec as after it.)
 * @param signal fires when a listener is told of a stop signal
 * @throws the signal's reason
 */
export async function stopCatching(signal: AbortSignal): Promise<void> {
  const isBun = process.versions["bun"] !== undefined;
  if (isBun && process.pid !== 1) resetByCall();
  // One that arrived during synchronous work is still in the runtime's queue: let it be delivered.
  await turn();
  await turn();
  signal.throwIfAborted();
  if (isBun) return;
  // Node cannot reset a signal and keep its listener, which libuv tells nothing any more once it is removed: what was
  // caught meanwhile has to be read from libuv's own pipe.
  for (const name of stopSignalNames) process.removeAllListeners(name);
  const untold = readUntold();
  const name = stopSignalNames.find((each) => untold.includes(stopSignals[each]));
  if (name !== undefined) throw new Stopped(name);
}

/** Leaves Bun's listeners as they are, so that what was caught before is still told to them. */
function resetByCall(): void {
  const SIG_DFL = null;
  try {
    const { signal } = loadLibc();
    for (const name of stopSignalNames) signal(stopSignals[name], SIG_DFL);
  } catch {
    // Then they are caught to the end, and one that arrives in the last moment is lost.
  }
}

/** A pointer, the number, and what aligns the next record. */
const recordBytes = 16;
const numberOffset = 8;

/**
 * Reads the numbers of the signals that libuv caught and did not tell. Its handler writes a record of each into a pipe
 * (src/unix/signal.c, uv__signal_msg_t): the non-blocking one of which this process has both ends.
 */
function readUntold(): number[] {
  const numbers: number[] = [];
  if (!existsSync("/proc/self/fd")) return numbers;
  const seen = new Map<string, number>();
  const records = Buffer.alloc(recordBytes * 64);
  for (const descriptor of readdirSync("/proc/self/fd").map(Number)) {
    try {
      const target = readlinkSync(`/proc/self/fd/${descriptor}`);
      // The end for reading has the lower number.
      const reading = seen.get(target);
      seen.set(target, descriptor);
      if (!target.startsWith("pipe:") || reading === undefined || !isNonBlocking(reading)) continue;
      const length = readSync(reading, records);
      for (let start = 0; start < length; start += recordBytes)
        numbers.push(records.readInt32LE(start + numberOffset));
    } catch {
      // Nothing was caught; or the descriptor is that of the folder, closed by now.
    }
  }
  return numbers;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
