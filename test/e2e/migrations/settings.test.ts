import assert from "node:assert/strict";
import { before, test } from "node:test";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ settings: { timezone: "UTC" } });
before(async () => {
  await server.psql("postgres", "CREATE ROLE limited; CREATE ROLE visitor IN ROLE limited");
});

/** What a file may set for the session, each alone and then all together. */
const settings = {
  "the empty search_path of pg_dump": "SELECT pg_catalog.set_config('search_path', '', false);",
  "a time zone": "SET TIME ZONE 'Asia/Tokyo';",
  session_replication_role: "SET session_replication_role = replica;",
  statement_timeout: "SET statement_timeout = '10s';",
  lock_timeout: "SET lock_timeout = '10s';",
  "read-only transactions": "SET default_transaction_read_only = on;",
  "read-only serializable transactions":
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE;",
  "row security": "SET row_security = off;",
  "the way strings are read": "SET standard_conforming_strings = off; SET backslash_quote = off;",
  "the client's encoding": "SET client_encoding = 'LATIN1';",
  "the style of dates": "SET datestyle = 'German'; SET intervalstyle = 'iso_8601';",
  "a setting of its own": "SET app.tenant = 'seven';",
  "a session authorization": "SET SESSION AUTHORIZATION visitor;",
  "a role": "SET ROLE limited;",
};

/** Notes every setting of the session, in a table that anybody may write. */
const note = (when: string): string =>
  `INSERT INTO public.notes SELECT '${when}', name, setting FROM pg_catalog.pg_settings
  UNION ALL SELECT '${when}', 'users', session_user || ' ' || current_user
  UNION ALL SELECT '${when}', 'tenant', coalesce(current_setting('app.tenant', true), '');`;

function filesThatSet(sql: string, isTransactional: boolean): MigrationFiles {
  const directive = isTransactional ? "" : "-- headgate: no-transaction\n";
  return {
    "1_notes.sql": `CREATE TABLE notes (moment text, name text, setting text); ${note("before")}`,
    "2_set.sql": directive + sql,
    "3_after.sql": note("after"),
    "4_unqualified.sql": "CREATE TABLE four (id int);",
  };
}

async function assertUnchanged(database: string, what: string): Promise<void> {
  const changed = await server.psql(
    database,
    `SELECT name, b.setting AS before, a.setting AS after
    FROM (SELECT * FROM public.notes WHERE moment = 'before') b
    FULL JOIN (SELECT * FROM public.notes WHERE moment = 'after') a USING (name)
    WHERE b.setting IS DISTINCT FROM a.setting AND name <> 'application_name'`,
  );
  assert.deepEqual(changed, [], what);
  const history = await server.psql(
    database,
    "SELECT id, abs(extract(epoch FROM now()::timestamp - executed_at)) < 60 AS recent FROM public.migrations ORDER BY 1",
  );
  assert.deepEqual(
    history,
    [0, 1, 2, 3, 4].map((id) => ({ id, recent: true })),
    what,
  );
  const four = await server.psql(database, "SELECT to_regclass('public.four') IS NOT NULL AS made");
  assert.deepEqual(four, [{ made: true }], what);
}

