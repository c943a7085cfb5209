import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer();

for (const artifact of artifacts) {
  testOn(artifact, "help and version need no database and no other configuration", async () => {
    for (const [args, expected] of [
      [["--version"], /^headgate \d+\.\d+\.\d+ \(commit [0-9a-f]{12}(, changed)?, (node|bun) \d/],
      [["--help"], /^headgate waits until Postgres is really ready/],
      [["migrate", "--help"], /^usage: headgate migrate \[options\]/],
      [["help", "verify"], /^usage: headgate verify \[options\]/],
    ] as const) {
      const result = await runHeadgate(artifact, [...args], { env: { HEADGATE_LOCK_WAIT: "x" } });
      assert.deepEqual([result.exitCode, result.stderr], [0, ""]);
      assert.match(result.stdout, expected);
    }
  });

  testOn(
    artifact,
    "all mistakes of arguments, variables and connection come in one line with exit code 64",
    async () => {
      const env = {
        ...{ DATABASE_URL: "postgres://a,,c:x/d", HEADGATE_LOG_LEVEL: "loud" },
        HEADGATE_LOCK_WAIT: "10",
      };
      const args = ["migrate", "--lock-wiat=1m", "--json"];
      const { exitCode, lines } = await runHeadgate(artifact, args, { env });
      assert.equal(exitCode, 64);
      assert.equal(lines.length, 1);
      const problems = lines[0]?.["problems"] as string[];
      assert.equal(problems.length, 6, problems.join("\n"));
    },
  );

  testOn(artifact, "the same database is found however a deployment names it", async () => {
    const database = await createDatabase(server);
    const folder = temporaryFolder("headgate-config-");
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), `${text}\n`);
      return join(folder, name);
    };
    const { host, user, password } = server;
    const port = String(server.port);
    const url = server.url(database);
    const sqlalchemy = url.replace("postgres://", "postgresql+psycopg2://");
    for (const env of [
      { DATABASE_URL: url },
      { DATABASE_URL: sqlalchemy },
      { DATABASE_URL: "postgres://u:p@127.0.0.1:1/pooled", HEADGATE_DATABASE_URL: url },
      { DATABASE_URL_FILE: file("url", url) },
      {
        ...{ DATABASE_HOST: host, DATABASE_PORT: port, DATABASE_NAME: database },
        ...{ DATABASE_USER: user, DATABASE_PASSWORD: password },
      },
      {
        ...{ PGHOST: host, PGPORT: port, PGDATABASE: database, PGUSER: user },
        PGPASSWORD_FILE: file("password", password),
      },
    ] as Record<string, string>[]) {
      const result = await runHeadgate(artifact, ["wait"], { env });
      assert.equal(result.exitCode, 0, result.stderr);
      const { host: found, database: name, databaseFrom } = result.lines[0] ?? {};
      assert.deepEqual([found, name], [`${host}:${port}`, database]);
      // Only names of variables, and each of them one that was given.
      const from =
        typeof databaseFrom === "string" ? [databaseFrom] : Object.values(databaseFrom ?? {});
      for (const variable of from) assert.ok(String(variable) in env, String(variable));
    }
    const typed = await runHeadgate(artifact, ["wait", "--database-url", url]);
    assert.equal(typed.exitCode, 0, typed.stderr);
    assert.equal(typed.lines[0]?.["databaseFrom"], "--database-url");
  });

  testOn(artifact, "options of the connection reach the server", async () => {
    const database = await createDatabase(server);
    const migrations = makeMigrations({
      "1_settings.sql": "CREATE TABLE seen AS SELECT current_setting('work_mem') AS memory;",
    });
    const env = { DATABASE_URL: server.url(database), PGOPTIONS: "-c work_mem=7MB" };
    const result = await runHeadgate(artifact, ["migrate", "--migrations", migrations], { env });
    assert.equal(result.exitCode, 0, result.stderr);
    assert.deepEqual(await server.psql(database, "SELECT memory FROM seen"), [{ memory: "7MB" }]);
  });
}
