import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { before } from "node:test";
import { execa } from "execa";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { type Artifact, artifacts, requireOrSkip, runHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const hasPsql = spawnSync("psql", ["--version"]).status === 0;

/** Unescaped in a URL it means what it says to libpq. */
const PASSWORD = "s?s#s=s&s";
const server = await useServer({ own: true });
let closed: number;
let base: string;
before(async () => {
  closed = await freePort();
  base = await createDatabase(server);
  await server.psql("postgres", `CREATE ROLE app LOGIN PASSWORD '${PASSWORD}'`);
  await server.psql("postgres", `CREATE ROLE other LOGIN PASSWORD '${PASSWORD}'`);
  await server.psql("postgres", `GRANT CREATE ON DATABASE ${base} TO app, other`);
  await server.psql(
    base,
    `CREATE SCHEMA app AUTHORIZATION app; CREATE SCHEMA "My App" AUTHORIZATION app;
    CREATE SCHEMA other AUTHORIZATION other; GRANT ALL ON SCHEMA public, other TO app, other`,
  );
});

/** Where one is: database, role, schema, and what the session was given. */
const where =
  "concat_ws(' | ', current_database(), current_user, current_schema(), current_setting('search_path'), current_setting('work_mem'))";

let tables = 0;
/** Where the migrations of headgate are run. */
async function headgateIs(artifact: Artifact, env: Record<string, string>): Promise<string> {
  const migrations = makeMigrations({
    "1_where.sql": `DO $$ BEGIN RAISE WARNING '<%>', ${where}; END $$`,
  });
  const args = ["migrate", "--migrations", migrations, "--history-table", `history_${tables++}`];
  const { exitCode, stderr } = await runHeadgate(artifact, args, { env });
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(`"${/<(.*)>/.exec(stderr)?.[1] ?? stderr}"`) as string;
}

/** Where libpq is. */
async function libpqIs(env: Record<string, string>): Promise<string> {
  const { DATABASE_URL: url, ...others } = env;
  const args = ["-XAtc", `select ${where}`, ...(url === undefined ? [] : [url])];
  const { stdout, stderr, exitCode } = await execa("psql", args, {
    env: { PATH: process.env["PATH"] ?? "", ...others },
    extendEnv: false,
    reject: false,
  });
  assert.equal(exitCode, 0, `${url}: ${stderr}`);
  return stdout;
}

const url = (path: string, login = `app:${PASSWORD}`): Record<string, string> => ({
  DATABASE_URL: `postgres://${login}@127.0.0.1:${server.port}/${path}`,
});

/** What libpq understands. */
const understood: Record<string, () => Record<string, string>> = {
  "a URL": () => url(base),
  "a URL without a database": () => ({ ...url(""), PGDATABASE: base }),
  "a role and a database in the parameters": () => url(`x?dbname=${base}&user=other`),
  "a host and a port in the parameters": () => ({
    DATABASE_URL: `postgres://app:${PASSWORD}@x:1/${base}?host=127.0.0.1&port=${server.port}`,
  }),
  "a socket": () => ({
    DATABASE_URL: `postgres:///${base}?host=${server.socketDir}&port=${server.port}&user=app&password=${encodeURIComponent(PASSWORD)}`,
  }),
  "several hosts": () => ({
    DATABASE_URL: `postgres://app:${PASSWORD}@127.0.0.1:${closed},127.0.0.1:${server.port}/${base}`,
  }),
  "a search path in options": () => url(`${base}?options=-c%20search_path%3Dapp,public`),
  "a search path in options, written together": () => url(`${base}?options=-csearch_path%3Dapp`),
  "a search path in options, as a long option": () =>
    url(`${base}?options=--search_path%3Dapp%20-c%20work_mem%3D5MB`),
  "a search path with a space in options": () =>
    url(`${base}?options=${encodeURIComponent(String.raw`-c search_path="My\ App",\ public`)}`),
  "raw spaces in options": () => url(`${base}?options=-c search_path%3Dapp -c work_mem%3D5MB`),
  PGOPTIONS: () => ({ ...url(base), PGOPTIONS: "-c search_path=app -c work_mem=5MB" }),
  "PGOPTIONS beside options": () => ({
    ...url(`${base}?options=-c%20work_mem%3D5MB`),
    PGOPTIONS: "-c search_path=app",
  }),
  "PG* variables": () => ({
    ...{ PGHOST: "127.0.0.1", PGPORT: String(server.port), PGDATABASE: base },
    ...{ PGUSER: "other", PGPASSWORD: PASSWORD },
  }),
};

/** The search path that other drivers' words mean, as libpq's options have it. */
const words: Record<string, string> = {
  "schema=app": "app",
  "schema=My%20App": '"My\\ App"',
  "schema=other&connection_limit=5&pgbouncer=true": "other",
  "search_path=app,public": "app,public",
  'search_path=%22My%20App%22,%20"$user"': '"My\\ App",\\ "$user"',
  "currentSchema=app": "app",
  "schema_search_path=other,app": "other,app",
  "searchPath=app": "app",
  "options[search_path]=app": "app",
  "options=-c+search_path%3Dapp": "app",
};

for (const artifact of artifacts) {
  testOn(
    artifact,
    "W7 migrations are run in the database, as the role and in the schema where libpq would be",
    async (t) => {
      if (!requireOrSkip(t, hasPsql, "psql is not installed")) return;
      for (const [what, env] of Object.entries(understood)) {
        assert.equal(await headgateIs(artifact, env()), await libpqIs(env()), what);
      }
    },
  );

  testOn(
    artifact,
    "W7 the schema that a URL of Prisma, JDBC, Rails or pgx names is where the tables are made",
    async (t) => {
      if (!requireOrSkip(t, hasPsql, "psql is not installed")) return;
      for (const [word, path] of Object.entries(words)) {
        const options = encodeURIComponent(`-c search_path=${path}`);
        const truth = await libpqIs(url(`${base}?options=${options}`));
        assert.equal(await headgateIs(artifact, url(`${base}?${word}`)), truth, word);
      }
      // PGOPTIONS says less than the URL, but is not lost.
      const PGOPTIONS = "-c search_path=other -c work_mem=5MB";
      const both = await headgateIs(artifact, { ...url(`${base}?schema=app`), PGOPTIONS });
      assert.equal(both, `${base} | app | app | app | 5MB`);
    },
  );

  testOn(
    artifact,
    "W7 a schema that the URL names is made in a scratch database, which has only what files make",
    async () => {
      const folder = makeMigrations({
        "1_notes.sql": "CREATE TABLE notes (id int)",
        "undo/1_notes.sql": "DROP TABLE notes",
      });
      const env = { HEADGATE_MIGRATIONS: folder };
      const scratch = await createDatabase(server);
      const roundtrip = ["check", "--roundtrip"];
      for (const schema of ["app", "Not There"]) {
        const word = `?schema=${encodeURIComponent(schema)}`;
        const DATABASE_URL = `${server.url(base)}${word}`;
        for (const more of [["--scratch-create"], ["--scratch-url", server.url(scratch) + word]]) {
          const args = [...roundtrip, ...more];
          const { exitCode, stdout, stderr } = await runHeadgate(artifact, args, {
            env: { ...env, DATABASE_URL },
          });
          assert.equal(exitCode, 0, stdout + stderr);
        }
      }
      const left = await server.psql(
        scratch,
        "SELECT nspname FROM pg_namespace WHERE nspname ~ '(app|Not)'",
      );
      assert.deepEqual(left, []);
      // The database to migrate is another matter: a misspelt schema must not be made.
      const misspelt = { ...env, DATABASE_URL: `${server.url(base)}?schema=ap` };
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env: misspelt });
      assert.equal(exitCode, 77, stderr);
      assert.match(stderr, /search path names none that exists/);
    },
  );

  testOn(
    artifact,
    "W7 what a stray character would make another database of is refused before anything is made, with the variable's name",
    async () => {
      const file = join(temporaryFolder("headgate-stray-"), "name");
      writeFileSync(file, `${base} \n`);
      const parts = {
        ...{ PGHOST: "127.0.0.1", PGPORT: String(server.port), PGUSER: "postgres" },
        PGPASSWORD: server.password,
      };
      for (const [name, env] of Object.entries({
        PGDATABASE: { ...parts, PGDATABASE: `${base} ` },
        DATABASE_NAME: { ...parts, DATABASE_NAME: `"${base}"` },
        DATABASE_NAME_FILE: { ...parts, DATABASE_NAME_FILE: file },
        DATABASE_URL: { DATABASE_URL: `${server.url(base)}\n` },
      })) {
        const args = ["migrate", "--create-database", "--migrations", makeMigrations()];
        const { exitCode, stderr } = await runHeadgate(artifact, args, { env });
        assert.equal(exitCode, 64, stderr);
        assert.match(stderr, new RegExp(`"${name}(: the database name)? (is|ends)`));
      }
      const strays = await server.psql(
        "postgres",
        `SELECT datname FROM pg_database WHERE datname <> '${base}' AND datname ~ '${base}'`,
      );
      assert.deepEqual(strays, []);
    },
  );
}
