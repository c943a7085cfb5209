import assert from "node:assert/strict";
import { test } from "node:test";
import { withDatabase } from "../../../src/migrator/database-forms.ts";
import type { Reached } from "../../../src/migrator/database-urls.ts";
import { presets } from "../../../src/migrator/presets.ts";
import { readVariables, type Variable, variablesOf } from "../../../src/migrator/variables.ts";

const settings: Reached["settings"] = {
  endpoints: [],
  database: "app",
  user: "o'wner",
  password: "p@ss w/rd",
  sslMode: "prefer",
  directTls: false,
  channelBinding: "prefer",
};
const endpoint = { host: "db", port: 5433 };
const reached: Reached = { settings, endpoint, encrypted: false };
const login = "o'wner:p%40ss%20w%2Frd";

function variables(...texts: string[]): readonly Variable[] {
  const mistakes: string[] = [];
  const found = readVariables(texts, "--migrator-env", mistakes);
  assert.deepEqual(mistakes, []);
  return found;
}

const told = (text: string, other: Partial<Reached> = {}, own = ""): string | undefined =>
  withDatabase({ X: own }, variables(text), { ...reached, ...other })["X"];

test("T1 each form has what its readers take, and says how far TLS goes", () => {
  for (const [form, other, wanted] of [
    ["X", {}, `postgresql://${login}@db:5433/app?sslmode=disable`],
    ["X", { encrypted: true }, `postgresql://${login}@db:5433/app?sslmode=require`],
    [
      "X",
      { application: "run 1", options: "-c lock_timeout=5" },
      `postgresql://${login}@db:5433/app?sslmode=disable&application_name=run%201&options=-c%20lock_timeout%3D5`,
    ],
    [
      "X",
      { settings: { ...settings, sslMode: "verify-full", sslRootCert: "/ca.pem", sslKey: "/key" } },
      `postgresql://${login}@db:5433/app?sslmode=verify-full&sslrootcert=%2Fca.pem&sslkey=%2Fkey`,
    ],
    [
      "X",
      { endpoint: { host: "/run/pg", port: 5433 }, settings: { ...settings, sslMode: "require" } },
      `postgresql://${login}@/app?host=%2Frun%2Fpg&port=5433&sslmode=disable`,
    ],
    [
      "X",
      { endpoint: { host: "::1", port: 5432 } },
      `postgresql://${login}@[::1]:5432/app?sslmode=disable`,
    ],
    [
      "X",
      { settings: { ...settings, database: "a b?c#d/e&f" } },
      `postgresql://${login}@db:5433/a%20b%3Fc%23d%2Fe&f?sslmode=disable`,
    ],
    // What only another driver understands is its own affair.
    [
      "X",
      { url: { parameters: { schema: "tenant", pgbouncer: "true", application_name: "mine" } } },
      `postgresql://${login}@db:5433/app?sslmode=disable&schema=tenant&pgbouncer=true`,
    ],
    [
      "X",
      { url: { parameters: { options: "-c a=1" } }, options: "-c b=2" },
      `postgresql://${login}@db:5433/app?sslmode=disable&options=-c%20a%3D1%20-c%20b%3D2`,
    ],
    [
      "X=psycopg",
      { settings: { ...settings, database: "a b" } },
      `postgresql://${login}@db:5433/?dbname=a%20b&sslmode=disable`,
    ],
    [
      "X=psycopg",
      { url: { driver: "psycopg", parameters: {} } },
      `postgresql+psycopg://${login}@db:5433/app?sslmode=disable`,
    ],
    [
      "X=psycopg",
      {
        encrypted: true,
        url: { driver: "asyncpg", parameters: { ssl: "verify-full" } },
        application: "run",
        settings: { ...settings, sslRootCert: "/ca.pem" },
      },
      `postgresql+asyncpg://${login}@db:5433/app?ssl=verify-full`,
    ],
    // Less than the tool checks with this URL by itself it is not made to check.
    [
      "X=pg",
      {
        encrypted: true,
        settings: { ...settings, sslMode: "require" },
        url: { parameters: { sslmode: "require" } },
      },
      `postgresql://${login}@db:5433/app?sslmode=require`,
    ],
    [
      "X=pg",
      {
        encrypted: true,
        settings: { ...settings, sslMode: "require" },
        url: { parameters: { ssl: "true" } },
      },
      `postgresql://${login}@db:5433/app?ssl=true`,
    ],
    ["X=pg", { encrypted: true }, `postgresql://${login}@db:5433/app?sslmode=no-verify`],
    [
      "X=pg",
      { settings: { ...settings, sslMode: "verify-ca", sslRootCert: "/ca" } },
      `postgresql://${login}@db:5433/app?sslmode=verify-ca&sslrootcert=%2Fca&uselibpqcompat=true`,
    ],
    [
      "X=pg",
      { settings: { ...settings, sslMode: "verify-full", sslRootCert: "system" } },
      `postgresql://${login}@db:5433/app?sslmode=verify-full`,
    ],
    [
      "X=jdbc",
      { application: "run" },
      "jdbc:postgresql://db:5433/app?sslmode=disable&ApplicationName=run&user=o'wner&password=p%40ss%20w%2Frd",
    ],
    ["X=host", {}, "db"],
    ["X=port", {}, "5433"],
    ["X=database", {}, "app"],
    ["X=user", {}, "o'wner"],
    ["X=password", {}, "p@ss w/rd"],
  ] as const) {
    assert.equal(told(form, other), wanted, form);
  }
});

