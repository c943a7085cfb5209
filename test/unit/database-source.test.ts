import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type DatabaseSource, findDatabase } from "../../src/database-source.ts";
import { temporaryFolder } from "../helpers/cleanup.ts";

/** The database these variables name; there must be no mistake in them. */
function find(env: Record<string, string>, flag?: string): DatabaseSource {
  const source = findDatabase(env, flag);
  assert.deepEqual(source.mistakes, []);
  return source;
}

/** In short: user, password, servers, database. */
function brief(env: Record<string, string>, flag?: string): (string | undefined)[] {
  const { user, password, endpoints, database } = find(env, flag).settings;
  const servers = endpoints.map(({ host, port }) => `${host}|${port}`).join(" ");
  return [user, password, servers, database];
}

const osUser = userInfo().username;

for (const [url, expected] of [
  ["postgres://u:p@h:5433/d", ["u", "p", "h|5433", "d"]],
  ["postgresql://u:p@h/d", ["u", "p", "h|5432", "d"]],
  ["postgresql+psycopg2://u:p@h/d", ["u", "p", "h|5432", "d"]],
  ["postgresql+asyncpg://u:p@h/d", ["u", "p", "h|5432", "d"]],
  ["postgres://u:p@h", ["u", "p", "h|5432", "u"]],
  ["postgres://u@h/d", ["u", undefined, "h|5432", "d"]],
  ["postgres://h/d", [osUser, undefined, "h|5432", "d"]],
  ["postgres://u:p%40s%3As%2F%23%3F%25@h/d", ["u", "p@s:s/#?%", "h|5432", "d"]],
  ["postgres://u:p#s?s&s=s+s@h/d", ["u", "p#s?s&s=s+s", "h|5432", "d"]],
  ["postgres://u:p@s:s@h/d", ["u", "p@s:s", "h|5432", "d"]],
  ["postgres://%C3%BC:%C3%A9@h/%E2%82%AC", ["ü", "é", "h|5432", "€"]],
  ["postgres://u:p@h1:1,h2,h3:3/d", ["u", "p", "h1|1 h2|5432 h3|3", "d"]],
  ["postgres://u:p@[::1]/d", ["u", "p", "::1|5432", "d"]],
  ["postgres://u:p@[::1]:1,[fe80::2]:2/d", ["u", "p", "::1|1 fe80::2|2", "d"]],
  ["postgres://u:p@%2Frun%2Fpg:5433/d", ["u", "p", "/run/pg|5433", "d"]],
  ["postgres://u:p@/d?host=/run/pg&port=5433", ["u", "p", "/run/pg|5433", "d"]],
  ["postgres:///d?host=a,b&port=1,2&user=u&password=p", ["u", "p", "a|1 b|2", "d"]],
  ["postgres://u:p@a,b:/d?port=7", ["u", "p", "a|7 b|7", "d"]],
  ["postgres://u:p@h/d?dbname=other", ["u", "p", "h|5432", "other"]],
  [
    "postgres://u:p@h/d?host=/cloudsql/project:region:name",
    ["u", "p", "/cloudsql/project:region:name|5432", "d"],
  ],
  ["postgres://u:p@h/my db", ["u", "p", "h|5432", "my db"]],
  ["postgres://u:p@h/d?port=&schema=", ["u", "p", "h|5432", "d"]],
  ["postgres:///d?host=h&user=me@server&password=p@ss", ["me@server", "p@ss", "h|5432", "d"]],
  ["postgres://u:p@[fe80::1%25eth0]/d", ["u", "p", "fe80::1%eth0|5432", "d"]],
] as const) {
  test(`${url} is understood`, () => {
    assert.deepEqual(brief({ DATABASE_URL: url }), expected);
  });
}

test("parameters of a URL are read as libpq reads them", () => {
  const parameters = {
    ...{ sslmode: "verify-full", sslrootcert: "/ca.pem", sslcert: "/c.pem", sslkey: "/k.pem" },
    ...{ connect_timeout: "7", channel_binding: "require", sslnegotiation: "direct" },
    options: "-c search_path=a,b",
  };
  const query = new URLSearchParams(parameters).toString().replaceAll("+", "%20");
  const { settings, remarks } = find({ DATABASE_URL: `postgres://u@h/d?${query}&pgbouncer=true` });
  assert.deepEqual(
    { ...settings },
    {
      ...{ endpoints: [{ host: "h", port: 5432 }], user: "u", database: "d" },
      ...{ sslMode: "verify-full", sslRootCert: "/ca.pem", sslCert: "/c.pem", sslKey: "/k.pem" },
      ...{ connectTimeoutMs: 7000, channelBinding: "require", directTls: true },
      startupOptions: "-c search_path=a,b",
    },
  );
  assert.match(remarks.join(), /pgbouncer is not one headgate uses; ignored/);
});

