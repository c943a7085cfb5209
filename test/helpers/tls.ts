import { spawnSync } from "node:child_process";
import { chownSync, copyFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./cleanup.ts";
import { type Postgres, type PostgresOptions, startPostgres } from "./postgres.ts";

/** Paths of PEM files; each certificate has its key beside it, with the ending `.key`. */
export interface Certificates {
  folder: string;
  /** The authority that signed `server` and `client`. */
  ca: string;
  /** One that signed neither. */
  wrongCa: string;
  /** For the name `localhost`, not for any address. */
  server: string;
}

/** Makes a certificate authority, another one, and what they sign, with the openssl of this machine. */
export function makeCertificates(): Certificates {
  const folder = temporaryFolder("headgate-tls-");
  const at = (name: string): string => join(folder, name);
  for (const name of ["ca", "wrong-ca"]) {
    const self = ["req", "-x509", "-days", "2", "-subj", `/CN=${name}`, "-out", at(`${name}.crt`)];
    openssl([...self, ...newKey(at(`${name}.key`))]);
  }
  sign(folder, "server", "/CN=localhost", ["-addext", "subjectAltName=DNS:localhost"]);
  return { folder, ca: at("ca.crt"), wrongCa: at("wrong-ca.crt"), server: at("server.crt") };
}

/** Makes a certificate that the authority of the folder has signed; gives its path. */
export function sign(folder: string, name: string, subject: string, more: string[] = []): string {
  const at = (ending: string): string => join(folder, `${name}.${ending}`);
  openssl(["req", ...newKey(at("key")), "-subj", subject, ...more, "-out", at("csr")]);
  openssl([
    ...["x509", "-req", "-in", at("csr"), "-days", "2", "-copy_extensions", "copy"],
    ...["-CA", join(folder, "ca.crt"), "-CAkey", join(folder, "ca.key"), "-CAcreateserial"],
    ...["-out", at("crt")],
  ]);
  return at("crt");
}

/** Starts a server that offers TLS with these certificates. */
export async function startTlsPostgres(
  certificates: Certificates,
  options: PostgresOptions = {},
): Promise<Postgres> {
  const settings = { ssl: "on", ssl_ca_file: "ca.crt", ...options.settings };
  const server = await startPostgres({ ...options, settings, start: false });
  const { uid, gid } = statSync(server.dataDir);
  for (const name of ["server.crt", "server.key", "ca.crt"]) {
    const copy = join(server.dataDir, name);
    copyFileSync(join(certificates.folder, name), copy);
    chownSync(copy, uid, gid);
  }
  await server.start();
  return server;
}

const newKey = (file: string): string[] => ["-newkey", "rsa:2048", "-nodes", "-keyout", file];

function openssl(args: string[]): void {
  const { status, stderr, error } = spawnSync("openssl", args);
  if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${String(error ?? stderr)}`);
}
