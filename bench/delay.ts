import { type Socket, createConnection, createServer } from "node:net";
import type { AddressInfo } from "node:net";

export type Delay = { readonly port: number; stop(): void };

/**
 * Starts a TCP proxy on 127.0.0.1 that stands for a longer way to the server: what a client says arrives so much
 * later, what the server says at once, which makes the same round trip as half the delay on either way. Everything
 * is delayed by the same time and stays in its order, however much is on its way.
 */
export async function startDelay(targetPort: number, delayMs: number): Promise<Delay> {
  const sockets = new Set<Socket>();
  const listener = createServer((client) => {
    const server = createConnection(targetPort, "127.0.0.1");
    const later = inOrder(delayMs);
    client.on("data", (bytes: Buffer) => later(() => server.write(bytes)));
    client.on("close", () => later(() => server.end()));
    server.on("data", (bytes: Buffer) => client.write(bytes));
    server.on("close", () => client.end());
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // The close that follows ends the other side.
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (listener.address() as AddressInfo).port,
    stop: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Gives a function that does each action so many milliseconds after it was told of it. */
function inOrder(delayMs: number): (action: () => void) => void {
  const queue: { readonly due: number; readonly action: () => void }[] = [];
  const work = (): void => {
    for (let [first] = queue; first !== undefined; [first] = queue) {
      const left = first.due - performance.now();
      // A timer has whole milliseconds and may fire a part of one early; the rest is spent in turns of the loop.
      if (left >= 1) return void setTimeout(work, left);
      if (left > 0) return void setImmediate(work);
      queue.shift();
      first.action();
    }
  };
  return (action) => {
    queue.push({ due: performance.now() + delayMs, action });
    if (queue.length === 1) work();
  };
}