test("T1 the driver that the container's own variable names for SQLAlchemy is kept", () => {
  const own = "postgresql+asyncpg://server:other@elsewhere/app";
  assert.equal(told("X=psycopg", {}, own), `postgresql+asyncpg://${login}@db:5433/app?ssl=disable`);
});

test("T1 parts are libpq's variables or those of deployment guides, and nothing of the container's is left beside them", () => {
  const container = {
    ...{ PATH: "/bin", PGPASSWORD: "other", PGPASSWORD_FILE: "/run/secret", PGSSLMODE: "prefer" },
    ...{ DB_HOST: "other", DB_PASSWORD_FILE: "/run/secret", PGTZ: "UTC" },
  };
  const { password: _none, ...withoutPassword } = settings;
  assert.deepEqual(
    withDatabase(container, variables("PG=parts", "DB=parts"), {
      ...{ ...reached, encrypted: true },
      settings: { ...withoutPassword, sslRootCert: "/ca", startupOptions: "-c a=1" },
    }),
    {
      ...{ PATH: "/bin", PGTZ: "UTC" },
      ...{ PGHOST: "db", PGPORT: "5433", PGDATABASE: "app", PGUSER: "o'wner" },
      ...{ PGSSLMODE: "require", PGSSLROOTCERT: "/ca", PGOPTIONS: "-c a=1" },
      ...{ DB_HOST: "db", DB_PORT: "5433", DB_NAME: "app", DB_USER: "o'wner" },
    },
  );
});

test("T1 every preset is told the database in the form of its tool, a command of one's own only when that is said", () => {
  for (const preset of Object.keys(presets)) {
    const environment = withDatabase({}, variablesOf(preset), reached);
    const found = Object.keys(environment).join(" ");
    if (preset === "flyway") assert.equal(found, "FLYWAY_URL FLYWAY_USER FLYWAY_PASSWORD");
    else if (preset === "liquibase")
      assert.equal(
        found,
        "LIQUIBASE_COMMAND_URL LIQUIBASE_COMMAND_USERNAME LIQUIBASE_COMMAND_PASSWORD",
      );
    else assert.match(found, /^DATABASE_URL DATABASE_HOST .*PGPASSWORD PGSSLMODE$/, preset);
    for (const value of Object.values(environment).filter((each) => each.startsWith("jdbc:")))
      assert.equal(value, "jdbc:postgresql://db:5433/app?sslmode=disable", "the login is apart");
  }
  assert.deepEqual(variablesOf(undefined), []);
});

test("T1 a variable or form that cannot be meant is a mistake", () => {
  const mistakes: string[] = [];
  readVariables(["A-B", "URL=pyscopg", "X=url=more", "=url"], "--migrator-env", mistakes);
  assert.equal(mistakes.length, 4);
  assert.match(
    mistakes[1] ?? "",
    /^--migrator-env: URL: "pyscopg" is not one of .*is psycopg meant/,
  );
});
