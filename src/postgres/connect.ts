import { withTimeout } from "../deadline.ts";
import { addressesOf, dial } from "./dial.ts";
import { logIn, type Session } from "./session.ts";
import type { DatabaseSettings, Endpoint } from "./settings.ts";
import { sqlState } from "./sqlstate.ts";

/** One address that was tried, and what came of it. */
export type Attempt = { readonly endpoint: Endpoint; readonly error: Error };

/** No server of the list gave a session with an answer. */
export class ConnectFailed extends Error {
  readonly attempts: readonly Attempt[];
  constructor(attempts: readonly Attempt[]) {
    super(attempts.map(({ error }) => error.message).join("; "));
    this.attempts = attempts;
  }
}

/** An address did not answer within the connect timeout. */
export class ConnectTimeout extends Error {}

/**
 * Tries every server and every address of it in order, until one gives a session on which `ask` succeeds.
 * One connection at a time; a session whose answer is not wanted is closed before the next is opened.
 * @param timeoutMs for each address: DNS, TCP, TLS, login and answer together
 * @param ask what makes a server the right one; throws when it is not
 * @throws ConnectFailed, or the signal's reason
 */
export async function connectFirst<T>(
  settings: DatabaseSettings,
  applicationName: string,
  timeoutMs: number,
  signal: AbortSignal,
  ask: (session: Session, signal: AbortSignal) => Promise<T>,
): Promise<{ session: Session; answer: T }> {
  const attempts: Attempt[] = [];
  for (const endpoint of settings.endpoints) {
    let addresses: readonly string[];
    try {
      addresses = await limited(timeoutMs, signal, () => addressesOf(endpoint));
    } catch (error) {
      signal.throwIfAborted();
      attempts.push({ endpoint, error: error as Error });
      continue;
    }
    for (const address of addresses) {
      try {
        return await limited(timeoutMs, signal, async (limit) => {
          const session = await logInAsSslModeSays(
            settings,
            endpoint,
            address,
            applicationName,
            limit,
          );
          try {
            return { session, answer: await ask(session, limit) };
          } catch (error) {
            await session.end();
            throw error;
          }
        });
      } catch (error) {
        signal.throwIfAborted();
        attempts.push({ endpoint, error: error as Error });
      }
    }
  }
  throw new ConnectFailed(attempts);
}

/** `prefer` tries TLS and then plain text, `allow` the reverse, when the server's pg_hba.conf refuses the first. */
async function logInAsSslModeSays(
  settings: DatabaseSettings,
  endpoint: Endpoint,
  address: string,
  applicationName: string,
  signal: AbortSignal,
): Promise<Session> {
  const orders = {
    disable: ["plain"],
    allow: ["plain", "tls"],
    prefer: ["tls-if-offered", "plain"],
    require: ["tls"],
    "verify-ca": ["tls"],
    "verify-full": ["tls"],
  } as const;
  const [first, second] = orders[settings.sslMode];
  const open = async (mode: typeof first): Promise<Session> => {
    const socket = await dial(settings, endpoint, address, mode, signal);
    return logIn(settings, endpoint, address, socket, applicationName, signal);
  };
  try {
    return await open(first);
  } catch (error) {
    const isRejected = sqlState(error) === "28000";
    const isTls = error instanceof Error && error.name === "TlsRefused";
    if (second === undefined || address.startsWith("/") || !(isRejected || isTls)) throw error;
    return open(second).catch(() => {
      throw error;
    });
  }
}

async function limited<T>(
  timeoutMs: number,
  signal: AbortSignal,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = withTimeout(
    signal,
    timeoutMs,
    () => new ConnectTimeout(`no answer within ${timeoutMs} ms`),
  );
  try {
    return await work(limit.signal);
  } finally {
    limit.clear();
  }
}
