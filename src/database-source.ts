import { readFileSync } from "node:fs";
import { errorCode } from "./errors.ts";
import { driverOf, type Keywords, parseConnectionUrl } from "./postgres/connection-string.ts";
import { type DatabaseSettings, readSettings } from "./postgres/settings.ts";

type Environment = { readonly [name: string]: string | undefined };

/** The value of a variable, or of its file, and which of them it is. */
type Read = (name: string) => { value: string; name: string } | undefined;

/** The five variables that deployment guides use for libpq's keywords. */
const databaseVariables = {
  DATABASE_HOST: "host",
  DATABASE_PORT: "port",
  DATABASE_NAME: "dbname",
  DATABASE_USER: "user",
  DATABASE_PASSWORD: "password",
} as const;

/** libpq's own variables (https://www.postgresql.org/docs/current/libpq-envars.html). */
const libpqVariables = {
  PGHOST: "host",
  PGPORT: "port",
  PGDATABASE: "dbname",
  PGUSER: "user",
  PGPASSWORD: "password",
  PGSSLMODE: "sslmode",
  PGSSLROOTCERT: "sslrootcert",
  PGSSLCERT: "sslcert",
  PGSSLKEY: "sslkey",
  PGSSLNEGOTIATION: "sslnegotiation",
  PGCHANNELBINDING: "channel_binding",
  PGCONNECT_TIMEOUT: "connect_timeout",
  PGOPTIONS: "options",
  PGTARGETSESSIONATTRS: "target_session_attrs",
  PGSERVICE: "service",
  PGPASSFILE: "passfile",
  PGHOSTADDR: "hostaddr",
  PGREQUIREAUTH: "require_auth",
  PGSSLCRL: "sslcrl",
  PGSSLCRLDIR: "sslcrldir",
  PGREQUIRESSL: "requiressl",
  PGREQUIREPEER: "requirepeer",
  PGGSSENCMODE: "gssencmode",
} as const;

export type DatabaseSource = {
  readonly settings: DatabaseSettings;
  /** Which flag or variable each part came from, for the log; never a value. */
  readonly from: Readonly<Record<string, string>>;
  /** Whether a file is involved, so that it is worth reading again at each attempt. */
  readonly rereads: boolean;
  readonly mistakes: readonly string[];
  readonly remarks: readonly string[];
  readonly url?: UrlParts;
};

/** What a URL says beyond the database, for a program that is handed one. */
type UrlParts = {
  /** SQLAlchemy's, as in `postgresql+asyncpg://`. */
  readonly driver?: string;
  readonly parameters: Readonly<Keywords>;
};

/**
 * Finds the database: `--database-url`, else HEADGATE_DATABASE_URL, else DATABASE_URL, else DATABASE_HOST and its
 * kin. PG* fill in what is still missing, as in libpq. Each variable may instead be named `…_FILE` and hold a path.
 * Reads the files anew at each call, because secrets are rotated and may arrive late.
 * @param env the environment
 * @param flag the value of --database-url
 */
