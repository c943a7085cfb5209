/** What a tool is handed of the database, tried with the drivers that tools use: psycopg2, SQLAlchemy, npm's pg, lib/pq. */
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { before } from "node:test";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { testOn } from "../helpers/everywhere.ts";
import { artifacts, runHeadgate } from "../helpers/headgate.ts";
import { freePort } from "../helpers/port.ts";
import type { Postgres } from "../helpers/postgres.ts";
import { type Certificates, makeCertificates, startTlsPostgres } from "../helpers/tls.ts";
import { alembic } from "./python-tools.ts";
import { modules, requireTool, toolPath, write } from "./tool.ts";

const owner = { user: "the o'wner@home", password: "p@ss/w:rd?#% +&'\"é\\x" };
const database = "app db & co:é%";
const encoded = encodeURIComponent;

let certificates: Certificates;
let server: Postgres;
before(async () => {
  certificates = makeCertificates();
  server = await startTlsPostgres(certificates);
  await server.psql(
    "postgres",
    `CREATE ROLE "${owner.user}" LOGIN PASSWORD '${owner.password.replaceAll("'", "''")}';
    CREATE ROLE server LOGIN PASSWORD 'may-not-migrate'`,
  );
  await server.psql("postgres", `CREATE DATABASE "${database}" OWNER "${owner.user}"`);
});

const insert = `INSERT INTO seen SELECT session_user, ssl, host(inet_server_addr()),
  current_setting('application_name'), current_setting('client_connection_check_interval')
  FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;

/** Programs that connect as a tool's configuration does, and note who they are. */
const drivers: { readonly [name: string]: { option: string[]; command: string[] } } = {
  psycopg2: {
    option: ["DATABASE_URL"],
    command: ["python", "psycopg2_url.py"],
  },
  SQLAlchemy: {
    option: ["DATABASE_URL=psycopg"],
    command: ["python", "sqlalchemy_url.py"],
  },
  "npm's pg": { option: ["DATABASE_URL=pg"], command: ["node", "pg_url.cjs"] },
  TypeORM: { option: ["DATABASE_URL=pg"], command: ["node", "typeorm_url.cjs"] },
  Knex: { option: ["DATABASE_URL=pg", "PG=parts"], command: ["node", "knex_url.cjs"] },
  "dbmate's lib/pq": {
    option: ["DATABASE_URL"],
    command: ["dbmate", "--no-dump-schema", "migrate"],
  },
  "libpq, by its own variables": {
    option: ["PG=parts"],
    command: ["python", "psycopg2_variables.py"],
  },
  "parts of its own": {
    option: ["DB=parts", "DB_TLS=url"],
    command: ["node", "pg_parts.cjs"],
  },
};

function makeFolder(): string {
  const folder = temporaryFolder("headgate-told-");
  symlinkSync(modules, `${folder}/node_modules`);
  const python = (connect: string): string =>
    `import os, psycopg2\nc = ${connect}\nc.cursor().execute("""${insert}""")\nc.commit()\n`;
  write(folder, "psycopg2_url.py", python('psycopg2.connect(os.environ["DATABASE_URL"])'));
  write(folder, "psycopg2_variables.py", python('psycopg2.connect("")'));
  write(
    folder,
    "sqlalchemy_url.py",
    `import os, sqlalchemy
with sqlalchemy.create_engine(os.environ["DATABASE_URL"]).begin() as c:
    c.execute(sqlalchemy.text("""${insert}"""))
`,
  );
  const node = (config: string): string =>
    `const { Client } = require("pg");
