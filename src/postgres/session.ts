import type { Socket } from "node:net";
import type { QueryResult } from "pg";
import Client from "pg/lib/client.js";
import { sleep, withTimeout, within } from "../deadline.ts";
import { dial } from "./dial.ts";
import { type DatabaseSettings, type Endpoint, optionsOf } from "./settings.ts";
import { forbidsTransactions, refusalOfStatementMode } from "./pooler.ts";
import { isServerError, saysGoodbye } from "./sqlstate.ts";
import { TlsRefused } from "./tls.ts";

/** What the server says beside its answers. */
export type Notice = {
  /** `NOTICE`, `WARNING` … in the server's language. */
  readonly severity: string;
  /** SQLSTATE: class 01 is a warning in any language. */
  readonly code: string;
  readonly message: string;
};

/** A logged-in connection. Holds the only `pg` client of headgate. */
export type Session = {
  readonly endpoint: Endpoint;
  readonly encrypted: boolean;
  /** The backend's process id as the handshake told it; a pooler tells another. */
  readonly handshakePid: number;
  /**
   * Sends text as ONE simple query, which may hold several statements.
   * When the signal fires, the statement is cancelled on the server and the signal's reason is thrown after the
   * server has confirmed, or after `cancelPatienceMs`.
   * @returns the result of each statement
   * @throws pg's DatabaseError, ConnectionLost, or the signal's reason
   */
  query(sql: string, signal: AbortSignal): Promise<QueryResult<Record<string, unknown>>[]>;
  /** How many statements of the latest query the server completed; tells which one failed. */
  readonly completed: () => number;
  /** Whether the server has answered the latest query with an error, also when that was because of a cancel request. */
  readonly failed: () => boolean;
  /** Passes on what the server says beside its answers. @returns what ends that */
  onNotice(listen: (notice: Notice) => void): () => void;
  /**
   * Sends a last word after a failure: a rollback, a note. Also after a signal to stop, so it takes a second at most;
   * it never throws, because what it follows is worse.
   */
  afterwards(sql: string): Promise<void>;
  /** Says goodbye and closes; what is on its way to the server gets there. Never throws. */
  end(): void;
};

/** The connection ended while it was needed; whether the last statement took effect is not known from here. */
export class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** What pg's types leave out. */
type Wire = { stream: Socket; on(event: string, listen: (message: never) => void): void };
type Internals = { connection: Wire; processID: number; secretKey: number };

/** Long enough for a cancel request to cross a continent and roll back; short enough for "exit in under 3 s". */
const cancelPatienceMs = 1500;
/** Together with it still under the promised 3 s. */
const afterwardsPatienceMs = 1000;
/** Between an error and the word that the server is ready for the next query, which nearly always come together. */
const readyPatienceMs = 1000;

const neverStopped = new AbortController().signal;

/**
 * Logs in on one address.
 * @param socket open and encrypted, as `dial` gives it
 * @param signal ends the attempt
 * @throws pg's DatabaseError (has an SQLSTATE in `code`), or the network's error
 */