for (const [words, sslMode] of [
  ["ssl=true", "require"],
  ["ssl=1", "require"],
  ["ssl=verify-full", "verify-full"],
  ["ssl=true&sslmode=verify-ca", "verify-ca"],
  ["sslmode=verify-ca&ssl=true", "verify-ca"],
  ["requiressl=1", "require"],
  ["requiressl=1&sslmode=disable", "disable"],
  ["ssl=false", "prefer"],
  ["gssencmode=disable", "prefer"],
] as const) {
  test(`${words} means sslmode=${sslMode}`, () => {
    assert.equal(find({ DATABASE_URL: `postgres://u@h/d?${words}` }).settings.sslMode, sslMode);
  });
}

for (const [words, searchPath] of [
  ["schema=app", "app"],
  ["schema=MyApp", '"MyApp"'],
  ["schema=tenant-1", '"tenant-1"'],
  ["schema=a,b", "a,b"],
  ["search_path=a,%20b", "a, b"],
  ["search_path=a&schema=a", "a"],
  ["schema=", undefined],
  ["currentSchema=MyApp", "MyApp"],
] as const) {
  test(`W7 ${words} in a URL is the search path ${searchPath}`, () => {
    const { settings, remarks } = find({ DATABASE_URL: `postgres://u@h/d?${words}` });
    assert.equal(settings.searchPath, searchPath);
    assert.deepEqual(remarks, []);
  });
}

test("W7 words about a pool are ignored, and named", () => {
  const words = ["pgbouncer=true", "connection_limit=5", "pool_timeout=0", "application_name=a"];
  for (const word of words) {
    const { settings, remarks } = find({ DATABASE_URL: `postgres://u@h/d?${word}` });
    assert.equal(settings.startupOptions, undefined);
    assert.equal(remarks.length, 1);
  }
});

test("a connect_timeout of zero or less is no limit", () => {
  for (const text of ["0", "-1"]) {
    const env = { DATABASE_URL: `postgres://u@h/d?connect_timeout=${text}` };
    assert.equal(find(env).settings.connectTimeoutMs, Infinity);
  }
});

test("DATABASE_* and PG* name the same parts", () => {
  const generic = {
    ...{ DATABASE_HOST: "h", DATABASE_PORT: "1", DATABASE_NAME: "d" },
    ...{ DATABASE_USER: "u", DATABASE_PASSWORD: "p:@/%41" },
  };
  const libpq = { PGHOST: "h", PGPORT: "1", PGDATABASE: "d", PGUSER: "u", PGPASSWORD: "p:@/%41" };
  for (const env of [generic, libpq]) {
    assert.deepEqual(brief(env), ["u", "p:@/%41", "h|1", "d"], "nothing is decoded outside a URL");
  }
  const mixed = { ...libpq, DATABASE_HOST: "other", DATABASE_USER: "me" };
  assert.deepEqual(brief(mixed), ["me", "p:@/%41", "other|1", "d"], "DATABASE_* comes first");
});

test("the flag beats HEADGATE_DATABASE_URL, which beats DATABASE_URL, which beats the single parts", () => {
  const env = {
    HEADGATE_DATABASE_URL: "postgres://u:p@owner/d",
    DATABASE_URL: "postgres://u:p@pooled/d",
    ...{ DATABASE_HOST: "part", DATABASE_NAME: "part", PGHOST: "pg" },
  };
  const hosts = (env: Record<string, string>, flag?: string): string | undefined =>
    find(env, flag).settings.endpoints[0]?.host;
  assert.equal(hosts(env, "postgres://u:p@typed/d"), "typed");
  assert.equal(hosts(env), "owner");
  assert.equal(hosts({ ...env, HEADGATE_DATABASE_URL: "" }), "pooled");
  assert.equal(hosts({ ...env, HEADGATE_DATABASE_URL: "", DATABASE_URL: "" }), "part");
});

