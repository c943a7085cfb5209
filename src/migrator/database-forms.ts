import { driverOf, type Keywords } from "../postgres/connection-string.ts";
import type { DatabaseSettings, Endpoint } from "../postgres/settings.ts";
import type { Form, Variable } from "./variables.ts";

/** The database as headgate has reached it. */
export type Reached = {
  readonly settings: DatabaseSettings;
  /** Of several hosts, the one where the lock is. */
  readonly endpoint: Endpoint;
  readonly encrypted: boolean;
  /** What the URL says beyond that, if there is one: other drivers' parameters, and SQLAlchemy's driver. */
  readonly url?: { readonly driver?: string; readonly parameters: Readonly<Keywords> };
  /** The name of the program's sessions; absent: its own affair. */
  readonly application?: string;
  /** Settings for its sessions, as in PGOPTIONS. */
  readonly options?: string;
};

type Environment = { readonly [name: string]: string };

/** Told anew below, or of no use once a server is found. */
const retold = [
  ...["host", "port", "dbname", "user", "password", "ssl", "options", "application_name"],
  ...["sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"],
];

/**
 * Sets variables to what headgate knows of the database.
 * @returns the environment with them; of what a program could read instead, such as NAME_FILE, nothing is left
 */
export function withDatabase(
  environment: Environment,
  variables: readonly Variable[],
  reached: Reached,
): Environment {
  const told = new Map<string, string | undefined>();
  const isApart = variables.some(({ form }) => form === "password");
  for (const { name, form } of variables) {
    if (form === "parts") for (const [part, value] of partsOf(name, reached)) told.set(part, value);
    else told.set(name, valueOf(form, reached, environment[name], isApart));
  }
  const kept = Object.entries(environment).filter(
    ([name]) => !told.has(name) && !told.has(name.replace(/_FILE$/, "")),
  );
  return Object.fromEntries([
    ...kept,
    ...[...told].filter((entry): entry is [string, string] => entry[1] !== undefined),
  ]);
}

/** @param own what the container has in the variable @param isApart the login is in variables of its own */
function valueOf(
  form: Exclude<Form, "parts">,
  reached: Reached,
  own: string | undefined,
  isApart: boolean,
): string | undefined {
  const { settings, endpoint } = reached;
  switch (form) {
    case "host":
      return endpoint.host;
    case "port":
      return String(endpoint.port);
    case "database":
      return settings.database;
    case "user":
      return settings.user;
    case "password":
      return settings.password;
    case "jdbc":
      return jdbcUrl(reached, isApart);
    case "psycopg":
      return psycopgUrl(reached, driverOf(own ?? "") ?? reached.url?.driver);
    case "pg":
      return nodeUrl(reached);
    case "url":
      return urlOf("postgresql", reached, settings.database, parametersOf(reached));
  }
}

/** As libpq's variables when that is the name, else as those of deployment guides: DATABASE_HOST … */
function partsOf(name: string, reached: Reached): [string, string | undefined][] {
  const { settings, endpoint } = reached;
  const isLibpq = name === "PG";
  const parts: [string, string | undefined][] = [
    ["HOST", endpoint.host],
    ["PORT", String(endpoint.port)],
    [isLibpq ? "DATABASE" : "NAME", settings.database],
    ["USER", settings.user],
    ["PASSWORD", settings.password],
  ];
  if (!isLibpq) return parts.map(([part, value]) => [`${name}_${part}`, value]);
  const tls = Object.entries(tlsOf(reached)).map(([keyword, value]): [string, string] => [
    keyword.toUpperCase(),
    value,
  ]);
  return [...parts, ...tls, ["OPTIONS", settings.startupOptions] as const].map(([part, value]) => [
    `PG${part}`,
    value,
  ]);
}

/**
 * By libpq's keywords. `prefer` and `allow` say what headgate's own session has come to, since drivers differ in what
 * they make of them, and of none at all.
 */
function tlsOf({ settings, endpoint, encrypted }: Reached): Keywords {
  const { sslMode, sslRootCert, sslCert, sslKey } = settings;
  if (endpoint.host.startsWith("/")) return { sslmode: "disable" }; // there is none on a unix socket
  const isOpen = sslMode === "prefer" || sslMode === "allow";
  const found = encrypted ? "require" : "disable";
  return {
    sslmode: isOpen ? found : sslMode,
    ...(sslRootCert === undefined ? {} : { sslrootcert: sslRootCert }),
    ...(sslCert === undefined ? {} : { sslcert: sslCert }),
    ...(sslKey === undefined ? {} : { sslkey: sslKey }),
  };
}