const client = new Client(${config});
client.connect().then(() => client.query(\`${insert}\`)).then(() => client.end());
`;
  write(folder, "pg_url.cjs", node("{ connectionString: process.env.DATABASE_URL }"));
  write(
    folder,
    "pg_parts.cjs",
    node(`{
  host: process.env.DB_HOST, port: process.env.DB_PORT, database: process.env.DB_NAME,
  user: process.env.DB_USER, password: process.env.DB_PASSWORD,
  ssl: process.env.DB_TLS.includes("sslmode=disable") ? false : { rejectUnauthorized: false },
}`),
  );
  write(
    folder,
    "typeorm_url.cjs",
    `const { DataSource } = require("typeorm");
const source = new DataSource({ type: "postgres", url: process.env.DATABASE_URL });
source.initialize().then(() => source.query(\`${insert}\`)).then(() => source.destroy());
`,
  );
  write(
    folder,
    "knex_url.cjs",
    `const knex = require("knex")({ client: "pg", connection: process.env.DATABASE_URL });
knex.raw(\`${insert}\`).then(() => knex.destroy());
`,
  );
  write(folder, "db/migrations/1_seen.sql", `-- migrate:up\n${insert};\n-- migrate:down\n`);
  return folder;
}

/** Ways to be told where the database is. */
const login = `${encoded(owner.user)}:${encoded(owner.password)}`;
const ways: {
  readonly [title: string]: {
    env: () => Promise<Record<string, string>> | Record<string, string>;
    isEncrypted: boolean;
    isSocket?: true;
  };
} = {
  "verify-full with a CA bundle": {
    env: () => ({
      DATABASE_HOST: "localhost",
      DATABASE_PORT: String(server.port),
      DATABASE_NAME: database,
      DATABASE_USER: owner.user,
      DATABASE_PASSWORD: owner.password,
      PGSSLMODE: "verify-full",
      PGSSLROOTCERT: certificates.ca,
    }),
    isEncrypted: true,
  },
  "TLS without a check, from a file": {
    env: () => {
      const file = temporaryFolder("headgate-secret-");
      write(file, "url", `postgres://${login}@127.0.0.1:${server.port}/${encoded(database)}\n`);
      return { DATABASE_URL_FILE: `${file}/url`, PGSSLMODE: "require" };
    },
    isEncrypted: true,
  },
  "no word of TLS, where the server has it": {
    env: () => ({
      DATABASE_URL: `postgres://${login}@127.0.0.1:${server.port}/${encoded(database)}`,
    }),
    isEncrypted: true,
  },
  "no TLS": {
    env: () => ({
      DATABASE_URL: `postgres://${login}@127.0.0.1:${server.port}/${encoded(database)}?sslmode=disable`,
    }),
    isEncrypted: false,
  },
  "several hosts, of which one is a server": {
    env: async () => ({
      DATABASE_URL: `postgres://${login}@127.0.0.1:${await freePort()},localhost:${server.port}/${encoded(database)}?target_session_attrs=read-write&sslmode=verify-ca&sslrootcert=${encoded(certificates.ca)}`,
    }),
    isEncrypted: true,
  },
  "a unix socket": {
    env: () => ({
      DATABASE_URL: `postgres://${login}@${encoded(server.socketDir)}:${server.port}/${encoded(database)}`,
    }),
    isEncrypted: false,
    isSocket: true,
  },
  "an owner's URL beside the server's": {
    env: () => ({
      HEADGATE_DATABASE_URL: `postgres://${login}@127.0.0.1:${server.port}/${encoded(database)}?sslmode=disable`,
      DATABASE_URL: "postgres://server:may-not-migrate@db.example.org/elsewhere",
      DATABASE_HOST: "db.example.org",
      DATABASE_USER: "server",
      PGUSER: "server",
      PGPASSWORD: "may-not-migrate",
      PGHOST: "db.example.org",
    }),
    isEncrypted: false,
  },
};

for (const artifact of artifacts) {
  for (const [way, { env, isEncrypted, isSocket }] of Object.entries(ways)) {
    testOn(artifact, `T1 what headgate has found reaches every driver: ${way}`, async (t) => {
      if (!requireTool(t, alembic)) return;
      const folder = makeFolder();
      const container = await env();
      for (const [driver, { option, command }] of Object.entries(drivers)) {
        await server.psql(
          database,
          `SET ROLE "${owner.user}"; DROP TABLE IF EXISTS seen, schema_migrations;
          CREATE TABLE seen (role text, ssl bool, host text, application text, looks_after text)`,
        );
        const args = ["migrate", "--migrator", JSON.stringify(command)];
        const told = option.flatMap((text) => ["--migrator-env", text]);
        const result = await runHeadgate(artifact, [...args, ...told], {
          cwd: folder,
          env: { ...container, PATH: toolPath },
        });
        assert.equal(result.exitCode, 0, `${driver}\n${result.stderr}`);
        const [run] = await server.psql<{ application: string }>(
          database,
          "SELECT application FROM headgate_runs ORDER BY id DESC LIMIT 1",
        );
        const seen = await server.psql(database, "SELECT * FROM seen");
        const wanted = {
          role: owner.user,
          ssl: isEncrypted,
          host: isSocket === true ? null : "127.0.0.1",
          // By these a run that must not go on is ended, also for a driver that does not read PGAPPNAME.
          application: run?.application,
          looks_after: "500ms",
        };
        assert.deepEqual(seen, [wanted], driver);
        for (const secret of [owner.password, encoded(owner.password), "may-not-migrate"])
          assert.ok(!result.stderr.includes(secret), driver);
      }
    });
  }
}
