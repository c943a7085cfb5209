import assert from "node:assert/strict";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { addMigrations, happy, type MigrationFiles } from "../../helpers/migrations.ts";
import { makePlace } from "../../helpers/undo.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });

const files: MigrationFiles = {
  ...happy,
  "undo/3_index-account-names.sql": "DROP INDEX accounts_name_idx",
};

/** What a headgate of before knew of its journal. */
const withoutKey = "ALTER TABLE migrations_journal DROP COLUMN id";
const publishAll = "CREATE PUBLICATION everything FOR ALL TABLES";

/** Tables of which a publication cannot say which row was changed. */
const keyless = (database: string): Promise<object[]> =>
  server.psql(
    database,
    `SELECT relname FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)`,
  );

for (const artifact of artifacts) {
  testOn(
    artifact,
    "O5 every table that headgate makes has a key, so that a publication of all tables takes nothing from it",
    async () => {
      const { ok, run, database, folder } = await makePlace(server, artifact, files);
      await ok("migrate");
      addMigrations(folder, {
        "4_steps.sql": "-- headgate: no-transaction\nSELECT 1;\nSELECT 1/0",
      });
      assert.equal((await run("migrate")).exitCode, 1);
      const migrator = ["migrate", "--migrator", "true"];
      const only = { env: { DATABASE_URL: server.url(database) } };
      assert.equal((await runHeadgate(artifact, migrator, only)).exitCode, 0);
      const tables = await server.psql(
        database,
        "SELECT relname FROM pg_class WHERE relname ~ '^(migrations(_steps|_journal)?|headgate_runs)$'",
      );
      assert.equal(tables.length, 4);
      assert.deepEqual(await keyless(database), []);

      await server.psql(database, publishAll);
      addMigrations(folder, { "4_steps.sql": "CREATE TABLE four (id int PRIMARY KEY)" });
      const { lines } = await ok("migrate");
      assert.ok(lines.every(({ level }) => level === "info"));
      assert.match((await ok("status", "--drift")).stdout, /\nno drift since/);
    },
  );

  testOn(
    artifact,
    "O5 a journal of an older headgate gets its key when it is next written, and loses no line",
    async () => {
      const { ok, database, folder } = await makePlace(server, artifact, files);
      await ok("migrate");
      const events = (): Promise<object[]> =>
        server.psql(
          database,
          "SELECT migration, event, at FROM migrations_journal WHERE event <> 'schema' ORDER BY at",
        );
      const before = await events();
      await server.psql(database, `${withoutKey}; ${publishAll}`);
      await assert.rejects(
        server.psql(database, "DELETE FROM migrations_journal"),
        /does not have a replica identity/,
      );
      // Nothing to do, nothing to change.
      await ok("migrate");
      assert.equal((await keyless(database)).length, 1);

      addMigrations(folder, { "4_more.sql": "CREATE TABLE more (id int PRIMARY KEY)" });
      const { lines } = await ok("migrate");
      assert.ok(lines.every(({ level }) => level === "info"));
      assert.deepEqual(await keyless(database), []);
      assert.deepEqual((await events()).slice(0, 3), before);
      assert.match((await ok("status", "--drift")).stdout, /\nno drift since/);
      const [noted] = await server.psql(
        database,
        "SELECT objects::text ~ 'migrations_journal' AS own FROM migrations_journal WHERE event = 'schema'",
      );
      assert.equal(noted?.["own"], false);
      // As the older one beside this one goes on writing.
      await server.psql(
        database,
        "INSERT INTO migrations_journal (migration, name, event, host, headgate, ms) VALUES (5, 'x', 'applied', 'h', '0', 1)",
      );

      await server.psql(database, withoutKey);
      addMigrations(folder, { "undo/4_more.sql": "DROP TABLE more" });
      await ok("rollback");
      assert.deepEqual(await keyless(database), []);
    },
  );

  testOn(
    artifact,
    "O5 a journal that is being dumped, or is another role's, gets no key now, and everything is applied",
    async () => {
      const { ok, database, folder, env } = await makePlace(server, artifact, files);
      await ok("migrate");
      await server.psql(database, withoutKey);
      const dump = await server.connect(database);
      await dump.query("BEGIN; LOCK TABLE migrations_journal IN ACCESS SHARE MODE");
      addMigrations(folder, { "4_more.sql": "CREATE TABLE more (id int PRIMARY KEY)" });
      const { lines } = await ok("migrate");
      await dump.end();
      assert.deepEqual(
        lines.filter(({ level }) => level !== "info").map(({ msg }) => msg),
        ["could not give the journal its key"],
      );

      const [user, password] = [`lesser_${database}`, "of-the-lesser-role"];
      await server.psql(
        database,
        `CREATE ROLE ${user} LOGIN PASSWORD '${password}'; GRANT CREATE ON SCHEMA public TO ${user};
        GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA public TO ${user}`,
      );
      addMigrations(folder, { "5_again.sql": "CREATE TABLE again (id int PRIMARY KEY)" });
      env.DATABASE_URL = server.url(database, { user, password });
      assert.ok((await ok("migrate")).lines.every(({ level }) => level === "info"));
      assert.equal((await keyless(database)).length, 1);
    },
  );
}
