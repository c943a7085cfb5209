import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { testOn } from "../../helpers/everywhere.ts";
import {
  type Artifact,
  artifacts,
  proc,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { happy, makeMigrations } from "../../helpers/migrations.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";

/** Two words to look for, in any spelling of what is between them, so that half a secret is found too. */
const SECRET = `zebra9"q'\\@:/#é% ?&=giraffe7`;
const PLAIN = "zebra9_giraffe7";
const WORDS = /zebra9|giraffe7/i;

const server = await useServer({ own: true });
let closed: number;
let folder: string;
before(async () => {
  folder = temporaryFolder("headgate-privacy-");
  closed = await freePort();
  for (const [role, password] of [
    ["odd", SECRET],
    ["plain", PLAIN],
  ] as const) {
    const literal = password.replaceAll("'", "''");
    await server.psql("postgres", `CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD '${literal}'`);
  }
});

type Scenario = { args: string[]; env?: Record<string, string>; exitCode: number };

/** Runs it with every way of reporting switched on, and looks for the secret in all that comes out. */
async function keepsSecret(artifact: Artifact, { args, env, exitCode }: Scenario): Promise<void> {
  for (const format of ["json", "text"]) {
    const termination = join(folder, `termination-${artifact.name.slice(0, 3)}-${format}`);
    writeFileSync(termination, "");
    const reporting = {
      HEADGATE_LOG_FORMAT: format,
      HEADGATE_LOG_LEVEL: "debug",
      HEADGATE_TERMINATION_LOG: termination,
    };
    const result = await runHeadgate(artifact, args, { env: { ...reporting, ...env } });
    assert.equal(result.exitCode, exitCode, result.stderr);
    assert.doesNotMatch(result.stdout + result.stderr, WORDS);
    const told = readFileSync(termination, "utf8");
    assert.doesNotMatch(told, WORDS);
    if (exitCode !== 0) assert.notEqual(told, "", "nothing was said at all");
  }
}

const wait = ["wait", "--wait-timeout", "300ms", "--auth-grace", "300ms"];
const odd = (port: number, scheme = "postgres"): string =>
  `${scheme}://odd:${encodeURIComponent(SECRET)}@127.0.0.1:${port}`;

/** By what goes wrong, if anything. */
const connecting: Record<string, () => Scenario> = {
  "all is well": () => ({
    args: wait,
    env: { DATABASE_URL: `${odd(server.port)}/postgres` },
    exitCode: 0,
  }),
  "the password is wrong": () => ({
    args: wait,
    env: { DATABASE_URL: `${odd(server.port)}/postgres`.replace("//odd", "//plain") },
    exitCode: 77,
  }),
  "the role does not exist": () => ({
    args: wait,
    env: { DATABASE_URL: `${odd(server.port)}/postgres`.replace("//odd", "//nobody") },
    exitCode: 77,
  }),
  "the database does not exist": () => ({
    args: wait,
    env: { DATABASE_URL: `${odd(server.port, "postgresql+psycopg2")}/none` },
    exitCode: 77,
  }),
  "the server is not there": () => ({
    args: wait,
    env: { DATABASE_URL: `${odd(closed, "postgresql")}/postgres` },
    exitCode: 69,
  }),
  "the URL is an argument": () => ({
    args: [...wait, "--database-url", `${odd(closed)}/postgres`],
    exitCode: 69,
  }),
  "the password stands in the URL's query": () => ({
    args: wait,
    env: { DATABASE_URL: `postgres://h:${closed}/db?user=u&password=${PLAIN}&zzz=1&sslmode=x` },
    exitCode: 64,
  }),
  "PG* variables are used": () => ({
    args: wait,
    env: { PGHOST: "127.0.0.1", PGPORT: String(closed), PGUSER: "odd", PGPASSWORD: SECRET },
    exitCode: 69,
  }),
  "the password comes from a file": () => {
    const file = join(folder, "password");
    writeFileSync(file, `${SECRET}\n`);
    const env = { PGHOST: "127.0.0.1", PGPORT: String(server.port), PGUSER: "nobody" };
    return { args: wait, env: { ...env, PGPASSWORD_FILE: file }, exitCode: 77 };
  },
  "a dependency's address holds a password and a token": () => ({
    args: [
      ...["wait", "--wait-for-timeout", "300ms", "--wait-for"],
      `http://user:${PLAIN}@127.0.0.1:${closed}/health?access_token=${PLAIN}`,
    ],
    env: { DATABASE_URL: server.url("postgres") },
    exitCode: 69,
  }),
};

/** Each is refused with 64. */
const mistakes: Record<string, { args?: string[]; env?: Record<string, string> }> = {
  "another scheme": { env: { DATABASE_URL: `mysql://u:${SECRET}@h/db` } },
  "another scheme's scheme": { env: { DATABASE_URL: `jdbc:postgresql://u:${SECRET}@h/db` } },
  "no scheme": { env: { DATABASE_URL: `u:${SECRET}@h/db` } },
  "a stray percent sign": { env: { DATABASE_URL: "postgres://u:zebra9%zzgiraffe7@h/db" } },
  "a stray slash": { env: { DATABASE_URL: "postgres://u:zebra9/giraffe7@h/db" } },
  "a stray slash after digits": { env: { DATABASE_URL: "postgres://u:12/giraffe7@h/db" } },
  "a stray slash and an ampersand": { env: { DATABASE_URL: "postgres://u:1/a?b&giraffe7@h/d" } },
  "the secret as its own file": { env: { PGPASSWORD_FILE: PLAIN, PGHOST: "h" } },
  "both the secret and its file": {
    env: { PGPASSWORD: SECRET, PGPASSWORD_FILE: "/run/secret", PGHOST: "h" },
  },
  "a URL as an argument": { args: [`postgres://u:${SECRET}@h/db`] },
  "a URL as a second argument": { args: ["migrate", `postgres://u:${SECRET}@h/db`] },
  "a misspelt flag": { args: ["wait", `--databse-url=postgres://u:${SECRET}@h/db`] },
  "a misspelt flag and its value": { args: ["wait", "--databse-url", `postgres://u:${SECRET}@h`] },
  "a server for a command without one": { args: ["migrate", "--", "node", `--token=${PLAIN}`] },
  "a server without the dashes": { args: ["node", "server.js", `--token=${PLAIN}`] },
};

/** SQL that fails, with a secret in it that headgate has never seen before. */
const sql: Record<string, string> = {
  "in CREATE ROLE": `CREATE ROLE plain PASSWORD '${PLAIN}';`,
  "in CREATE ROLE, spread over lines": `CREATE ROLE plain\n  PASSWORD\n  '${PLAIN}'\n  LOGIN;`,
  "in an escaped literal": `CREATE ROLE plain PASSWORD E'zebra9\\'giraffe7';`,
  "with quotes in it": "CREATE ROLE plain PASSWORD 'zebra9''giraffe7' LOGIN;",
  "between dollars": `CREATE ROLE plain PASSWORD $$${PLAIN}$$;`,
  "before a syntax error": `CREATE ROLE app PASSWORD '${PLAIN}' LOGINN;`,
  "in a block": `DO $$ BEGIN\n  EXECUTE 'CREATE ROLE plain PASSWORD ''${PLAIN}''';\nEND $$;`,
  "in a block that quotes by dollars": `DO $a$ BEGIN CREATE ROLE plain PASSWORD '${PLAIN}'; END $a$;`,
  "in a subscription": `CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1 password=${PLAIN}' PUBLICATION p;`,
  "in a URL": `SELECT 1/0, 'postgres://u:${PLAIN}@h/db';`,
};

for (const artifact of artifacts) {
  for (const [what, scenario] of Object.entries(connecting)) {
    testOn(artifact, `P1 the password is nowhere in the output when ${what}`, () =>
      keepsSecret(artifact, scenario()),
    );
  }

  for (const [what, { args = ["wait"], env = {} }] of Object.entries(mistakes)) {
    testOn(artifact, `P1 the secret is nowhere in the output when the mistake is ${what}`, () =>
      keepsSecret(artifact, { args, env, exitCode: 64 }),
    );
  }

  for (const [where, text] of Object.entries(sql)) {
    testOn(
      artifact,
      `P1 a password ${where} is nowhere in the output when the migration fails`,
      async () => {
        const database = await createDatabase(server);
        const migrations = makeMigrations({ "1_first.sql": `SELECT 1;\n${text}\nSELECT 2;\n` });
        const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
        await keepsSecret(artifact, { args: ["migrate"], env, exitCode: 1 });
      },
    );
  }

  testOn(
    artifact,
    "P1 headgate's own password in a migration that fails is nowhere in the output",
    async () => {
      const database = await createDatabase(server);
      const text = `SELECT '${SECRET.replaceAll("'", "''")}'::int;`;
      const migrations = makeMigrations({ "1_first.sql": text });
      const DATABASE_URL = `${odd(server.port)}/${database}`;
      const env = { DATABASE_URL, HEADGATE_MIGRATIONS: migrations };
      await keepsSecret(artifact, { args: ["migrate"], env, exitCode: 1 });
    },
  );

  testOn(
    artifact,
    "P1 a migration that succeeds with a secret in it does not show it",
    async () => {
      const role = `role_${artifact.name.slice(0, 3)}`;
      const database = await createDatabase(server);
      const text = `CREATE ROLE ${role}_1 PASSWORD '${PLAIN}'; DO $$ BEGIN RAISE NOTICE 'made'; END $$;`;
      const migrations = makeMigrations({
        ...happy,
        "4_role.sql": text.replace("_1", `_${database}`),
      });
      const DATABASE_URL = `${odd(server.port)}/${database}`;
      const env = { DATABASE_URL, HEADGATE_MIGRATIONS: migrations };
      for (const args of [["migrate"], ["status"], ["verify"]]) {
        await keepsSecret(artifact, { args, env, exitCode: 0 });
      }
    },
  );

  testOn(
    artifact,
    "P1 a password that is replaced while headgate waits is kept as well as the first",
    async () => {
      const file = join(folder, `rotated-${artifact.name.slice(0, 3)}`);
      writeFileSync(file, "some-other-secret");
      const env = {
        ...{
          PGHOST: "127.0.0.1",
          PGPORT: String(server.port),
          PGUSER: "odd",
          PGDATABASE: "postgres",
        },
        PGPASSWORD_FILE: file,
        HEADGATE_MIGRATIONS: makeMigrations({
          "1_first.sql": `SELECT '${SECRET.replaceAll("'", "''")}'::int, 'some-other-secret';`,
        }),
      };
      const running = await startHeadgate(artifact, ["migrate", "--history-table", "rotated"], {
        env,
      });
      await running.waitForLog(({ state }) => state === "password refused");
      writeFileSync(file, SECRET);
      const result = await running.result;
      assert.equal(result.exitCode, 1, result.stderr);
      assert.doesNotMatch(result.stderr, WORDS);
      assert.doesNotMatch(result.stderr, /some-other-secret/);
    },
  );

  testOn(
    artifact,
    "P1 other processes see no secret in the process's title and arguments",
    async () => {
      const env = { DATABASE_URL: `${odd(closed)}/postgres` };
      const running = await startHeadgate(artifact, ["wait"], { env });
      await running.waitForLog("waiting");
      const shown = [...proc.commandLine(running.pid), proc.status(running.pid)["Name"]].join("\n");
      assert.doesNotMatch(shown, WORDS);
      running.signal("SIGTERM");
      await running.result;
    },
  );
}
