import type { Keywords } from "../postgres/connection-string.ts";
import type { DatabaseSettings, Endpoint } from "../postgres/settings.ts";

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

/** Told anew in a URL, or of no use once a server is found. */
const retold = [
  ...["host", "port", "dbname", "user", "password", "ssl", "options", "application_name"],
  ...["sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"],
];

/**
 * By libpq's keywords. `prefer` and `allow` say what headgate's own session has come to, since drivers differ in what
 * they make of them, and of none at all.
 */
export function tlsOf({ settings, endpoint, encrypted }: Reached): Keywords {
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

/** As libpq takes it, and with it most tools. */
export const libpqUrl = (reached: Reached): string =>
  urlOf("postgresql", reached, reached.settings.database, parametersOf(reached));

/**
 * libpq's URL as SQLAlchemy takes it, too: that does not decode a database's name in the path, and its driver is the
 * one that the container's variable names.
 */
export function psycopgUrl(reached: Reached, driver: string | undefined): string {
  const { database } = reached.settings;
  const scheme = driver === undefined ? "postgresql" : `postgresql+${driver}`;
  const isAsync = driver === "asyncpg";
  const typed = reached.url?.parameters["ssl"];
  const parameters = isAsync ? forAsyncpg(parametersOf(reached), typed) : parametersOf(reached);
  if (pathOf(database) === database) return urlOf(scheme, reached, database, parameters);
  const name = isAsync ? { database } : { dbname: database };
  return urlOf(scheme, reached, "", { ...name, ...parameters });
}

/** It has a word of its own for one of them, and takes the others from libpq's variables. */
function forAsyncpg(
  { sslmode = "prefer", ...parameters }: Keywords,
  typed: string | undefined,
): Keywords {
  const foreign = ["sslrootcert", "sslcert", "sslkey", "application_name", "options"];
  const others = Object.entries(parameters).filter(([name]) => !foreign.includes(name));
  return { ssl: typed ?? sslmode, ...Object.fromEntries(others) };
}

/**
 * As npm's pg takes it, which means `verify-full` by `require` and `verify-ca`, unless it is told in words of its own.
 * Older ones (Knex has one) know only the first of these words, and check more than `verify-ca` asks for. What a URL
 * says of TLS stays, lest the tool check less than it does with the same URL by itself.
 */
export function nodeUrl(reached: Reached): string {
  const { sslmode, sslrootcert: named, ...parameters } = parametersOf(reached);
  // It takes that for the name of a file; without one it trusts what Node does.
  const sslrootcert = named === "system" ? undefined : named;
  const { ssl, sslmode: typed } = reached.url?.parameters ?? {};
  const isTyped = typed !== undefined && typed === sslmode;
  const isUnchecked = sslmode === "require" && sslrootcert === undefined && !isTyped;
  const isLax = (sslmode === "verify-ca" || sslmode === "require") && !isUnchecked && !isTyped;
  const tls = isUnchecked ? "no-verify" : (sslmode ?? "");
  return urlOf("postgresql", reached, reached.settings.database, {
    ...(ssl === undefined || typed !== undefined ? { sslmode: tls } : { ssl }),
    ...parameters,
    ...(sslrootcert === undefined ? {} : { sslrootcert }),
    ...(isLax ? { uselibpqcompat: "true" } : {}),
  });
}

/** JDBC reads none of libpq's variables, so all that they would say is in it. */
export function jdbcUrl(reached: Reached, isApart: boolean): string {
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
