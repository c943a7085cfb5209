import { randomInt } from "node:crypto";
import { createServer } from "node:net";

// Below 32768, where Linux begins to number outgoing connections: a port from `listen(0)` can be
// taken by any of those while a test keeps its server stopped.
const LOWEST = 15_000;
const HIGHEST = 32_000;

/** Finds a TCP port on which nothing listens, neither on 127.0.0.1 nor on ::1. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
}

/** Whether a server could listen on this port of both loopback addresses now. */
export async function isFree(port: number): Promise<boolean> {
  return (await canListen(port, "127.0.0.1")) && (await canListen(port, "::1"));
}

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    // Without IPv6 there is no ::1, and therefore nobody on it either.
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "EADDRNOTAVAIL" || error.code === "EAFNOSUPPORT"),
    );
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