test("PG* fill in what a URL leaves open, DATABASE_* do not", () => {
  const env = {
    ...{ DATABASE_URL: "postgres://h", PGUSER: "u", PGPASSWORD: "p", PGDATABASE: "d" },
    ...{ PGPORT: "7", DATABASE_USER: "x", DATABASE_PASSWORD: "x", DATABASE_NAME: "x" },
  };
  assert.deepEqual(brief(env), ["u", "p", "h|7", "d"]);
  const { from } = find(env);
  assert.deepEqual([from["host"], from["password"]], ["DATABASE_URL", "PGPASSWORD"]);
});

test("each variable may be a file's path instead, of which the last line end is no part of the value", () => {
  const folder = temporaryFolder("headgate-config-");
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const names = ["DATABASE_URL", "HEADGATE_DATABASE_URL"];
  for (const name of names) {
    const env = { [`${name}_FILE`]: file("url", "postgres://u:p@h/d\r\n") };
    assert.deepEqual(brief(env), ["u", "p", "h|5432", "d"]);
    assert.equal(find(env).from["host"], `${name}_FILE`);
    assert.ok(find(env).rereads);
  }
  const parts = { HOST: "h", PORT: "1", USER: "u", PASSWORD: " p p\n" };
  for (const [prefix, name] of [
    ["DATABASE_", "DATABASE_NAME"],
    ["PG", "PGDATABASE"],
  ] as const) {
    const env: Record<string, string> = { [`${name}_FILE`]: file("name", "d\n") };
    for (const [part, text] of Object.entries(parts)) {
      env[`${prefix}${part}_FILE`] = file(part, text);
    }
    assert.deepEqual(brief(env), ["u", " p p", "h|1", "d"]);
  }
});

test("without any file, nothing is worth reading again", () => {
  assert.ok(!find({ DATABASE_URL: "postgres://u@h/d" }).rereads);
});

test("a byte order mark in a file is no part of the value, and what is not UTF-8 is refused", () => {
  const folder = temporaryFolder("headgate-config-");
  const file = (name: string, bytes: Buffer): string => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const env = { PGHOST: "h", PGUSER: "u" };
  const marked = file("marked", Buffer.from("\u{FEFF}secret\r\n"));
  assert.equal(find({ ...env, PGPASSWORD_FILE: marked }).settings.password, "secret");
  for (const bytes of [Buffer.from("\u{FEFF}secret", "utf16le"), Buffer.from("sécret", "latin1")]) {
    const PGPASSWORD_FILE = file("other", bytes);
    const { mistakes } = findDatabase({ ...env, PGPASSWORD_FILE }, undefined);
    assert.match(mistakes.join(), /^PGPASSWORD_FILE: cannot read .* \(it is not UTF-8\)$/);
  }
});

test("a password is taken as it is, white space and line ends of a variable too, as libpq takes it", () => {
  for (const password of [" p", "p ", "p\n", '"p"', "p\tp"]) {
    assert.equal(find({ PGHOST: "h", PGPASSWORD: password }).settings.password, password);
  }
});

