import { readFileSync } from "node:fs";
import { Writable } from "node:stream";
import { writeFully } from "../report/print.ts";

/** O_NONBLOCK on Linux (asm-generic/fcntl.h). */
const O_NONBLOCK = 0o4000;
const standard = [0, 1, 2] as const;

/** Whether a file descriptor is non-blocking; undefined when it is closed, or there is no /proc. */
export function isNonBlocking(descriptor: number): boolean | undefined {
  try {
    const info = readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8");
    const [, flags] = /^flags:\s*(\d+)/m.exec(info) ?? [];
    return (parseInt(flags ?? "0", 8) & O_NONBLOCK) !== 0;
  } catch {
    return undefined;
  }
}

/** Which of stdin, stdout, stderr are non-blocking. The flag belongs to the pipe and so outlives exec. */
export function readBlockingFlags(): readonly (boolean | undefined)[] {
  return standard.map(isNonBlocking);
}

/**
 * Puts a stream that writes as the log does in the place of Node's process.stderr. Node's makes a pipe non-blocking as
 * soon as anything asks for it, and node:net asks each time it closes a socket, to compare the two. The session's may
 * be closed at any moment, even between the restoring of the flags and exec.
 */
export function keepStderrBlocking(): void {
  if (process.versions["bun"] !== undefined) return;
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      writeFully(2, chunk);
      done();
    },
  });
  Object.defineProperty(process, "stderr", {
    value: Object.assign(stream, { fd: 2 }),
    configurable: true,
  });
}

/**
 * Makes those blocking again that have become non-blocking since the start. Neither runtime has fcntl; but both
 * prepare a child's inherited descriptors by clearing the flag, even when the child cannot be started.
 * @param before as `readBlockingFlags` gave it at the start
 */
export function restoreBlockingFlags(before: readonly (boolean | undefined)[]): void {
  const now = readBlockingFlags();
  const changed = standard.map(
    (descriptor) => now[descriptor] === true && before[descriptor] === false,
  );
  if (!changed.includes(true)) return;
  process
    .getBuiltinModule("node:child_process")
    .spawnSync("/nonexistent", [], { stdio: changed.map((mine) => (mine ? "inherit" : "ignore")) });
}
