import { readFileSync } from "node:fs";

/** O_NONBLOCK on Linux (asm-generic/fcntl.h). */
const O_NONBLOCK = 0o4000;
const standard = [0, 1, 2] as const;

/** Which of stdin, stdout, stderr are non-blocking. The flag belongs to the pipe and so outlives exec. */
export function readBlockingFlags(): readonly (boolean | undefined)[] {
  return standard.map((descriptor) => {
    try {
      const [, flags] =
        /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8")) ?? [];
      return (parseInt(flags ?? "0", 8) & O_NONBLOCK) !== 0;
    } catch {
      return undefined;
    }
  });
}

/**
 * Makes those blocking again that have become non-blocking since the start, for good. Neither runtime has fcntl; but
 * both prepare a child's inherited descriptors by clearing the flag, even when the child cannot be started.
 * @param before as `readBlockingFlags` gave it at the start
 */
export function restoreBlockingFlags(before: readonly (boolean | undefined)[]): void {
  // Node compares each socket that it closes with process.stderr (lib/net.js), and asking for that stream is what makes
  // a pipe non-blocking. The session's socket may still be closing, so from now on there is no such stream.
  if (process.versions["bun"] === undefined) {
    Object.defineProperty(process, "stderr", { value: undefined, configurable: true });
  }
  const now = readBlockingFlags();
  const changed = standard.map(
    (descriptor) => now[descriptor] === true && before[descriptor] === false,
  );
  if (!changed.includes(true)) return;
  process
    .getBuiltinModule("node:child_process")
    .spawnSync("/nonexistent", [], { stdio: changed.map((mine) => (mine ? "inherit" : "ignore")) });
}
