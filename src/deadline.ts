import type { Socket } from "node:net";

/**
 * A signal that also fires after a time.
 * @param signal the outer signal, if there is one
 * @param ms milliseconds; Infinity = only the outer signal
 * @param reason what the signal's `reason` becomes at the time-out
 * @returns the signal, and `clear` to call when the work is done
 */
export function withTimeout(
  signal: AbortSignal,
  ms: number,
  reason: () => Error,
): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController();
  const stop = (): void => controller.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  const timer = timeoutAfter(ms, () => controller.abort(reason()));
  return {
    signal: controller.signal,
    clear: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    },
  };
}

/** Waits for a promise, or throws the signal's reason as soon as it fires. */
export function within<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** Sleeps, or throws the signal's reason as soon as it fires. @param ms milliseconds */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const asleep = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return within(signal, asleep).finally(() => clearTimeout(timer));
}

/** setTimeout that takes Infinity, and times beyond its limit of 2^31 ms (24 days), to mean never. */
function timeoutAfter(ms: number, fire: () => void): NodeJS.Timeout | undefined {
  return ms < 2 ** 31 ? setTimeout(fire, ms) : undefined;
}

/** Resolves when a socket is connected, rejects with its error. */
export function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.removeListener("error", reject);
      resolve();
    });
  });
}