export function findDatabase(env: Environment, flag: string | undefined): DatabaseSource {
  const mistakes: string[] = [];
  const from: Record<string, string> = {};
  let rereads = false;

  const read: Read = (name) => {
    const direct = env[name];
    const path = env[`${name}_FILE`];
    if (path === undefined || path === "") {
      return direct === undefined || direct === "" ? undefined : { value: direct, name };
    }
    if (direct !== undefined && direct !== "") {
      mistakes.push(`both ${name} and ${name}_FILE are set; keep one`);
      return undefined;
    }
    rereads = true;
    try {
      const value = readText(path);
      if (value === "") mistakes.push(`${name}_FILE: ${shown(path)} is empty`);
      return value === "" ? undefined : { value, name: `${name}_FILE` };
    } catch (error) {
      const why =
        error instanceof TypeError ? "it is not UTF-8" : errorCode(error) || String(error);
      mistakes.push(`${name}_FILE: cannot read ${shown(path)} (${why})`);
      return undefined;
    }
  };

  const keywords: Keywords = {};
  const take = (keyword: string, value: string, name: string): void => {
    if (keywords[keyword] !== undefined) return;
    keywords[keyword] = value;
    from[keyword] = name;
  };

  let isMisread = false;
  let urlParts: UrlParts | undefined;
  const url =
    flag === undefined
      ? (read("HEADGATE_DATABASE_URL") ?? read("DATABASE_URL"))
      : { value: flag, name: "--database-url" };
  if (url !== undefined) {
    const parsed = parseConnectionUrl(url.value, url.name);
    mistakes.push(...parsed.mistakes);
    isMisread = parsed.mistakes.length > 0;
    for (const [keyword, value] of Object.entries(parsed.keywords)) take(keyword, value, url.name);
    const driver = driverOf(url.value);
    urlParts = { ...(driver === undefined ? {} : { driver }), parameters: parsed.keywords };
  }
  const remarks: string[] = [];
  const takeAll = (variables: { readonly [name: string]: string }): void => {
    for (const [name, keyword] of Object.entries(variables)) {
      const found = read(name);
      // Kubernetes gives this to every pod beside a Service called `database`.
      if (name === "DATABASE_PORT" && found?.value.startsWith("tcp://") === true) {
        remarks.push(
          "DATABASE_PORT is the address of a Kubernetes Service, not a port; ignored (enableServiceLinks: false leaves it out)",
        );
      } else if (found !== undefined) take(keyword, found.value, found.name);
    }
  };
  if (url === undefined) takeAll(databaseVariables);
  takeAll(libpqVariables);

  // "No host" on top of a value that could not be read would mislead.
  const parsed = readSettings(keywords, from, mistakes.length === 0);
  // Of a URL that could not be read there is nothing more to say; of what stands beside it there is.
  mistakes.push(...parsed.mistakes);
  if (url !== undefined && !isMisread) {
    mistakes.push(...leftOpen(read, url.name, keywords, parsed.settings));
  }
  return {
    settings: parsed.settings,
    from,
    rereads,
    mistakes,
    remarks: [...remarks, ...parsed.remarks],
    ...(urlParts === undefined ? {} : { url: urlParts }),
  };
}

/**
 * A URL counts whole, and what it leaves open is as libpq has it: the port 5432, the user's own database. Where another
 * variable names one, that would be another database than was meant.
 */
function leftOpen(
  read: Read,
  urlName: string,
  keywords: Keywords,
  { endpoints, database, user }: DatabaseSettings,
): string[] {
  const defaults = {
    ...{ DATABASE_NAME: ["dbname", database], DATABASE_USER: ["user", user] },
    DATABASE_PORT: ["port", String(endpoints[0]?.port)],
  } as const;
  const open = Object.entries(defaults).filter(([, [keyword]]) => keywords[keyword] === undefined);
  const mistakes = open.flatMap(([name, [, value]]) => {
    const own = read(name)?.value ?? value;
    const isMeant = own !== value && !own.startsWith("tcp://");
    return isMeant ? [leftOut(urlName, name)] : [];
  });
  const isOther = !urlName.startsWith("DATABASE_URL");
  const other = isOther && keywords["dbname"] === undefined ? read("DATABASE_URL") : undefined;
  if (other === undefined) return mistakes;
  const named = parseConnectionUrl(other.value, other.name).keywords["dbname"] ?? database;
  return named === database ? mistakes : [...mistakes, leftOut(urlName, other.name)];
}

const leftOut = (urlName: string, name: string): string =>
  `${urlName} leaves out what ${name} says, which does not count beside it; write it into the URL`;

/**
 * As `$(<file)` does: a secret file's last line end is not part of the secret. Nor is a byte order mark.
 * @throws TypeError when it is not UTF-8, as files written by PowerShell are not
 */
function readText(path: string): string {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  return text.replace(/[\r\n]+$/, "");
}

/** Somebody may have put the secret itself where its file's path belongs. */
const shown = (path: string): string =>
  /^\.{0,2}\//.test(path) ? path : "the file it names (write its full path)";
