import { setTimeout as delay } from "node:timers/promises";

type Falsy = undefined | null | false;

/**
 * Polls `check` every 20 ms until it gives something other than undefined, null or false, and
 * returns that. A check that throws counts as "not yet"; at the deadline the last error is the
 * cause of the one thrown here.
 */
export async function eventually<T>(
  description: string,
  check: () => Promise<T | Falsy> | T | Falsy,
  deadlineMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  let lastError: unknown;
  // The clock is read after the check, so one check always happens at or after the deadline and a
  // stalled machine cannot fail a condition that nobody looked at.
  for (;;) {
    try {
      const found = await check();
      if (found !== undefined && found !== null && found !== false) return found;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) break;
    await delay(20);
  }
  const detail = lastError === undefined ? "" : `; last error: ${messageOf(lastError)}`;
  throw new Error(`not within ${deadlineMs} ms: ${description}${detail}`, { cause: lastError });
}

function messageOf(error: unknown): string {
  // A refused connection to a name with several addresses is an AggregateError without a message.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(", ");
  return error instanceof Error ? error.message : String(error);
}