function parametersOf(reached: Reached): Keywords {
  const { url, application } = reached;
  const others = Object.entries(url?.parameters ?? {}).filter(([name]) => !retold.includes(name));
  const options = joined(url?.parameters["options"], reached.options);
  return {
    ...tlsOf(reached),
    ...(application === undefined ? {} : { application_name: application }),
    ...(options === undefined ? {} : { options }),
    ...Object.fromEntries(others),
  };
}

const joined = (one: string | undefined, two: string | undefined): string | undefined =>
  one === undefined ? two : [one, ...(two === undefined ? [] : [two])].join(" ");

function urlOf(
  scheme: string,
  { settings, endpoint: { host, port } }: Reached,
  database: string,
  parameters: Keywords,
): string {
  const { user, password } = settings;
  const login = [user, ...(password === undefined ? [] : [password])].map(encodeURIComponent);
  // A folder in the place of the host is not a URL to every parser.
  const isSocket = host.startsWith("/");
  const place = isSocket ? { host, port: String(port) } : {};
  const authority = isSocket ? "" : `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const query = queryOf({ ...place, ...parameters });
  return `${scheme}://${login.join(":")}@${authority}/${pathOf(database)}${query}`;
}

/** Only what would end the path is escaped beyond what a URI must: npm's pg unescapes no more than that. */
const pathOf = (database: string): string =>
  encodeURI(database).replace(/[?#/]/g, encodeURIComponent);

function queryOf(parameters: Keywords): string {
  const pairs = Object.entries(parameters).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
  );
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/**
 * libpq's URL as SQLAlchemy takes it, too: that does not decode a database's name in the path, and its driver is the
 * one that the container's variable names.
 */
function psycopgUrl(reached: Reached, driver: string | undefined): string {
  const { database } = reached.settings;
  const scheme = driver === undefined ? "postgresql" : `postgresql+${driver}`;
  if (driver === "asyncpg") {
    // It takes keywords of its own, and the rest from libpq's variables.
    const {
      sslmode = "prefer",
      application_name: _1,
      options: _2,
      ...rest
    } = parametersOf(reached);
    const { sslrootcert: _3, sslcert: _4, sslkey: _5, ...others } = rest;
    return urlOf(scheme, reached, database, { ssl: sslmode, ...others });
  }
  const isPlain = pathOf(database) === database;
  const parameters = parametersOf(reached);
  return isPlain
    ? urlOf(scheme, reached, database, parameters)
    : urlOf(scheme, reached, "", { dbname: database, ...parameters });
}

/**
 * As npm's pg takes it, which means `verify-full` by `require` and `verify-ca`, unless it is told in words of its own.
 * Older ones (Knex has one) know only the first of these words, and check more than `verify-ca` asks for.
 */
function nodeUrl(reached: Reached): string {
  const { sslmode, sslrootcert: named, ...parameters } = parametersOf(reached);
  // It takes that for the name of a file; without one it trusts what Node does.
  const sslrootcert = named === "system" ? undefined : named;
  const isUnchecked = sslmode === "require" && sslrootcert === undefined;
  const isLax = sslmode === "verify-ca" || (sslmode === "require" && !isUnchecked);
  return urlOf("postgresql", reached, reached.settings.database, {
    ...{ ...parameters, sslmode: isUnchecked ? "no-verify" : (sslmode ?? "") },
    ...(sslrootcert === undefined ? {} : { sslrootcert }),
    ...(isLax ? { uselibpqcompat: "true" } : {}),
  });
}

/** JDBC reads none of libpq's variables, so all that they would say is in it. */
function jdbcUrl(reached: Reached, isApart: boolean): string {
  const { settings, endpoint } = reached;
  const { application_name: application, ...parameters } = parametersOf(reached);
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  const login = {
    user: settings.user,
    ...(settings.password === undefined ? {} : { password: settings.password }),
  };
  const query = queryOf({
    ...parameters,
    ...(application === undefined ? {} : { ApplicationName: application }),
    ...(isApart ? {} : login),
  });
  return `jdbc:postgresql://${host}:${endpoint.port}/${pathOf(settings.database)}${query}`;
}