export async function logIn(
  settings: DatabaseSettings,
  endpoint: Endpoint,
  address: string,
  socket: Socket,
  applicationName: string,
  signal: AbortSignal,
): Promise<Session> {
  const encrypted = "encrypted" in socket;
  // The socket is connected already: pg's own connect() only has to be told so.
  socket.connect = () => {
    queueMicrotask(() => socket.emit("connect"));
    return socket;
  };
  const bindsChannel = encrypted && settings.channelBinding !== "disable";
  const options = optionsOf(settings);
  const client = new Client({
    host: endpoint.host,
    port: endpoint.port,
    user: settings.user,
    database: settings.database,
    // A function, because with no password at all pg would go looking for ~/.pgpass.
    password: () => {
      // Now, because a server in the middle may ask for the password in the clear.
      mustBeBound();
      return settings.password ?? missingPassword();
    },
    application_name: applicationName,
    ssl: false,
    // The socket is encrypted already. Without a word pg reads PGSSLNEGOTIATION, and refuses `direct` without its own TLS.
    sslnegotiation: "postgres",
    stream: () => socket,
    enableChannelBinding: bindsChannel,
    ...(options === undefined ? {} : { options }),
  });
  const internals = client as unknown as Internals;
  const { connection } = internals;

  let boundChannel = false;
  const mustBeBound = (): void => {
    if (settings.channelBinding !== "require" || boundChannel) return;
    throw new TlsRefused("channel_binding=require, but the server did not offer it");
  };
  /** What is known of the connection: why it ended, and whether the server waits for a query. */
  const known: { lost?: Error; isReady: boolean } = { isReady: false };
  client.on("error", (error: Error) => (known.lost ??= error));
  connection.on("readyForQuery", () => (known.isReady = true));
  connection.on("authenticationSASL", (message: { mechanisms: string[] }) => {
    boundChannel = bindsChannel && message.mechanisms.includes("SCRAM-SHA-256-PLUS");
  });
  let completed = 0;
  let failed = false;
  connection.on("commandComplete", () => completed++);

  try {
    await within(signal, client.connect());
    mustBeBound();
  } catch (error) {
    socket.destroy();
    throw error;
  }

  const cancel = async (): Promise<void> => {
    const patience = withTimeout(neverStopped, cancelPatienceMs, timedOut);
    try {
      const mode = encrypted ? "tls" : "plain";
      const line = await dial(settings, endpoint, address, mode, patience.signal);
      line.end(cancelRequest(internals.processID, internals.secretKey));
    } catch {
      // The server is out of reach. Closing our side is all that is left; it ends the session there too.
    } finally {
      patience.clear();
    }
  };

  /**
   * Whether the session is over with this error: whoever closes it does not say that it is ready for the next query.
   */
  const endsSession = async (error: unknown): Promise<boolean> => {
    if (!isServerError(error) || saysGoodbye(error)) return true;
    const patience = performance.now() + readyPatienceMs;
    while (!known.isReady && known.lost === undefined && performance.now() < patience)
      await sleep(5, neverStopped);
    return !known.isReady;
  };

  const session: Session = {
    endpoint,
    encrypted,
    handshakePid: internals.processID,
    completed: () => completed,
    failed: () => failed,
    onNotice: (listen) => {
      const hear = (notice: { [field in keyof Notice]?: string | undefined }): void =>
        listen({
          severity: notice.severity ?? "",
          code: notice.code ?? "",
          message: notice.message ?? "",
        });
      client.on("notice", hear);
      return () => client.off("notice", hear);
    },
    query: async (sql, abort) => {
      abort.throwIfAborted();
      if (known.lost !== undefined) throw new ConnectionLost(known.lost);
      completed = 0;
      failed = false;
      known.isReady = false;
      const running = client.query(sql);
      const stop = (): void => void cancel();
      abort.addEventListener("abort", stop, { once: true });
      try {
        const result: unknown = await patiently(running, abort);
        // Finished all the same; but a cancel request is on its way, and would meet the session's next statement.
        abort.throwIfAborted();
        return (Array.isArray(result) ? result : [result]) as QueryResult<
          Record<string, unknown>
        >[];
      } catch (error) {
        const isOver = await endsSession(error);
        failed = isServerError(error) && !isOver;
        if (abort.aborted) throw abort.reason;
        if (forbidsTransactions(error)) throw refusalOfStatementMode(error);
        if (!isOver) throw error;
        known.lost = error as Error;
        throw new ConnectionLost(error);
      } finally {
        abort.removeEventListener("abort", stop);
      }
    },
    afterwards: async (sql) => {
      const patience = withTimeout(neverStopped, afterwardsPatienceMs, timedOut);
      await session.query(sql, patience.signal).catch(() => undefined);
      patience.clear();
    },
    end: () => {
      // Not client.end(), which waits for the server to close its side: a millisecond that each boot would pay.
      if (known.lost === undefined && socket.writable) socket.end(terminate);
      else socket.destroy();
    },
  };
  return session;
}

/** The query's own outcome; but once the signal has fired, only for so long. */
async function patiently<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const outOfPatience = new Promise<never>((_, reject) => {
    signal.addEventListener(
      "abort",
      () => (timer = setTimeout(() => reject(signal.reason as Error), cancelPatienceMs)),
      { once: true },
    );
  });
  try {
    return await Promise.race([running, outOfPatience]);
  } finally {
    clearTimeout(timer);
  }
}

/** Terminate: `X`, length 4. */
const terminate = Buffer.from([0x58, 0, 0, 0, 4]);

/** CancelRequest: length 16, the code 1234.5678, process id, secret key (PostgreSQL, "Message Formats"). */
function cancelRequest(pid: number, key: number): Buffer {
  const message = Buffer.alloc(16);
  [16, 80877102, pid, key].forEach((word, index) => message.writeInt32BE(word | 0, index * 4));
  return message;
}

const missingPassword = (): never => {
  throw new MissingPassword("the server asks for a password and none is configured");
};

/** The configuration holds no password and the server wants one. */
export class MissingPassword extends Error {}

const timedOut = (): Error => new Error("timed out");
