import { HeadgateError } from "../errors.ts";
import { within } from "../deadline.ts";
import type { Log } from "../report/log.ts";

/** wait-on's default of 300 ms for a TCP connection is too short between regions. */
const tcpTimeoutMs = 2000;
const httpTimeoutMs = 5000;

/**
 * Waits for what is not Postgres. Loads wait-on only here: it takes 145 ms.
 * @param targets `tcp:host:port`, `http(s)://…`, `file:…`, `socket:…`; wait-on's `command:` never gets here
 * @param timeoutMs for all of them together; Infinity = no limit
 * @throws HeadgateError not_ready (69) at the deadline
 */
export async function waitForDependencies(
  targets: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  if (targets.length === 0) return;
  const started = performance.now();
  log.info({ phase: "wait-for", targets }, "waiting");
  const { default: waitOn } = await import("wait-on");
  try {
    // wait-on takes no AbortSignal; on a signal the process ends, and its timers with it.
    await within(
      signal,
      waitOn({
        resources: [...targets],
        ...(Number.isFinite(timeoutMs) ? { timeout: timeoutMs } : {}),
        tcpTimeout: tcpTimeoutMs,
        httpTimeout: httpTimeoutMs,
        window: 0,
        // Its default trusts any certificate.
        strictSSL: true,
      }),
    );
  } catch (error) {
    signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    throw new HeadgateError(
      "not_ready",
      `a dependency was not ready within ${timeoutMs} ms: ${reason}`,
      {
        fix: "check the dependency; raise --wait-for-timeout if it is only slow",
        cause: error,
      },
    );
  }
  log.info({ phase: "wait-for", ms: Math.round(performance.now() - started) }, "ready");
}
