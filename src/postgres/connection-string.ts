import { isKnown, shownKeyword, sslModes } from "./parameters.ts";
import { strayIn } from "./stray.ts";

/**
 * The parameters of a connection, by libpq's keywords
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS), all still text.
 * `host` and `port` may be comma-separated lists.
 */
export type Keywords = { [keyword: string]: string };

/** `postgresql+psycopg2://` is how SQLAlchemy writes it; many images carry their one DATABASE_URL in that form. */
const scheme = /^postgres(?:ql)?(?:\+\w+)?:\/\//;

/** Schemes that people put there; of anything else a piece could be a secret. */
const otherScheme =
  /^((?:jdbc:|r2dbc:|prisma\+)?(?:postgres|postgresql|postgis|pgsql|psql|pg|mysql|mariadb|mssql|sqlserver|sqlite|mongodb|redis|cockroachdb|https?|tcp|file)):/i;
/** The driver that SQLAlchemy's form of a URL names. */
export const driverOf = (url: string): string | undefined =>
  /^postgres(?:ql)?\+(\w+):\/\//.exec(url)?.[1];

/**
 * Takes a connection URL apart the way libpq does, which Node's URL class and pg do not: several hosts, socket
 * folders, and passwords with `#` or `?` in them. What could be read in two ways is refused, because a piece of the
 * password would then be a host's or a database's name, which is logged.
 * @param text the URL; nothing of it is repeated in a mistake, because it holds the password
 * @param name where it came from, for the mistakes
 * @returns the keywords as they are written, those of other drivers too; meaningless when there are mistakes
 */
export function parseConnectionUrl(
  text: string,
  name: string,
): { keywords: Keywords; mistakes: string[] } {
  const keywords: Keywords = {};
  const mistakes: string[] = [];
  const refuse = (what: string): { keywords: Keywords; mistakes: string[] } => ({
    keywords: {},
    mistakes: [`${name}${what}`],
  });
  const decode = (value: string, what: string): string => {
    const decoded = decodeOrUndefined(value);
    if (decoded === undefined) {
      mistakes.push(
        `${name}: the ${what} holds a % that is not a valid escape; write a literal % as %25`,
      );
    }
    return decoded ?? "";
  };

  const stray = strayIn(text);
  if (stray !== undefined) return refuse(` ${stray}; remove it`);
  const start = scheme.exec(text);
  if (start === null) {
    const found = otherScheme.exec(text)?.[1];
    const looks = found === undefined ? "is not a URL" : `has the scheme ${found}:`;
    return refuse(` ${looks}; write postgresql://user:password@host:port/database`);
  }

  // The user part ends at the last @ before the path, so that a stray unescaped @ in a password still works.
  const rest = text.slice(start[0].length);
  const at = userInfoEnd(rest);
  const userInfo = at < 0 ? "" : rest.slice(0, at);
  const [, hosts = "", path = "", query = ""] =
    /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest.slice(at + 1)) ?? [];
  const pairs = query.split("&").filter((piece) => piece !== "");

  if (path.includes("@")) {
    return refuse(
      ": there is an @ where the database name should be; write an unescaped / in the password as %2F, and an @ as %40",
    );
  }
  if (
    pairs.some((pair) => pair.includes("@") && (at >= 0 || !isKnown(pair.split("=", 1)[0] ?? "")))
  ) {
    return refuse(
      ": there is an @ in the parameters after the ?; write an unescaped ? or / in the password as %3F or %2F, and an @ as %40",
    );
  }
  if (path.includes("/")) {
    return refuse(
      ": there is a / in the database name; write one in a password or a name as %2F, and none at the end",
    );
  }

  const colon = userInfo.indexOf(":");
  const parts = splitHosts(hosts);
  if (parts === undefined) {
    return refuse(": an IPv6 address stands in brackets, as in [::1]:5432, and a port is a number");
  }
  const found: Keywords = {
    user: decode(colon < 0 ? userInfo : userInfo.slice(0, colon), "user name"),
    password: colon < 0 ? "" : decode(userInfo.slice(colon + 1), "password"),
    host: decode(parts.host, "host"),
    port: parts.port,
    dbname: decode(path, "database name"),
  };
  const seen = new Map<string, string>();
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    const keyword = decode(equals < 0 ? pair : pair.slice(0, equals), "query");
    const raw = equals < 0 ? "" : pair.slice(equals + 1);
    const shown = shownKeyword(keyword);
    // Other drivers read + as a space, which is all that it can mean there.
    const isForm = keyword === "options" && raw.startsWith("-c+");
    const value = decode(isForm ? raw.replaceAll("+", " ") : raw, `parameter ${shown}`);
    if ((seen.get(keyword) ?? value) !== value) {
      mistakes.push(`${name}: the parameter ${shown} is there twice, with two values`);
    }
    // libpq takes it for the default, and not for what stands before the ?.
    if (value === "" && (found[keyword] ?? "") !== "") {
      mistakes.push(`${name}: the parameter ${shown} is empty; leave it out`);
    }
    seen.set(keyword, value);
  }
  for (const [keyword, value] of seen) {
    const sslMode = keyword === "ssl" ? sslWords.get(value) : undefined;
    if (sslMode === undefined) found[keyword] = value;
    else found["sslmode"] = seen.get("sslmode") ?? sslMode;
  }
  // What is empty is not set.
  for (const [keyword, value] of Object.entries(found)) if (value !== "") keywords[keyword] = value;
  return { keywords, mistakes };
}

/** What other drivers write as `ssl`: libpq knows JDBC's ssl=true (fe-connect.c, conninfo_uri_parse_params). */
const sslWords: ReadonlyMap<string, string> = new Map([
  ["true", "require"],
  ["1", "require"],
  ...sslModes.map((mode) => [mode, mode] as const),
]);

/** As libpq, which has no use for a NUL either. */
function decodeOrUndefined(value: string): string | undefined {
  try {
    const decoded = decodeURIComponent(value);
    return decoded.includes("\0") ? undefined : decoded;
  } catch {
    return undefined;
  }
}

/** Where `user:password` ends: the last @ before the first / that follows it, or -1. */
function userInfoEnd(rest: string): number {
  const first = rest.indexOf("@");
  if (first < 0 || /[/]/.test(rest.slice(0, first))) return -1;
  const slash = rest.indexOf("/", first);
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const question = authority.indexOf("?", first);
  return (question < 0 ? authority : authority.slice(0, question)).lastIndexOf("@");
}

/** `h1:1,h2,[::1]:3` → hosts `h1,h2,::1` and ports `1,,3`; undefined for what is neither. */
function splitHosts(hosts: string): { host: string; port: string } | undefined {
  const parts = hosts.split(",").map((part) => {
    const [, bracketed, name, port = ""] =
      /^(?:\[([^\][]*)\]|([^:\][]*))(?::([^:\][]*))?$/.exec(part) ?? [];
    const host = bracketed ?? name;
    return host === undefined ? undefined : { host, port };
  });
  if (parts.includes(undefined)) return undefined;
  const port = parts.map((part) => part?.port).join(",");
  return { host: parts.map((part) => part?.host).join(","), port: /^,*$/.test(port) ? "" : port };
}
