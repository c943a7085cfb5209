import { userInfo } from "node:os";
import type { Keywords } from "./connection-string.ts";

const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
type SslMode = (typeof sslModes)[number];

/** One server to try; a host that starts with / is the folder of a unix socket. */
export type Endpoint = { readonly host: string; readonly port: number };

export type DatabaseSettings = {
  readonly endpoints: readonly Endpoint[];
  readonly database: string;
  readonly user: string;
  readonly password?: string;
  readonly sslMode: SslMode;
  /** A file of PEM certificates, or `system`; absent = libpq's default file, if it is there. */
  readonly sslRootCert?: string;
  readonly sslCert?: string;
  readonly sslKey?: string;
  readonly directTls: boolean;
  readonly channelBinding: "disable" | "prefer" | "require";
  /** `connect_timeout` in milliseconds; Infinity = no limit. */
  readonly connectTimeoutMs?: number;
  /** `-c name=value …` for the server, as in PGOPTIONS. */
  readonly startupOptions?: string;
};

/** Understood here. */
const honoured = [
  "host",
  "port",
  "dbname",
  "user",
  "password",
  "sslmode",
  "sslrootcert",
  "sslcert",
  "sslkey",
  "sslnegotiation",
  "channel_binding",
  "connect_timeout",
  "options",
  "target_session_attrs",
];

/** libpq parameters that promise something headgate would not keep; ignoring them silently would be a lie. */
const refused: { [keyword: string]: string } = {
  service: "write the connection out, service files are not read",
  servicefile: "write the connection out, service files are not read",
  passfile:
    "use PGPASSWORD_FILE or DATABASE_URL_FILE, password files in libpq's format are not read",
  hostaddr: "put the address into host",
  sslcrl: "certificate revocation lists are not checked",
  sslcrldir: "certificate revocation lists are not checked",
  sslpassword: "use a key without a passphrase, from a secret",
  require_auth: "the authentication method is the server's choice here",
  replication: "a replication session runs no migrations",
};

/** Checks the texts and turns them into settings.
 * @param keywords libpq keywords with their values
 * @returns settings (meaningless when there are mistakes), every mistake, and remarks on what is ignored
 */
export function readSettings(keywords: Keywords): {
  settings: DatabaseSettings;
  mistakes: string[];
  remarks: string[];
} {
  const mistakes: string[] = [];
  const remarks: string[] = [];
  for (const keyword of Object.keys(keywords)) {
    if (refused[keyword] !== undefined) {
      mistakes.push(`the connection parameter ${keyword} is not supported: ${refused[keyword]}`);
    } else if (!honoured.includes(keyword)) {
      remarks.push(`the connection parameter ${keyword} is not one headgate uses; ignored`);
    }
  }
  const choose = <T extends string>(keyword: string, choices: readonly T[], fallback: T): T => {
    const value = keywords[keyword];
    if (value === undefined || value === "") return fallback;
    const found = choices.find((choice) => choice === value);
    if (found === undefined)
      mistakes.push(`${keyword}=${value} is not one of ${choices.join(", ")}`);
    return found ?? fallback;
  };

  const user = keywords["user"] ?? operatingSystemUser();
  if (user === undefined)
    mistakes.push("no database user: put it into the URL, or set DATABASE_USER or PGUSER");
  const sslRootCert = keywords["sslrootcert"];
  // libpq: "system" makes verify-full the default and refuses anything weaker.
  const sslMode = choose("sslmode", sslModes, sslRootCert === "system" ? "verify-full" : "prefer");
  if (sslRootCert === "system" && sslMode !== "verify-full") {
    mistakes.push(`sslrootcert=system needs sslmode=verify-full (found ${sslMode}), as in libpq`);
  }
  const attributes = choose(
    "target_session_attrs",
    ["any", "read-write", "primary", "read-only", "standby", "prefer-standby"],
    "any",
  );
  if (["read-only", "standby", "prefer-standby"].includes(attributes)) {
    mistakes.push(
      `target_session_attrs=${attributes} asks for a server that cannot be migrated; use read-write, or leave it out`,
    );
  }

  const connectTimeoutMs = readTimeout(keywords["connect_timeout"], mistakes);
  return {
    mistakes,
    remarks,
    settings: Object.freeze({
      endpoints: readEndpoints(keywords, mistakes),
      database: keywords["dbname"] ?? user ?? "",
      user: user ?? "",
      sslMode,
      directTls: choose("sslnegotiation", ["postgres", "direct"], "postgres") === "direct",
      channelBinding: choose("channel_binding", ["disable", "prefer", "require"], "prefer"),
      ...(keywords["password"] === undefined ? {} : { password: keywords["password"] }),
      ...(sslRootCert === undefined ? {} : { sslRootCert }),
      ...(keywords["sslcert"] === undefined ? {} : { sslCert: keywords["sslcert"] }),
      ...(keywords["sslkey"] === undefined ? {} : { sslKey: keywords["sslkey"] }),
      ...(keywords["options"] === undefined ? {} : { startupOptions: keywords["options"] }),
      ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    }),
  };
}

function readEndpoints(keywords: Keywords, mistakes: string[]): Endpoint[] {
  const hosts = (keywords["host"] ?? "").split(",");
  const ports = (keywords["port"] ?? "").split(",");
  if (hosts.every((host) => host === "")) {
    mistakes.push(
      "no database host: set DATABASE_URL (or HEADGATE_DATABASE_URL, DATABASE_HOST, PGHOST)",
    );
    return [];
  }
  if (ports.length > 1 && ports.length !== hosts.length) {
    mistakes.push(
      `${ports.length} ports for ${hosts.length} hosts: give one port, or one for each host`,
    );
  }
  return hosts.map((host, index) => {
    const text = ports[index] ?? (ports.length === 1 ? ports[0] : "") ?? "";
    const port = text === "" ? 5432 : Number(text);
    if (!/^\d*$/.test(text) || port < 1 || port > 65535) {
      // The text is not repeated: with an unescaped / in a password it is a piece of the password.
      mistakes.push(
        `the port of host ${index + 1} is not a number from 1 to 65535 (an unescaped /, @ or : in the password reads like this: write %2F, %40, %3A)`,
      );
    }
    if (host === "") mistakes.push(`host ${index + 1} of ${hosts.length} is empty`);
    return { host, port };
  });
}

/** libpq's connect_timeout: whole seconds, zero or negative = no limit. */
function readTimeout(text: string | undefined, mistakes: string[]): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^-?\d+$/.test(text)) {
    mistakes.push(`connect_timeout=${text} is not a whole number of seconds`);
    return undefined;
  }
  return Number(text) <= 0 ? Number.POSITIVE_INFINITY : Number(text) * 1000;
}

/** libpq's default user; unknown in a container whose uid has no entry in /etc/passwd. */
function operatingSystemUser(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
