/** libpq's words, the weakest first. */
export const sslModes = [
  "disable",
  "allow",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
] as const;

/** Understood here. */
const honoured = [
  ...["host", "port", "dbname", "user", "password", "options", "target_session_attrs"],
  ...["sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation", "channel_binding"],
  ...["connect_timeout", "requiressl"],
];

/** Words for the search path: pgx's and npm postgres', Prisma's, JDBC's, Rails' and Knex'. */
const searchPathWords = [
  ...["search_path", "schema", "currentSchema", "schema_search_path", "searchPath"],
] as const;

export const isSearchPath = (keyword: string): boolean =>
  searchPathWords.some((word) => word === keyword);

/** libpq parameters that promise something headgate would not keep; ignoring them silently would be a lie. */
const refused: ReadonlyMap<string, string> = new Map([
  ["service", "write the connection out, service files are not read"],
  ["servicefile", "write the connection out, service files are not read"],
  [
    "passfile",
    "use PGPASSWORD_FILE or DATABASE_URL_FILE, password files in libpq's format are not read",
  ],
  ["hostaddr", "put the address into host"],
  ["sslcrl", "certificate revocation lists are not checked"],
  ["sslcrldir", "certificate revocation lists are not checked"],
  ["sslpassword", "use a key without a passphrase, from a secret"],
  ["require_auth", "the authentication method is the server's choice here"],
  ["requirepeer", "the owner of the server's process is not checked"],
  ["replication", "a replication session runs no migrations"],
]);

const asOption = (setting: string): string => `options=-c%20${setting}%3D…`;

/** Words of other drivers, in small letters alone, that ignored would lead to another place; and what to write. */
const elsewhere: ReadonlyMap<string, string> = new Map([
  ...["database", "db", "databasename"].map((word) => [word, "dbname"] as const),
  ["username", "user"],
  ...["hostname", "server", "address", "unixsock", "unixsocket", "unixsocketpath"].map(
    (word) => [word, "host"] as const,
  ),
  ...["socketpath", "socketfactory", "cloudsqlinstance"].map((word) => [word, "host"] as const),
  ...["role", "sessionauthorization"].map((word) => [word, asOption("role")] as const),
  ["defaulttablespace", asOption("default_tablespace")],
  ["defaulttableaccessmethod", asOption("default_table_access_method")],
]);

/** Those of libpq that must not be missed for being written otherwise. */
const exact = [...honoured, ...refused.keys()].filter((word) => word !== "connect_timeout");

const bare = (keyword: string): string => keyword.toLowerCase().replace(/[_-]/g, "");

/** sqlx writes one setting of the session so: `options[search_path]=app`. */
const settingOf = (keyword: string): string | undefined =>
  /^options\[([a-z_][\w.]*)\]$/i.exec(keyword)?.[1];

/** Whether headgate knows what a parameter means, if only to refuse it. */
export const isKnown = (keyword: string): boolean =>
  honoured.includes(keyword) ||
  refused.has(keyword) ||
  settingOf(keyword) !== undefined ||
  isSearchPath(keyword);

/** A keyword as it may be shown: what is no word may be a piece of a password. */
export const shownKeyword = (keyword: string): string =>
  /^[a-z][\w.-]{0,39}$/i.test(keyword) ? keyword : "that is no word";

/**
 * Says why a parameter is refused, or that it is ignored; neither for one that is honoured.
 * @param value only to tell what is harmless
 */
export function judgeParameter(
  keyword: string,
  value: string,
): { readonly mistake: string } | { readonly remark: string } | undefined {
  const reason = refused.get(keyword);
  if (reason !== undefined)
    return { mistake: `the connection parameter ${keyword} is not supported: ${reason}` };
  if (isKnown(keyword)) return undefined;
  const shown = shownKeyword(keyword);
  const word = bare(keyword);
  const instead =
    elsewhere.get(word) ??
    exact.find((known) => bare(known) === word) ??
    (/schema|searchpath/.test(word) ? "search_path" : undefined);
  if (instead !== undefined)
    return {
      mistake: `the connection parameter ${shown} is not one headgate knows; write ${instead}`,
    };
  if (keyword === "gssencmode") {
    const mistake = "gssencmode=require is not supported: connections are encrypted by TLS only";
    return value === "require" ? { mistake } : undefined;
  }
  if (keyword === "ssl" && !/^(false|0)$/.test(value))
    return { mistake: "ssl is neither true nor false, nor one of libpq's words; write sslmode" };
  return { remark: `the connection parameter ${shown} is not one headgate uses; ignored` };
}

/** The settings of the session that parameters ask for, as libpq's `options` has them; without the search path. */
export function sessionOptions(keywords: {
  readonly [keyword: string]: string;
}): string | undefined {
  const options = Object.entries(keywords).flatMap(([keyword, value]) => {
    const setting = settingOf(keyword);
    if (keyword === "options") return [value];
    return setting === undefined ? [] : [optionOf(setting, value)];
  });
  return options.length === 0 ? undefined : options.join(" ");
}

/** `-c name=value`, in which the server takes a backslash before what would end it. */
export const optionOf = (name: string, value: string): string =>
  `-c ${name}=${value.replace(/[\\\s]/g, String.raw`\$&`)}`;

/**
 * The search path that parameters ask for, as the server's setting has it.
 * @param from where each came from
 * @returns also whether two of the same source disagree
 */
export function searchPathOf(
  keywords: { readonly [keyword: string]: string },
  from: { readonly [keyword: string]: string },
): { readonly searchPath?: string; readonly disagree: readonly string[] } {
  const given: { word: string; path: string }[] = searchPathWords.flatMap((word) => {
    const value = keywords[word];
    if (value === undefined) return [];
    // Prisma's is one name, in which capitals count; a list is one for the server.
    const isName = word === "schema" && !/[",]/.test(value) && !/^[a-z_][a-z\d_$]*$/.test(value);
    return [{ word, path: isName ? `"${value}"` : value }];
  });
  const [first] = given;
  if (first === undefined) return { disagree: [] };
  const inOptions = /(?:^|\s)(?:-c\s*|--)search[_-]path\s*=((?:\\.|[^\s\\])*)/i.exec(
    sessionOptions(keywords) ?? "",
  )?.[1];
  // Of PGOPTIONS the URL is the stronger.
  if (inOptions !== undefined && from["options"] === from[first.word])
    given.push({ word: "options", path: inOptions.replace(/\\(.)/g, "$1") });
  const others = given.filter(({ path }) => normalised(path) !== normalised(first.path));
  return {
    searchPath: first.path,
    disagree: others.length === 0 ? [] : [first.word, ...others.map(({ word }) => word)],
  };
}

const normalised = (path: string): string => path.replace(/\s*,\s*/g, ",").trim();