const PARTS = { PGHOST: "h", PGUSER: "u", PGDATABASE: "d" };
for (const [what, env, expected] of [
  [
    "white space after a database",
    { ...PARTS, PGDATABASE: "d " },
    /^PGDATABASE: .* ends with white space/,
  ],
  ["a tab before a role", { ...PARTS, PGUSER: "\tu" }, /^PGUSER: .* begins with white space/],
  [
    "a line end after a host",
    { ...PARTS, PGHOST: "h\r\n" },
    /^PGHOST: the host ends with a line end/,
  ],
  ["a space that does not break", { ...PARTS, PGDATABASE: "d\u{A0}" }, /\(U\+00A0\)/],
  ["a byte order mark", { ...PARTS, PGDATABASE: "\u{FEFF}d" }, /begins with .* \(U\+FEFF\)/],
  ["a space of no width", { ...PARTS, PGHOST: "h\u{200B}" }, /\(U\+200B\)/],
  ["a control character", { ...PARTS, PGDATABASE: "a\u{7}b" }, /has .* \(U\+0007\) in it/],
  ["white space alone", { ...PARTS, PGDATABASE: " " }, /^PGDATABASE: .* ends with white space/],
  ["quotes around a database", { ...PARTS, PGDATABASE: '"d"' }, /^PGDATABASE: .* in quotes/],
  ["a comment", { ...PARTS, PGDATABASE: "d # the database" }, /^PGDATABASE: .* comment/],
  [
    "white space after a port",
    { ...PARTS, PGPORT: "5432 " },
    /^PGPORT: the port ends with white space/,
  ],
  ["a line end after sslmode", { ...PARTS, PGSSLMODE: "require\n" }, /^PGSSLMODE: .* a line end/],
  ["a URL as a database", { ...PARTS, PGDATABASE: "postgres://u@h/d" }, /^PGDATABASE: .* is a URL/],
  ["a URL as a host", { ...PARTS, PGHOST: "https://h" }, /^PGHOST: the host is a URL/],
  [
    "parameters as a database",
    { ...PARTS, PGDATABASE: "host=h dbname=d" },
    /connection parameters/,
  ],
  ["a port in a host", { ...PARTS, PGHOST: "h:5432" }, /^PGHOST: the host is neither/],
  ["an abstract socket", { ...PARTS, PGHOST: "@socket" }, /^PGHOST: the host is neither/],
  ["a port in the second host", { ...PARTS, PGHOST: "h,i:1" }, /host 2 of 2 is neither/],
  ["hosts with a port in a parameter", { DATABASE_URL: "postgres://u@/d?host=h:1" }, /neither/],
  ["two hosts in two parameters", { DATABASE_URL: "postgres://u@/d?host=h&host=i" }, /twice/],
  [
    "a line end after a URL",
    { DATABASE_URL: "postgres://u:p@h/d\n" },
    /^DATABASE_URL ends with a line end/,
  ],
  ["a byte order mark before a URL", { DATABASE_URL: "\u{FEFF}postgres://u:p@h/d" }, /U\+FEFF/],
  [
    "two lines in a URL",
    { DATABASE_URL: "postgres://u:p@h/d\npostgres://u:p@h/e" },
    /a line end in it/,
  ],
  ["a URL in quotes", { DATABASE_URL: '"postgres://u:p@h/d"' }, /^DATABASE_URL is in quotes/],
  ["a comment after a URL", { DATABASE_URL: "postgres://u:p@h/d # main" }, /comment/],
  ["an empty parameter", { DATABASE_URL: "postgres://u:p@h/d?dbname=" }, /dbname is empty/],
  ["an escaped space after a database", { DATABASE_URL: "postgres://u:p@h/d%20" }, /white space/],
  ["an escaped line end", { DATABASE_URL: "postgres://u:p@h/d%0A" }, /a line end/],
  ["a NUL", { DATABASE_URL: "postgres://u:p@h/d%00e" }, /%/],
  ["a NUL in a role", { DATABASE_URL: "postgres://u%00database%00other:p@h/d" }, /%/],
  ["a slash after a database", { DATABASE_URL: "postgres://u:p@h/d/" }, /\/ in the database name/],
  ["two slashes before a database", { DATABASE_URL: "postgres://u:p@h//d" }, /\/ in the database/],
  ["an @ in a database", { DATABASE_URL: "postgres://u:p@h/d@e" }, /as %40/],
  ["an address without brackets", { DATABASE_URL: "postgres://u:p@::1/d" }, /in brackets/],
  ["something after the brackets", { DATABASE_URL: "postgres://u:p@[::1]5432/d" }, /in brackets/],
  [
    "Prisma's and pgx's word at odds",
    { DATABASE_URL: "postgres://u@h/d?schema=a&search_path=b" },
    /different schemas/,
  ],
  [
    "a schema and options at odds",
    { DATABASE_URL: "postgres://u@h/d?schema=a&options=-csearch_path%3Db" },
    /different/,
  ],
  ["libpq's word in capitals", { DATABASE_URL: "postgres://u@h/d?DBNAME=e" }, /write dbname/],
  [
    "another word for the database",
    { DATABASE_URL: "postgres://u@h/d?database=e" },
    /write dbname/,
  ],
  ["another word for the role", { DATABASE_URL: "postgres://h/d?username=e" }, /write user/],
  [
    "another word for the host",
    { DATABASE_URL: "postgres://u@h/d?unix_sock=/run/pg" },
    /write host/,
  ],
  [
    "another word for the schema",
    { DATABASE_URL: "postgres://u@h/d?default_schema=e" },
    /write search_path/,
  ],
  [
    "another word for TLS",
    { DATABASE_URL: "postgres://u@h/d?sslMode=verify-full" },
    /write sslmode/,
  ],
  [
    "an ssl that libpq does not know",
    { DATABASE_URL: "postgres://u@h/d?ssl=no-verify" },
    /write sslmode/,
  ],
  ["a role to act as", { DATABASE_URL: "postgres://u@h/d?role=owner" }, /write options=-c%20role/],
  ["a tablespace", { DATABASE_URL: "postgres://u@h/d?default_tablespace=e" }, /write options=/],
  [
    "the owner of a socket",
    { ...PARTS, PGREQUIREPEER: "postgres" },
    /requirepeer is not supported/,
  ],
  ["a folder of revocation lists", { ...PARTS, PGSSLCRLDIR: "/crl" }, /not checked/],
  ["GSS encryption", { ...PARTS, PGGSSENCMODE: "require" }, /^PGGSSENCMODE: gssencmode=require/],
  ["an address beside the host", { ...PARTS, PGHOSTADDR: "10.0.0.1" }, /^PGHOSTADDR: .* into host/],
  [
    "a database beside a URL without one",
    { DATABASE_URL: "postgres://u@h", DATABASE_NAME: "d" },
    /^DATABASE_URL leaves out what DATABASE_NAME says/,
  ],
  [
    "a port beside a URL without one",
    { DATABASE_URL: "postgres://u@h/d", DATABASE_PORT: "1" },
    /DATABASE_PORT/,
  ],
  [
    "a role beside a URL without one",
    { DATABASE_URL: "postgres://h/d", DATABASE_USER: "u" },
    /DATABASE_USER/,
  ],
  [
    "a URL of the owner without a database",
    { HEADGATE_DATABASE_URL: "postgres://u@h", DATABASE_URL: "postgres://a@h/d" },
    /^HEADGATE_DATABASE_URL leaves out what DATABASE_URL/,
  ],
] as const) {
  test(`W7 ${what} is refused, with the variable's name`, () => {
    const { mistakes } = findDatabase(env, undefined);
    assert.equal(mistakes.length, 1, mistakes.join("\n"));
    assert.match(mistakes[0] ?? "", expected);
    assert.match(mistakes[0] ?? "", /\b(DATABASE|PG)[A-Z_]+/);
  });
}

