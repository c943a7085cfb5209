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

test("JDBC's ssl=true means sslmode=require, as to libpq", () => {
  assert.equal(find({ DATABASE_URL: "postgres://u@h/d?ssl=true" }).settings.sslMode, "require");
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

test("all mistakes in the connection are found at once", () => {
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
