import { type Server, type Socket, createConnection, createServer } from "node:net";
import { freePort } from "./port.ts";

/**
 * "pass" forwards; "blackhole" accepts and never answers, and holds back what existing connections
 * say, until the mode is "pass" again; "refuse" listens no more and leaves existing connections.
 */
export type ProxyMode = "pass" | "blackhole" | "refuse";

/**
 * A moment of a burst, which is what a client says until its server answers: bytes of the client came, they were
 * forwarded, bytes of the answer came, they were forwarded.
 */
export type ProxyMoment = "asking" | "asked" | "answering" | "answered";

/**
 * Told of every moment. While the promise it returns is pending nothing goes on, on no connection and in no direction;
 * the promise must not be rejected.
 * @param burst counted from 1, over all connections
 * @returns "drop" for bytes that are to go nowhere
 */
export type ProxyHook = (
  moment: ProxyMoment,
  burst: number,
  bytes: Buffer,
) => Promise<"drop" | "forward"> | undefined;

export interface Proxy {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Connections open now. */
  readonly open: number;
  /** The most connections that were open at one time. */
  readonly maxOpen: number;
  /** Times a client spoke first or after its server had: the round trips that clients waited for. */
  readonly bursts: number;
  /** How much waits to be forwarded. */
  readonly held: number;
  readonly mode: ProxyMode;
  setMode(mode: ProxyMode): Promise<void>;
  /** Cuts every connection with a reset, on both sides. */
  cutAll(): void;
  stop(): Promise<void>;
}

/**
 * Starts a TCP proxy on 127.0.0.1 in front of a server on the same address. When that server refuses
 * a connection, the client sees a reset.
 */
export async function startProxy(targetPort: number, hook?: ProxyHook): Promise<Proxy> {
  const port = await freePort();
  const clients = new Set<Socket>();
  const sockets = new Set<Socket>();
  const counts = { connections: 0, maxOpen: 0, bursts: 0 };
  const held: (() => void)[] = [];
  let mode: ProxyMode = "pass";
  let isPaused = false;
  let listener: Server | undefined;

  // Everything that one side would notice of the other goes through here, in its order.
  const forward = (action: () => void) => {
    if (mode === "blackhole" || isPaused) held.push(action);
    else action();
  };

  const release = () => {
    // One of them may make the others wait again.
    for (const action of held.splice(0)) forward(action);
  };

  const tell = (moment: ProxyMoment, burst: number, bytes: Buffer, next?: () => void) => {
    const pause = hook?.(moment, burst, bytes);
    if (pause === undefined) return next?.();
    isPaused = true;
    void pause.then((verdict) => {
      isPaused = false;
      if (verdict === "forward") next?.();
      release();
    });
  };

  const relay = (
    what: "ask" | "answer",
    burst: number,
    bytes: Buffer,
    to: () => Socket | undefined,
  ) => {
    forward(() =>
      tell(`${what}ing`, burst, bytes, () => {
        to()?.write(bytes);
        tell(`${what}ed`, burst, bytes);
      }),
    );
  };

  const watch = (
    socket: Socket,
    onData: (bytes: Buffer) => void,
    other: () => Socket | undefined,
  ) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("data", onData);
    // The close that follows each error says whether there was one.
    socket.on("error", () => {});
    socket.on("close", (failed) => {
      sockets.delete(socket);
      forward(() => {
        if (failed) reset(other());
        else other()?.end();
      });
    });
  };

  const accept = (client: Socket) => {
    let server: Socket | undefined;
    let clientsTurn = true;
    let burst = 0;
    clients.add(client);
    counts.connections++;
    counts.maxOpen = Math.max(counts.maxOpen, clients.size);
    client.on("close", () => clients.delete(client));
    const ask = (bytes: Buffer) => {
      if (clientsTurn) burst = ++counts.bursts;
      clientsTurn = false;
      relay("ask", burst, bytes, () => server);
    };
    const answer = (bytes: Buffer) => {
      clientsTurn = true;
      relay("answer", burst, bytes, () => client);
    };
    forward(() => {
      server = createConnection(targetPort, "127.0.0.1");
      watch(server, answer, () => client);
    });
    watch(client, ask, () => server);
  };

  const setMode = async (next: ProxyMode) => {
    mode = next;
    if (next === "refuse") {
      // Listening ends at once; the callback would wait for the last connection to end.
      listener?.close();
      listener = undefined;
    } else {
      listener ??= await listen(port, accept);
    }
    release();
  };

  const cutAll = () => {
    held.length = 0;
    for (const socket of sockets) reset(socket);
  };

  await setMode("pass");
  return {
    port,
    get connections() {
      return counts.connections;
    },
    get open() {
      return clients.size;
    },
    get maxOpen() {
      return counts.maxOpen;
    },
    get bursts() {
      return counts.bursts;
    },
    get held() {
      return held.length;
    },
    get mode() {
      return mode;
    },
    setMode,
    cutAll,
    stop: async () => {
      // What was held back must not open connections now, which nobody would close.
      held.length = 0;
      await setMode("refuse");
      cutAll();
    },
  };
}

/**
 * Closes with a reset. While an end is on its way libuv refuses that (EINVAL), and Node then never lets go of the
 * socket: the process would not end.
 */
function reset(socket: Socket | undefined): void {
  if (socket?.writableEnded) socket.destroy();
  else socket?.resetAndDestroy();
}

function listen(port: number, accept: (client: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(accept);
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