test("W7 what DATABASE_* say beside a URL does no harm where the URL, PG* or libpq's default say the same", () => {
  const env = { DATABASE_URL: "postgres://u@h", DATABASE_PORT: "5432", DATABASE_USER: "x" };
  const kubernetes = { DATABASE_PORT: "tcp://10.0.0.1:1" };
  assert.deepEqual(brief({ ...env, PGDATABASE: "d" }), ["u", undefined, "h|5432", "d"]);
  assert.deepEqual(brief({ ...env, DATABASE_NAME: "u" }), ["u", undefined, "h|5432", "u"]);
  assert.deepEqual(brief({ ...env, ...kubernetes }), ["u", undefined, "h|5432", "u"]);
});

test("P1 whatever stands unescaped in a password, it is read as a whole, or refused without a piece of it", () => {
  const between = ["@", "/", "#", "?", "%", ":", "&", "=", "[", "]", ",", " ", "", "'", "%41"];
  const words = ["zebra", "54321", "giraffe", "77"];
  const orders = [
    [0, 1, 2],
    [1, 0, 2],
    [1, 3, 0],
  ];
  const ends = ["@db:6432/app", "@db/app?sslmode=require", "@db", "@db,db:7/app?options=-cx%3D1"];
  const urls = between.flatMap((a) =>
    between.flatMap((b) =>
      between.flatMap((c) =>
        orders.map((order) => {
          const [one, two, three] = order.map((index) => words[index] ?? "");
          return `${a}${one}${b}${two}${c}${three}`;
        }),
      ),
    ),
  );
  let understood = 0;
  for (const password of urls) {
    for (const end of ends) {
      const DATABASE_URL = `postgres://user:${password}${end}`;
      const { settings, mistakes, remarks } = findDatabase({ DATABASE_URL }, undefined);
      const { password: found = "", endpoints, database, user } = settings;
      const told = [...mistakes, ...remarks].join();
      assert.doesNotMatch(told, /zebra|giraffe|54321|77/, DATABASE_URL);
      if (mistakes.length > 0) continue;
      understood++;
      const place = [...new Set(endpoints.map(({ host }) => host)), user, database];
      assert.deepEqual(place, ["db", "user", end === "@db" ? "user" : "app"], DATABASE_URL);
      assert.equal(found, decodeURIComponent(password), DATABASE_URL);
    }
  }
  assert.ok(understood > urls.length, "most are understood");
});