for (const artifact of artifacts) {
  for (const isTransactional of [true, false]) {
    const kind = isTransactional ? "a file" : "a file without a transaction";
    testOn(
      artifact,
      `M9 neither the history nor the next file notices what ${kind} sets for the session`,
      async () => {
        const all = { ...settings, "all of it": Object.values(settings).join("\n") };
        for (const [what, sql] of Object.entries(all)) {
          const database = await createDatabase(server);
          const folder = makeMigrations(filesThatSet(sql, isTransactional));
          const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
          const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
          assert.equal(exitCode, 0, `${what}: ${stderr}`);
          await assertUnchanged(database, what);
        }
      },
    );
  }

  testOn(
    artifact,
    "M9 limits that a role or a database came with do not stop a migration",
    async () => {
      const database = await createDatabase(server);
      await server.psql(
        database,
        `ALTER DATABASE ${database} SET statement_timeout = '300ms';
      ALTER DATABASE ${database} SET lock_timeout = '100ms';
      ALTER DATABASE ${database} SET idle_in_transaction_session_timeout = '100ms'`,
      );
      const folder = makeMigrations({
        "1_slow.sql": "CREATE TABLE slow (limits text); SELECT pg_sleep(0.6);",
        "2_slow-again.sql":
          "-- headgate: no-transaction\nINSERT INTO slow SELECT current_setting('statement_timeout'); SELECT pg_sleep(0.6);",
        "3_slower.sql":
          "SELECT pg_sleep(0.6); INSERT INTO slow SELECT current_setting('statement_timeout');",
      });
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0, stderr);
      const rows = await server.psql(database, "SELECT limits FROM slow");
      assert.deepEqual(rows, [{ limits: "0" }, { limits: "0" }]);
    },
  );

  testOn(
    artifact,
    "M9 --statement-timeout limits each statement, not the file, and ends with the migration",
    async () => {
      const database = await createDatabase(server);
      const files = {
        "1_three.sql":
          "CREATE TABLE limits (text text);\nSELECT pg_sleep(0.4);\nSELECT pg_sleep(0.4);\nSELECT pg_sleep(0.4);\nINSERT INTO limits SELECT current_setting('statement_timeout');",
        "2_three-again.sql":
          "-- headgate: no-transaction\nSELECT pg_sleep(0.4); SELECT pg_sleep(0.4); SELECT pg_sleep(0.4);\nINSERT INTO limits SELECT current_setting('statement_timeout');",
        "3_endless.sql": "INSERT INTO limits VALUES ('rolled back');\nSELECT pg_sleep(60);",
      };
      const env = {
        DATABASE_URL: server.url(database),
        HEADGATE_MIGRATIONS: makeMigrations(files),
      };
      const command = ["migrate", "--statement-timeout", "1s"];
      const { exitCode, lines } = await runHeadgate(artifact, command, { env });
      assert.equal(exitCode, 1);
      const failure = lines.at(-1);
      assert.match(failure?.msg ?? "", /3_endless\.sql:2:1: .* \(57014 query_canceled\)$/);
      assert.match(String(failure?.["fix"]), /--statement-timeout/);
      const limits = await server.psql(database, "SELECT text FROM limits");
      assert.deepEqual(limits, [{ text: "1s" }, { text: "1s" }]);

      // Nothing of it stays in the role, the database, or a later run.
      const stored = await server.psql(
        database,
        "SELECT setconfig FROM pg_db_role_setting WHERE setconfig::text LIKE '%statement%' AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
      );
      assert.deepEqual(stored, []);
      const shorter = { ...files, "3_endless.sql": "SELECT pg_sleep(1);" };
      const again = { ...env, HEADGATE_MIGRATIONS: makeMigrations(shorter) };
      assert.equal((await runHeadgate(artifact, ["migrate"], { env: again })).exitCode, 0);
    },
  );
}

test("M9 what these tests set does break postgres-migrations", async () => {
  const folder = makeMigrations(filesThatSet(settings["the empty search_path of pg_dump"], true));
  await assert.rejects(startPackage(server, await createDatabase(server), folder).applied);
});

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M9 what a file leaves in its session is gone for the next file: temporary tables, prepared statements, cursors, LISTEN",
    async () => {
      for (const directive of ["", "-- headgate: no-transaction\n"]) {
        const database = await createDatabase(server);
        const folder = makeMigrations({
          "1_leave.sql": `${directive}CREATE TEMP TABLE left_over (id int); PREPARE left_over AS SELECT 1; LISTEN left_over;`,
          "2_look.sql": `CREATE TABLE seen AS SELECT to_regclass('pg_temp.left_over') IS NULL AS no_table,
          NOT EXISTS (SELECT FROM pg_prepared_statements) AS no_statement,
          NOT EXISTS (SELECT FROM pg_listening_channels()) AS no_channel;`,
        });
        const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
        const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
        assert.equal(exitCode, 0, stderr);
        const [seen] = await server.psql(database, "SELECT * FROM seen");
        assert.deepEqual(seen, { no_table: true, no_statement: true, no_channel: true }, directive);
      }
    },
  );
}
