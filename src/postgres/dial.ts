import { connect, isIP, type Socket } from "node:net";
import { connected, within } from "../deadline.ts";
import type { DatabaseSettings, Endpoint } from "./settings.ts";
import { HandshakeCut, tlsOptions, TlsRefused, upgradeToTls } from "./tls.ts";

/** SSLRequest: length 8, then the code 1234.5679 (PostgreSQL, "Message Formats"). */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/**
 * The addresses of an endpoint, in the resolver's order; headgate tries them one by one as libpq does.
 * @throws the resolver's error (ENOTFOUND, EAI_AGAIN)
 */
export async function addressesOf({ host }: Endpoint): Promise<readonly string[]> {
  if (host.startsWith("/") || isIP(host) !== 0) return [host];
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(host, { all: true, order: "verbatim" });
  return found.map((entry) => entry.address);
}

type Mode = "tls" | "plain" | "tls-if-offered";

/**
 * Opens a socket to one address, encrypted as `sslmode` and `sslnegotiation` ask, ready for the startup message.
 *
 * pg would do this itself, but reads `sslmode` differently from libpq (prefer = verify-full, no fall-back to plain
 * text, https://github.com/brianc/node-postgres/issues/2375), and gives up TLS and plain in one step only.
 * @param mode `tls`, `plain`, or `tls-if-offered` (what libpq calls prefer)
 * @param signal ends the attempt; carries the connect timeout too
 * @throws the network's error, or TlsRefused
 */
export async function dial(
  settings: DatabaseSettings,
  endpoint: Endpoint,
  address: string,
  mode: Mode,
  signal: AbortSignal,
): Promise<Socket> {
  const open = (own: DatabaseSettings): Promise<Socket> =>
    openSocket(own, endpoint, address, mode, signal);
  try {
    return await open(settings);
  } catch (error) {
    if (!settings.directTls || !(error instanceof HandshakeCut)) throw error;
    // One that does not know it hangs up without a word, as one does that is about to go away. So it is asked for TLS
    // in the old manner, and then once more.
    (await open({ ...settings, directTls: false })).destroy();
    return await open(settings).catch((again: unknown) => {
      throw again instanceof HandshakeCut ? notDirect(again) : again;
    });
  }
}

function notDirect(cause: Error): TlsRefused {
  return new TlsRefused(
    "the server speaks TLS, but not from the first byte, as sslnegotiation=direct asks for (PostgreSQL does since 17; most poolers do not): leave sslnegotiation out",
    cause,
  );
}

async function openSocket(
  settings: DatabaseSettings,
  endpoint: Endpoint,
  address: string,
  mode: Mode,
  signal: AbortSignal,
): Promise<Socket> {
  const isLocal = address.startsWith("/");
  const socket = isLocal
    ? connect({ path: `${address}/.s.PGSQL.${endpoint.port}` })
    : // TCP keep-alives: a server host that vanished is noticed even while a long statement runs.
      connect({
        host: address,
        port: endpoint.port,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 10_000,
      });
  try {
    await within(signal, connected(socket));
    if (mode === "plain" || isLocal) return socket;
    const secure = (): Promise<Socket> =>
      within(signal, upgradeToTls(socket, tlsOptions(settings, endpoint.host)));
    if (settings.directTls) return await secure();

    socket.write(sslRequest);
    const answer = await within(signal, firstByte(socket));
    if (answer === "S") return await secure();
    if (answer !== "N") throw new Error("the server answered the TLS request with an error");
    if (mode === "tls") throw new TlsRefused("the server does not offer TLS");
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Reads one byte and no more: what follows belongs to the TLS handshake, or to pg. */
function firstByte(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const readable = (): void => {
      const byte: Buffer | null = socket.read(1);
      if (byte === null) return;
      stop();
      // More than one byte in the clear before TLS is an attack on the handshake (CVE-2021-23222).
      if (socket.readableLength > 0)
        reject(new Error("the server sent data before the TLS handshake"));
      else resolve(byte.toString("latin1"));
    };
    const failed = (error: Error): void => {
      stop();
      reject(error);
    };
    const closed = (): void =>
      failed(new Error("the connection was closed before the server answered"));
    const stop = (): void => {
      socket.removeListener("readable", readable);
      socket.removeListener("error", failed);
      socket.removeListener("close", closed);
    };
    socket.on("readable", readable);
    socket.once("error", failed);
    socket.once("close", closed);
  });
}
