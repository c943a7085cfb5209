import { isIP } from "node:net";
import { userInfo } from "node:os";
import type { Keywords } from "./connection-string.ts";
import {
  isSearchPath,
  judgeParameter,
  optionOf,
  searchPathOf,
  sessionOptions,
  shownKeyword,
  sslModes,
} from "./parameters.ts";
import { strayAtEnd, strayIn, strayInName } from "./stray.ts";

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
  /** As the server's setting has it: a list of schemas. */
  readonly searchPath?: string;
};

/** How a keyword is called in a mistake. */
const calls: { readonly [keyword: string]: string } = {
  dbname: "database name",
  user: "user name",
};

/**
 * Checks the texts and turns them into settings.
 * @param keywords libpq keywords with their values, and those of other drivers
 * @param from where each came from, for the mistakes; absent when the caller says so itself
 * @param isComplete whether what is missing is a mistake, too
 * @returns settings (meaningless when there are mistakes), every mistake, and remarks on what is ignored
 */
export function readSettings(
  keywords: Keywords,
  from: Readonly<Record<string, string>> = {},
  isComplete = true,
): {
  settings: DatabaseSettings;
  mistakes: string[];
  remarks: string[];
} {
  const mistakes: string[] = [];
  const remarks: string[] = [];
  const refuse = (keyword: string, what: string): void => {
    const name = from[keyword];
    mistakes.push(name === undefined ? what : `${name}: ${what}`);
  };
  for (const [keyword, value] of Object.entries(keywords)) {
    const stray = strayOf(keyword, value);
    const judgement = judgeParameter(keyword, value);
    if (judgement !== undefined && "mistake" in judgement) refuse(keyword, judgement.mistake);
    else if (stray !== undefined) {
      const called = calls[keyword] ?? shownKeyword(keyword);
      refuse(keyword, `the ${called} ${stray}; remove it`);
    }
    if (judgement !== undefined && "remark" in judgement) remarks.push(judgement.remark);
  }
  const choose = <T extends string>(keyword: string, choices: readonly T[], fallback: T): T => {
    const value = keywords[keyword];
    if (value === undefined || strayOf(keyword, value) !== undefined) return fallback;
    const found = choices.find((choice) => choice === value);
    if (found === undefined)
      refuse(keyword, `${keyword}=${value} is not one of ${choices.join(", ")}`);
    return found ?? fallback;
  };

  const user = keywords["user"] ?? operatingSystemUser();
  if (user === undefined && isComplete)
    mistakes.push("no database user: put it into the URL, or set DATABASE_USER or PGUSER");
  const sslRootCert = keywords["sslrootcert"];
  // libpq: "system" makes verify-full the default and refuses anything weaker; requiressl is its old word.
  const leastSslMode = keywords["requiressl"] === "1" ? "require" : "prefer";
  const sslMode = choose(
    "sslmode",
    sslModes,
    sslRootCert === "system" ? "verify-full" : leastSslMode,
  );
  if (sslRootCert === "system" && sslMode !== "verify-full") {
    refuse(
      "sslrootcert",
      `sslrootcert=system needs sslmode=verify-full (found ${sslMode}), as in libpq`,
    );
  }
  const directTls = choose("sslnegotiation", ["postgres", "direct"], "postgres") === "direct";
  if (directTls && ["disable", "allow", "prefer"].includes(sslMode)) {
    refuse(
      "sslnegotiation",
      `sslnegotiation=direct needs sslmode=require, verify-ca or verify-full (found ${sslMode}), as in libpq`,
    );
  }
  const attributes = choose(
    "target_session_attrs",
    ["any", "read-write", "primary", "read-only", "standby", "prefer-standby"],
    "any",
  );
  if (["read-only", "standby", "prefer-standby"].includes(attributes)) {
    refuse(
      "target_session_attrs",
      `target_session_attrs=${attributes} asks for a server that cannot be migrated; use read-write, or leave it out`,
    );
  }
  const { searchPath, disagree } = searchPathOf(keywords, from);
  if (disagree.length > 0) {
    refuse(disagree[0] ?? "", `${disagree.join(" and ")} name different schemas; keep one`);
  }

  const connectTimeoutMs = readTimeout(keywords["connect_timeout"], refuse);
  const startupOptions = sessionOptions(keywords);
  return {
    mistakes,
    remarks,
    settings: Object.freeze({
      endpoints: readEndpoints(keywords, isComplete, refuse),
      database: keywords["dbname"] ?? user ?? "",
      user: user ?? "",
      sslMode,
      directTls,
      channelBinding: choose("channel_binding", ["disable", "prefer", "require"], "prefer"),
      ...(keywords["password"] === undefined ? {} : { password: keywords["password"] }),
      ...(sslRootCert === undefined ? {} : { sslRootCert }),
      ...(keywords["sslcert"] === undefined ? {} : { sslCert: keywords["sslcert"] }),
      ...(keywords["sslkey"] === undefined ? {} : { sslKey: keywords["sslkey"] }),
      ...(startupOptions === undefined ? {} : { startupOptions }),
      ...(searchPath === undefined ? {} : { searchPath }),
      ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    }),
  };
}

