import { type Server, type Socket, createConnection, createServer } from "node:net";
import { freePort } from "./port.ts";

/**
 * "pass" forwards; "blackhole" accepts and never answers, and holds back what existing connections
 * say, until the mode is "pass" again; "refuse" listens no more and leaves existing connections.
 */
export type ProxyMode = "pass" | "blackhole" | "refuse";

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
export async function startProxy(targetPort: number): Promise<Proxy> {
  const port = await freePort();
  const clients = new Set<Socket>();
  const sockets = new Set<Socket>();
  const counts = { connections: 0, maxOpen: 0, bursts: 0 };
  const held: (() => void)[] = [];
  let mode: ProxyMode = "pass";
  let listener: Server | undefined;

  // Everything that one side would notice of the other goes through here, in its order.
  const forward = (action: () => void) => {
    if (mode === "blackhole") held.push(action);
    else action();
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
    clients.add(client);
    counts.connections++;
    counts.maxOpen = Math.max(counts.maxOpen, clients.size);
    client.on("close", () => clients.delete(client));
    const ask = (bytes: Buffer) => {
      if (clientsTurn) counts.bursts++;
      clientsTurn = false;
      forward(() => server?.write(bytes));
    };
    const answer = (bytes: Buffer) => {
      clientsTurn = true;
      forward(() => client.write(bytes));
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
    if (next !== "blackhole") for (const action of held.splice(0)) action();
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
