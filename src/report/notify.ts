import type { Log } from "./log.ts";

/** A webhook that is down must not keep a server from starting for longer than this. */
const timeoutMs = 3000;

/** Tells a webhook what happens. Nothing that goes wrong there is a failure here. */
export type Notifier = {
  readonly tell: (text: string) => void;
  /** Waits until all of it is sent, or has taken too long. */
  readonly settle: () => Promise<void>;
};

/**
 * Posts `{"text": …}`, as Slack and those that imitate it take it.
 * @param url absent: nobody is told
 * @param redact takes secrets out of a text
 */
export function createNotifier(
  url: string | undefined,
  redact: (text: string) => string,
  log: Log,
): Notifier {
  const sent: Promise<void>[] = [];
  const post = async (address: string, text: string): Promise<void> => {
    try {
      const response = await fetch(address, {
        method: "POST",
        headers: { "content-type": "application/json", connection: "close" },
        body: JSON.stringify({ text: redact(text) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`the answer was ${response.status}`);
    } catch (error) {
      const { cause } = error as { cause?: unknown };
      const reason = [error, cause].map((each) => (each instanceof Error ? each.message : ""));
      log.warn({ phase: "notify", reason: reason.filter(Boolean).join(": ") }, "could not notify");
    }
  };
  return {
    tell: (text) => {
      if (url !== undefined) sent.push(post(url, text));
    },
    settle: async () => void (await Promise.all(sent)),
  };
}
