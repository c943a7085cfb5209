import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import {
  type Artifact,
  type HeadgateResult,
  artifacts,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { addMigrations, happy, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const serving = ["--", "echo", "serving"];
const unusedName = (): string => `new_${randomBytes(4).toString("hex")}`;

function startReplicas(
  count: number,
  artifact: Artifact,
  args: string[],
  env: Record<string, string>,
): Promise<HeadgateResult[]> {
  return Promise.all(
    Array.from({ length: count }, () => runHeadgate(artifact, [...args, ...serving], { env })),
  );
}

function assertAllServe(replicas: readonly HeadgateResult[]): void {
  for (const { exitCode, stdout, stderr } of replicas) {
    assert.deepEqual([exitCode, stdout], [0, "serving\n"], stderr);
  }
  const applied = replicas.flatMap(({ lines }) => lines).filter(({ msg }) => msg === "applied");
  assert.equal(applied.length, Object.keys(happy).length);
}

/** A role without rights of its own, and the URL by which it reaches the database. */
async function createRole(database: string): Promise<{ role: string; url: string }> {
  const role = unusedName();
  await server.psql(database, `CREATE ROLE ${role} LOGIN PASSWORD 'role-password'`);
  return { role, url: server.url(database, { user: role, password: "role-password" }) };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M11 20 replicas with --create-database on a missing database make it once, and none fails",
    async () => {
      const database = unusedName();
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: makeMigrations() };
      assertAllServe(await startReplicas(20, artifact, ["--create-database"], env));
    },
  );

  testOn(
    artifact,
    "M11 20 replicas whose history table is in a missing schema make it once, and none fails",
    async () => {
      const database = await createDatabase(server);
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: makeMigrations() };
      const table = ["--history-table", '"Own schema".history'];
      assertAllServe(await startReplicas(20, artifact, table, env));
      const rows = await server.psql(database, 'SELECT id FROM "Own schema".history');
      assert.equal(rows.length, 4);
    },
  );

  testOn(
    artifact,
    "M11 a schema that somebody else makes at the same moment is no failure",
    async () => {
      const database = await createDatabase(server);
      const other = await server.connect(database);
      await other.query("BEGIN; CREATE SCHEMA histories");
      const env = {
        DATABASE_URL: server.url(database),
        HEADGATE_MIGRATIONS: makeMigrations(),
        HEADGATE_HISTORY_TABLE: "histories.api",
      };
      const replica = await startHeadgate(artifact, serving, { env });
      await eventually("it waits for the other's schema", async () => {
        const sql =
          "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'create schema%'";
        return (await server.psql(database, sql)).length > 0;
      });
      await other.query("COMMIT");
      await other.end();
      assertAllServe([await replica.result]);
    },
  );

  testOn(
    artifact,
    "M11 services with history tables of their own in one missing schema and database do not trip over each other",
    async () => {
      const url = server.url(unusedName());
      const services = await Promise.all(
        ["a", "b", "c", "d", "e", "f", "g", "h"].map((service) =>
          runHeadgate(artifact, ["--create-database", ...serving], {
            env: {
              DATABASE_URL: url,
              HEADGATE_MIGRATIONS: makeMigrations({ "1_own.sql": `CREATE TABLE ${service} ()` }),
              HEADGATE_HISTORY_TABLE: `histories.${service}`,
            },
          }),
        ),
      );
      for (const { exitCode, stderr } of services) assert.equal(exitCode, 0, stderr);
    },
  );

  testOn(
    artifact,
    "M11 a role that may not create databases is refused with 77 and the remedy",
    async () => {
      const { role } = await createRole("postgres");
      const url = server.url(unusedName(), { user: role, password: "role-password" });
      const env = { DATABASE_URL: url, HEADGATE_MIGRATIONS: makeMigrations() };
      const { exitCode, stdout, lines } = await runHeadgate(
        artifact,
        ["--create-database", ...serving],
        {
          env,
        },
      );
      assert.deepEqual([exitCode, stdout], [77, ""]);
      assert.match(String(lines.at(-1)?.["fix"]), /createdb/);
    },
  );

  testOn(
    artifact,
    "M11 a role that may not create the history table, or its schema, is refused with 77 and the remedy",
    async () => {
      const database = await createDatabase(server);
      await server.psql(database, "REVOKE CREATE ON SCHEMA public FROM public");
      const { url } = await createRole(database);
      const env = { DATABASE_URL: url, HEADGATE_MIGRATIONS: makeMigrations() };
      for (const args of [[], ["--history-table", "missing.migrations"]]) {
        const { exitCode, stdout, lines } = await runHeadgate(artifact, [...args, ...serving], {
          env,
        });
        assert.deepEqual([exitCode, stdout], [77, ""]);
        const failure = lines.at(-1);
        assert.equal(failure?.["code"], "refused");
        assert.match(
          failure?.msg ?? "",
          /history table .* could not be prepared: permission denied/,
        );
        assert.equal(failure?.["sqlstate"], "42501");
        assert.match(String(failure?.["fix"]), /grant create on schema .*HEADGATE_DATABASE_URL/);
      }
    },
  );

  testOn(
    artifact,
    "M11 a role that may not read or write the history is refused with 77 before a file runs, and boots once nothing is pending",
    async () => {
      const database = await createDatabase(server);
      const { role, url } = await createRole(database);
      const owner = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: makeMigrations() };
      assert.equal((await runHeadgate(artifact, ["migrate"], { env: owner })).exitCode, 0);
      const more = makeMigrations({
        ...happy,
        "4_more.sql": "-- headgate: no-transaction\nCREATE SCHEMA more;",
      });
      await server.psql(database, `GRANT CREATE ON DATABASE ${database} TO ${role}`);

      const unread = await runHeadgate(artifact, serving, { env: { ...owner, DATABASE_URL: url } });
      assert.equal(unread.exitCode, 77, unread.stderr);
      assert.match(String(unread.lines.at(-1)?.["fix"]), /grant select on "migrations"/);

      await server.psql(database, `GRANT SELECT ON migrations TO ${role}`);
      const pending = { DATABASE_URL: url, HEADGATE_MIGRATIONS: more };
      const unwritten = await runHeadgate(artifact, serving, { env: pending });
      assert.equal(unwritten.exitCode, 77, unwritten.stderr);
      assert.match(
        String(unwritten.lines.at(-1)?.["fix"]),
        /grant insert on "public"."migrations"/,
      );
      const [made] = await server.psql(database, "SELECT to_regnamespace('more') AS name");
      assert.deepEqual(made, { name: null });

      const upToDate = await runHeadgate(artifact, serving, {
        env: { ...owner, DATABASE_URL: url },
      });
      assert.deepEqual([upToDate.exitCode, upToDate.stdout], [0, "serving\n"]);
    },
  );

  testOn(
    artifact,
    "M11 a role that may not read the table of steps is told which right it lacks",
    async () => {
      const database = await createDatabase(server);
      const { role, url } = await createRole(database);
      const step = (name: string): string => `-- headgate: no-transaction\nCREATE SCHEMA ${name};`;
      const folder = makeMigrations({ "1_one.sql": step("one") });
      const owner = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
      assert.equal((await runHeadgate(artifact, ["migrate"], { env: owner })).exitCode, 0);
      await server.psql(database, `GRANT SELECT ON migrations TO ${role}`);
      addMigrations(folder, { "2_two.sql": step("two") });
      const env = { ...owner, DATABASE_URL: url };
      for (const command of ["status", "plan"]) {
        await server.psql(database, `REVOKE SELECT ON migrations_steps FROM ${role}`);
        const unread = await runHeadgate(artifact, [command], { env });
        assert.equal(unread.exitCode, 77, unread.stderr);
        assert.match(String(unread.lines.at(-1)?.["fix"]), /^grant select on .*"migrations_steps"/);
        await server.psql(database, `GRANT SELECT ON migrations_steps TO ${role}`);
        const read = await runHeadgate(artifact, [command], { env });
        assert.equal(read.exitCode, 0, read.stderr);
      }
    },
  );

  testOn(
    artifact,
    "M1 a history table that is another tool's is left alone and refused with 65",
    async () => {
      const database = await createDatabase(server);
      // Laravel's.
      await server.psql(database, "CREATE TABLE migrations (id serial, migration text, batch int)");
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: makeMigrations() };
      for (const args of [serving, ["migrate"], ["verify"], ["status"]]) {
        const { exitCode, lines } = await runHeadgate(artifact, args, { env });
        assert.equal(exitCode, 65);
        assert.match(
          lines.at(-1)?.msg ?? "",
          /table migrations exists, but it is not a migration history/,
        );
        assert.match(String(lines.at(-1)?.["fix"]), /--history-table/);
      }
      const other = await runHeadgate(artifact, ["--history-table", "headgate", ...serving], {
        env,
      });
      assert.equal(other.exitCode, 0, other.stderr);
    },
  );

  testOn(
    artifact,
    "M11 a search path without a schema is refused with 77, and a missing folder with 64",
    async () => {
      const database = await createDatabase(server);
      const url = server.url(database, { params: { options: "-csearch_path=nowhere" } });
      const env = { DATABASE_URL: url, HEADGATE_MIGRATIONS: makeMigrations() };
      const lost = await runHeadgate(artifact, serving, { env });
      assert.equal(lost.exitCode, 77, lost.stderr);
      assert.match(String(lost.lines.at(-1)?.["fix"]), /--history-table schema\.table/);

      const missing = await runHeadgate(artifact, serving, {
        env: { ...env, HEADGATE_MIGRATIONS: "/nowhere/migrations" },
      });
      assert.equal(missing.exitCode, 64);
      assert.match(missing.lines.at(-1)?.msg ?? "", /\/nowhere\/migrations \(ENOENT\)/);
      assert.match(String(missing.lines.at(-1)?.["fix"]), /HEADGATE_MIGRATIONS/);
    },
  );

  testOn(artifact, "M6 an empty folder migrates nothing, makes no table, and says so", async () => {
    const database = await createDatabase(server);
    const folder = makeMigrations({ ".gitkeep": "" });
    const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
    const { exitCode, stdout, lines } = await runHeadgate(artifact, serving, { env });
    assert.deepEqual([exitCode, stdout], [0, "serving\n"]);
    assert.ok(lines.some(({ msg, level }) => level === "warn" && msg?.includes("no migrations")));
    const [table] = await server.psql(database, "SELECT to_regclass('migrations') AS name");
    assert.deepEqual(table, { name: null });
  });
}
