import { within, withTimeout } from "../deadline.ts";
import { addressesOf, dial } from "./dial.ts";
import { refusesOptions } from "./search-path.ts";
import { logIn, type Session } from "./session.ts";
import type { DatabaseSettings, Endpoint } from "./settings.ts";
import { isHbaRejection } from "./sqlstate.ts";
import { TlsRefused } from "./tls.ts";

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

/** How long connecting may take, in milliseconds, Infinity = no limit. */
export type Limits = {
  /** Each address: DNS, TCP, TLS, login and answer together. */
  readonly eachMs: number;
  /** All of them. */
  readonly allMs: number;
};

/** An address did not answer in time. */
export class ConnectTimeout extends Error {
  /** Whether it had less than its full time, because the time for all was over. */
  readonly isCut: boolean;
  constructor(timeoutMs: number, isCut: boolean) {
    super(`no answer within ${Math.ceil(timeoutMs)} ms`);
    this.isCut = isCut;
  }
}

/**
 * Tries every server and every address of it in order, until one gives a session on which `ask` succeeds.
 * One connection at a time; a session whose answer is not wanted is closed before the next is opened.
 * @param ask what makes a server the right one; throws when it is not
 * @throws ConnectFailed, or the signal's reason
 */
export async function connectFirst<T>(
  settings: DatabaseSettings,
  applicationName: string,
  limits: Limits,
  signal: AbortSignal,
  ask: (session: Session, signal: AbortSignal) => Promise<T>,
): Promise<{ session: Session; answer: T }> {
  const attempts: Attempt[] = [];
  const deadline = performance.now() + limits.allMs;
  const limited = <R>(work: (limit: AbortSignal) => Promise<R>): Promise<R> => {
    const leftMs = deadline - performance.now();
    return inTime(Math.min(limits.eachMs, leftMs), leftMs < limits.eachMs, signal, work);
  };
  const note = (endpoint: Endpoint, error: unknown): void => {
    signal.throwIfAborted();
    // That the time for all was over says nothing about this server; what another one answered does.
    const saysNothing = error instanceof ConnectTimeout && error.isCut && attempts.length > 0;
    if (!saysNothing) attempts.push({ endpoint, error: error as Error });
  };
  for (const endpoint of settings.endpoints) {
    let addresses: readonly string[];
    try {
      addresses = await limited((limit) => within(limit, addressesOf(endpoint)));
    } catch (error) {
      note(endpoint, error);
      continue;
    }
    for (const address of addresses) {
      try {
        return await limited(async (limit) => {
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
            session.end();
            throw error;
          }
        });
      } catch (error) {
        note(endpoint, error);
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
  const openAs = async (own: DatabaseSettings, mode: typeof first): Promise<Session> => {
    const socket = await dial(own, endpoint, address, mode, signal);
    return logIn(own, endpoint, address, socket, applicationName, signal);
  };
  const open = (mode: typeof first): Promise<Session> =>
    openAs(settings, mode).catch((error: unknown) => {
      const { searchPath, ...others } = settings;
      // What the search path is then is looked at before anything is done.
      if (searchPath === undefined || !refusesOptions(error)) throw error;
      return openAs(others, mode);
    });
  try {
    return await open(first);
  } catch (error) {
    const mayFallBack = isHbaRejection(error) || error instanceof TlsRefused;
    if (second === undefined || address.startsWith("/") || !mayFallBack) throw error;
    return open(second).catch((other: unknown) => {
      // Rejected here too: then the first failure is what there is to correct.
      throw isHbaRejection(other) ? error : other;
    });
  }
}

/** Does the work with a signal that fires when its time is over; not at all when it has none. */
async function inTime<T>(
  timeoutMs: number,
  isCut: boolean,
  signal: AbortSignal,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  if (timeoutMs <= 0) throw new ConnectTimeout(0, isCut);
  const limit = withTimeout(signal, timeoutMs, () => new ConnectTimeout(timeoutMs, isCut));
  try {
    return await work(limit.signal);
  } finally {
    limit.clear();
  }
}
