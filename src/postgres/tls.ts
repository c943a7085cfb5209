import { existsSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { HeadgateError } from "../errors.ts";
import type { DatabaseSettings } from "./settings.ts";

/**
 * What libpq's `sslmode` and certificate files mean for a TLS connection
 * (https://www.postgresql.org/docs/current/libpq-ssl.html, table 32.1): `verify-ca` checks the chain, `verify-full`
 * also the name, and the weaker ones nothing, unless a root certificate is there: then they check the chain too
 * (fe-secure-openssl.c, initialize_SSL). One that is named and cannot be read is refused, where libpq would go on
 * without the check.
 * @param settings with an sslMode other than `disable`
 * @param host the name to check the certificate against
 * @throws HeadgateError usage (64) when a certificate file that is asked for cannot be read
 */
export function tlsOptions(settings: DatabaseSettings, host: string): ConnectionOptions {
  const { sslMode } = settings;
  const folder = join(homedir(), ".postgresql");
  const optional = (file: string): string | undefined =>
    existsSync(join(folder, file)) ? join(folder, file) : undefined;

  const rootCert = settings.sslRootCert ?? optional("root.crt");
  const cert = settings.sslCert ?? optional("postgresql.crt");
  const key = settings.sslKey ?? optional("postgresql.key");
  const mustVerify = sslMode === "verify-ca" || sslMode === "verify-full";
  if (mustVerify && rootCert === undefined) {
    throw new HeadgateError(
      "usage",
      `sslmode=${sslMode} needs a root certificate and there is none`,
      {
        fix: "set PGSSLROOTCERT (or sslrootcert in the URL) to a file of CA certificates, or to `system` with verify-full",
      },
    );
  }
  return {
    // A server name that is an address must not be sent (RFC 6066, section 3), but is still what is checked.
    host,
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    rejectUnauthorized: rootCert !== undefined,
    ...(rootCert === undefined ? {} : { ca: rootCertificates(rootCert) }),
    ...(cert === undefined ? {} : { cert: readPem("sslcert", cert) }),
    ...(key === undefined ? {} : { key: readPem("sslkey", key) }),
    ...(sslMode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
    ...(settings.directTls ? { ALPNProtocols: ["postgresql"] } : {}),
  };
}

/** `system` is the operating system's store, which is not what either runtime trusts by itself. */
function rootCertificates(rootCert: string): Buffer | string[] {
  return rootCert === "system"
    ? process.getBuiltinModule("node:tls").getCACertificates("system")
    : readPem("sslrootcert", rootCert);
}

function readPem(parameter: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new HeadgateError("usage", `${parameter}: cannot read ${path}`, {
      fix: "mount the file, or correct the path",
      cause: error,
    });
  }
}

/** A TLS handshake that failed for what the certificates say, not for the network: waiting will not help. */
export class TlsRefused extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "TlsRefused";
  }
}

/** The connection ended in the middle of a TLS handshake, without a word about why. */
export class HandshakeCut extends Error {
  /** The errno name; "" when there is none. */
  readonly code: string;
  constructor(message: string, code = "") {
    super(message);
    this.code = code;
  }
}

/** Network failures in the middle of a handshake, which may pass. */
const transient = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT", "ECONNABORTED"]);

/**
 * Speaks TLS on a connected socket.
 * @throws TlsRefused when certificates or protocol do not fit; HandshakeCut when the connection ended
 */
export async function upgradeToTls(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  // Loaded only here: it is 9 ms of Node's start.
  const tls = await import("node:tls");
  let secure: TLSSocket;
  try {
    secure = tls.connect({ ...options, socket });
  } catch (error) {
    // A certificate or key that cannot be parsed.
    throw new TlsRefused((error as Error).message, error);
  }
  return new Promise((resolve, reject) => {
    const closed = (): void =>
      reject(new HandshakeCut("the connection was closed during the TLS handshake"));
    secure.once("secureConnect", () => {
      secure.removeAllListeners("error");
      secure.removeListener("close", closed);
      // As libpq: another protocol's server could otherwise take the first bytes for its own.
      if (options.ALPNProtocols !== undefined && secure.alpnProtocol !== "postgresql") {
        secure.destroy();
        const what = "the server did not agree to PostgreSQL's protocol (ALPN)";
        reject(new TlsRefused(`${what}, which sslnegotiation=direct needs`));
      } else resolve(secure);
    });
    secure.once("close", closed);
    secure.once("error", (error: NodeJS.ErrnoException) => {
      secure.destroy();
      reject(
        transient.has(error.code ?? "")
          ? new HandshakeCut(error.message, error.code)
          : new TlsRefused(error.message, error),
      );
    });
  });
}
