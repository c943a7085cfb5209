import { withTimeout } from "../deadline.ts";

/** Together with the rest under the promised 3 s when a signal has come. */
const whenStoppedMs = 1500;
const longestMs = 60_000;

/**
 * Does what a scratch database needs at its end, also after a signal to stop. Never throws, because what it follows may
 * be worse.
 * @param work gives what it could not do, if anything
 * @returns the same, or why it failed
 */
export async function cleanUp(
  signal: AbortSignal,
  work: (limit: AbortSignal) => Promise<string | undefined>,
): Promise<string | undefined> {
  const patience = withTimeout(
    new AbortController().signal,
    signal.aborted ? whenStoppedMs : longestMs,
    () => new Error("it took too long"),
  );
  try {
    return await work(patience.signal);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    patience.clear();
  }
}