/** What does not belong to the value of a keyword; of a password and of options every character may be meant. */
function strayOf(keyword: string, value: string): string | undefined {
  if (keyword === "password" || keyword === "options") {
    return value.includes("\0") ? "has a NUL in it" : undefined;
  }
  const isName = keyword === "dbname" || keyword === "user" || keyword === "host";
  if (isName) return strayInName(value);
  return isSearchPath(keyword) ? strayAtEnd(value) : strayIn(value);
}

type Refuse = (keyword: string, what: string) => void;

function readEndpoints(keywords: Keywords, isComplete: boolean, refuse: Refuse): Endpoint[] {
  const hosts = (keywords["host"] ?? "").split(",");
  const ports = (keywords["port"] ?? "").split(",");
  if (hosts.every((host) => host === "")) {
    if (isComplete) {
      refuse(
        "",
        "no database host: set DATABASE_URL (or HEADGATE_DATABASE_URL, DATABASE_HOST, PGHOST)",
      );
    }
    return [];
  }
  if (ports.length > 1 && ports.length !== hosts.length) {
    refuse(
      "port",
      `${ports.length} ports for ${hosts.length} hosts: give one port, or one for each host`,
    );
  }
  const isStray = strayOf("host", keywords["host"] ?? "") !== undefined;
  const isStrayPort = strayOf("port", keywords["port"] ?? "") !== undefined;
  return hosts.map((host, index) => {
    const text = ports[index] ?? (ports.length === 1 ? ports[0] : "") ?? "";
    const port = text === "" ? 5432 : Number(text);
    if (!isStrayPort && (!/^\d*$/.test(text) || port < 1 || port > 65535)) {
      // The text is not repeated: with an unescaped / in a password it is a piece of the password.
      refuse(
        "port",
        `the port of host ${index + 1} is not a number from 1 to 65535 (an unescaped /, @ or : in the password reads like this: write %2F, %40, %3A)`,
      );
    }
    const which = hosts.length === 1 ? "the host" : `host ${index + 1} of ${hosts.length}`;
    if (host === "") refuse("host", `${which} is empty`);
    else if (!isStray && !isHost(host)) {
      refuse(
        "host",
        `${which} is neither a name nor an address nor the folder of a socket, which begins with / (a port has a place of its own)`,
      );
    }
    return { host, port };
  });
}

/** Whether it can be one; a colon is part of addresses only, and may be followed by the scope of one. */
const isHost = (host: string): boolean =>
  host.startsWith("/") || !/[\s:@/?#\\"'`=&[\]]/.test(host) || isIP(host) !== 0;

/** libpq's connect_timeout: whole seconds, zero or negative = no limit. */
function readTimeout(text: string | undefined, refuse: Refuse): number | undefined {
  if (text === undefined || strayOf("connect_timeout", text) !== undefined) return undefined;
  if (!/^-?\d+$/.test(text)) {
    refuse("connect_timeout", `connect_timeout=${text} is not a whole number of seconds`);
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

/** All that the server is to set for a session when it begins, as in PGOPTIONS; undefined when that is nothing. */
export function optionsOf({
  startupOptions,
  searchPath,
}: Pick<DatabaseSettings, "startupOptions" | "searchPath">): string | undefined {
  const options = [
    ...(startupOptions === undefined ? [] : [startupOptions]),
    ...(searchPath === undefined ? [] : [optionOf("search_path", searchPath)]),
  ];
  return options.length === 0 ? undefined : options.join(" ");
}
