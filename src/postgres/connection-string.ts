/**
 * The parameters of a connection, by libpq's keywords
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS), all still text.
 * `host` and `port` may be comma-separated lists.
 */
export type Keywords = { [keyword: string]: string };

/** `postgresql+psycopg2://` is how SQLAlchemy writes it; many images carry their one DATABASE_URL in that form. */
const scheme = /^postgres(?:ql)?(?:\+\w+)?:\/\//;

/** The driver that SQLAlchemy's form of a URL names. */
export const driverOf = (url: string): string | undefined =>
  /^postgres(?:ql)?\+(\w+):\/\//.exec(url)?.[1];

/**
 * Takes a connection URL apart the way libpq does, which Node's URL class and pg do not: several hosts, socket
 * folders, and passwords with `#` or `?` in them.
 * @param text the URL; never repeated in a mistake, because it holds the password
 * @param name where it came from, for the mistakes
 */
export function parseConnectionUrl(
  text: string,
  name: string,
): { keywords: Keywords; mistakes: string[] } {
  const keywords: Keywords = {};
  const mistakes: string[] = [];
  const decode = (value: string, what: string): string => {
    try {
      return decodeURIComponent(value);
    } catch {
      mistakes.push(
        `${name}: the ${what} holds a % that is not a valid escape; write a literal % as %25`,
      );
      return value;
    }
  };

  const start = scheme.exec(text);
  if (start === null) {
    const found = /^([a-z][\w+.:-]*):\/\//i.exec(text)?.[1];
    const looks = found === undefined ? "is not a URL" : `has the scheme ${found}://`;
    return {
      keywords,
      mistakes: [`${name} ${looks}; write postgresql://user:password@host:port/database`],
    };
  }

  // The user part ends at the last @ before the path, so that a stray unescaped @ in a password still works.
  const rest = text.slice(start[0].length);
  const at = userInfoEnd(rest);
  const userInfo = at < 0 ? "" : rest.slice(0, at);
  const [, hosts = "", path = "", query = ""] =
    /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest.slice(at + 1)) ?? [];

  const keywordHasAt = query.split("&").some((pair) => pair.split("=", 1)[0]?.includes("@"));
  if (at < 0 && (path.includes("@") || keywordHasAt)) {
    // Read on, a piece of the password would be the database's name, which is logged.
    mistakes.push(
      `${name}: there is an @ where the database name should be; write an unescaped / in the password as %2F`,
    );
    return { keywords, mistakes };
  }

  const colon = userInfo.indexOf(":");
  const user = colon < 0 ? userInfo : userInfo.slice(0, colon);
  if (user !== "") keywords["user"] = decode(user, "user name");
  if (colon >= 0 && colon + 1 < userInfo.length) {
    keywords["password"] = decode(userInfo.slice(colon + 1), "password");
  }
  const { host, port } = splitHosts(hosts);
  if (host !== "") keywords["host"] = decode(host, "host");
  if (port !== "") keywords["port"] = port;
  if (path !== "") keywords["dbname"] = decode(path, "database name");

  for (const pair of query.split("&").filter((piece) => piece !== "")) {
    const equals = pair.indexOf("=");
    const keyword = decode(equals < 0 ? pair : pair.slice(0, equals), "query");
    const value = equals < 0 ? "" : decode(pair.slice(equals + 1), `parameter ${keyword}`);
    // libpq reads JDBC's ssl=true this way (fe-connect.c, conninfo_uri_parse_params).
    if (keyword === "ssl" && value === "true") keywords["sslmode"] ??= "require";
    else keywords[keyword] = value;
  }
  return { keywords, mistakes };
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

/** `h1:1,h2,[::1]:3` → hosts `h1,h2,::1` and ports `1,,3`. */
function splitHosts(hosts: string): { host: string; port: string } {
  const parts = hosts.split(",").map((part) => {
    const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(part);
    if (bracketed !== null) return { host: bracketed[1] ?? "", port: bracketed[2] ?? "" };
    const colon = part.lastIndexOf(":");
    return colon < 0
      ? { host: part, port: "" }
      : { host: part.slice(0, colon), port: part.slice(colon + 1) };
  });
  const port = parts.map((part) => part.port).join(",");
  return { host: parts.map((part) => part.host).join(","), port: /^,*$/.test(port) ? "" : port };
}