const empty = join(temporaryFolder("headgate-config-"), "empty");
writeFileSync(empty, "\n");
const URL_HERE = { DATABASE_URL: "postgres://u:p@h/d" };
for (const [what, env, expected] of [
  ["no database at all", {}, /no database host/],
  ["both a variable and its file", { ...URL_HERE, DATABASE_URL_FILE: "/run/url" }, /keep one/],
  [
    "a file that is not there",
    { PGHOST: "h", PGPASSWORD_FILE: "/no/such" },
    /\/no\/such \(ENOENT\)/,
  ],
  ["a file that is empty", { PGHOST: "h", PGPASSWORD_FILE: empty }, /is empty/],
  ["another scheme", { DATABASE_URL: "mysql://u:p@h/d" }, /has the scheme mysql:/],
  ["JDBC's scheme", { DATABASE_URL: "jdbc:postgresql://h/d" }, /has the scheme jdbc:postgresql:/],
  ["a scheme that nobody knows", { DATABASE_URL: "zebra9://h/d" }, /URL is not a URL; write/],
  ["libpq's keywords", { DATABASE_URL: "host=h dbname=d" }, /is not a URL; write postgresql:/],
  ["a stray %", { DATABASE_URL: "postgres://u:5%@h/d" }, /write a literal % as %25/],
  ["a stray / in the password", { DATABASE_URL: "postgres://u:p/p@h/d" }, /as %2F/],
  ["a stray / after digits", { DATABASE_URL: "postgres://u:1/p@h/d" }, /as %2F/],
  [
    "a port that is none",
    { ...URL_HERE, DATABASE_URL: "postgres://h:http/d" },
    /the port of host 1/,
  ],
  ["a port beyond the last", { DATABASE_URL: "postgres://h:65536/d" }, /from 1 to 65535/],
  ["port 0", { DATABASE_URL: "postgres://h:0/d" }, /from 1 to 65535/],
  ["two ports for three hosts", { PGHOST: "a,b,c", PGPORT: "1,2" }, /2 ports for 3 hosts/],
  ["a host that is empty", { PGHOST: "a,,c" }, /host 2 of 3 is empty/],
  [
    "an unknown sslmode",
    { ...URL_HERE, PGSSLMODE: "no-verify" },
    /sslmode=no-verify is not one of/,
  ],
  [
    "a connect_timeout in words",
    { ...URL_HERE, PGCONNECT_TIMEOUT: "5s" },
    /whole number of seconds/,
  ],
  ["a service", { ...URL_HERE, PGSERVICE: "main" }, /service is not supported/],
  ["a password file", { ...URL_HERE, PGPASSFILE: "/p" }, /use PGPASSWORD_FILE/],
  ["a certificate revocation list", { ...URL_HERE, PGSSLCRL: "/crl" }, /not checked/],
  [
    "sslnegotiation=direct with less than require",
    { ...URL_HERE, PGSSLNEGOTIATION: "direct" },
    /PGSSLNEGOTIATION: sslnegotiation=direct needs sslmode=require.*found prefer/,
  ],
  [
    "sslrootcert=system with less than verify-full",
    { ...URL_HERE, PGSSLROOTCERT: "system", PGSSLMODE: "require" },
    /needs sslmode=verify-full/,
  ],
] as const) {
  test(`a database that is given by ${what} is refused with the remedy`, () => {
    const { mistakes } = findDatabase(env, undefined);
    assert.equal(mistakes.length, 1, mistakes.join("\n"));
    assert.match(mistakes[0] ?? "", expected);
  });
}

test("all mistakes in the connection are found at once, also beside a URL that cannot be read", () => {
  const beside = { DATABASE_URL: "postgres://u:5%@h/d", PGSSLMODE: "off", PGSERVICE: "s" };
  assert.equal(findDatabase(beside, undefined).mistakes.length, 3);
  const env = { DATABASE_URL: "postgres://a,,c:x/d?sslmode=off&connect_timeout=soon&service=s" };
  assert.equal(findDatabase(env, undefined).mistakes.length, 5);
});

test("W6 what Kubernetes says of a Service called database is no port", () => {
  const { settings, mistakes, remarks } = findDatabase(
    {
      DATABASE_HOST: "db",
      DATABASE_NAME: "a",
      DATABASE_USER: "b",
      DATABASE_PORT: "tcp://10.96.0.1:5432",
    },
    undefined,
  );
  assert.deepEqual([mistakes, settings.endpoints], [[], [{ host: "db", port: 5432 }]]);
  assert.match(remarks.join(), /DATABASE_PORT .* Kubernetes Service/);
});
