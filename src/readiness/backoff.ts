import { sleep } from "../deadline.ts";

/**
 * Pauses that grow and are spread over the whole interval ("full jitter"), so that replicas which failed together
 * do not come back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 * @param firstMs,mostMs the interval's size at first and at most, in milliseconds
 */
export function backoff(
  firstMs: number,
  mostMs: number,
): { pause(leftMs: number, signal: AbortSignal): Promise<void> } {
  let interval = firstMs;
  return {
    pause: async (leftMs, signal) => {
      const ms = Math.random() * interval;
      interval = Math.min(mostMs, interval * 1.5);
      await sleep(Math.min(ms, Math.max(0, leftMs)), signal);
    },
  };
}
