import { writeSync } from "node:fs";
import { errorCode } from "../errors.ts";

/** How often a full pipe is tried again, and for how long: together 5 s for a reader that never comes back. */
const retryPauseMs = 10;
const mostRetries = 500;

/** Prints a command's result to stdout. @returns 0, the exit code of a command that only prints */
export function print(text: string): number {
  writeFully(1, text);
  return 0;
}

/**
 * Writes all of it before it returns. A reader that is gone, or stands still, must not stop a migration: then the
 * text is lost.
 * @param descriptor 1 or 2
 */
export function writeFully(descriptor: 1 | 2, text: string | Uint8Array): void {
  let bytes: Uint8Array = Buffer.from(text);
  for (let retries = 0; bytes.length > 0 && retries < mostRetries;) {
    try {
      bytes = bytes.subarray(writeSync(descriptor, bytes));
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") return;
      // The pipe came to us non-blocking and is full.
      retries++;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryPauseMs);
    }
  }
}
