import assert from "node:assert/strict";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

// Room for a few hundred locks.
const server = await useServer({
  settings: { max_locks_per_transaction: "10", max_connections: "10" },
});

async function migrate(artifact: (typeof artifacts)[number], sql: string, args: string[] = []) {
  const database = await createDatabase(server);
  const env = {
    DATABASE_URL: server.url(database),
    HEADGATE_MIGRATIONS: makeMigrations({ "1_file.sql": sql }),
  };
  const result = await runHeadgate(artifact, ["migrate", ...args], { env });
  return { ...result, database, fix: String(result.lines.at(-1)?.["fix"]) };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M17 a file for which the server has no more locks is tried again, then 75 with max_locks_per_transaction named",
    async () => {
      const tables = Array.from({ length: 3000 }, (_, index) => `CREATE TABLE t${index} ();`);
      const { exitCode, stderr, fix, database } = await migrate(artifact, tables.join("\n"), [
        "--ddl-lock-budget",
        "100ms",
      ]);
      assert.equal(exitCode, 75, stderr);
      assert.match(stderr, /out of shared memory \(53200 out_of_memory\), at each try/);
      assert.match(fix, /^raise max_locks_per_transaction on the server, or split the file/);
      const left = await server.psql(database, "SELECT FROM pg_class WHERE relname ~ '^t\\d+$'");
      assert.equal(left.length, 0);
    },
  );

  testOn(
    artifact,
    "M17 what passes is worth another try: a file that the server had no room for once is applied",
    async () => {
      const sql = `DO $$ BEGIN
        IF nextval('tries') < 3 THEN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END IF;
      END $$;`;
      const database = await createDatabase(server);
      await server.psql(database, "CREATE SEQUENCE tries");
      const env = {
        DATABASE_URL: server.url(database),
        HEADGATE_MIGRATIONS: makeMigrations({ "1_file.sql": sql }),
      };
      const { exitCode, stderr, lines } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0, stderr);
      const again = lines.find(({ msg }) => msg === "trying again");
      assert.equal(again?.["error"], "disk full (53100 disk_full)");
      const rows = await server.psql(database, "SELECT last_value::int AS tries FROM tries");
      assert.deepEqual(rows, [{ tries: 3 }]);
    },
  );

  testOn(
    artifact,
    "M8 a statement that somebody cancelled is not told to raise --statement-timeout; one that ran out of time is",
    async () => {
      const cancelled = await migrate(artifact, "SELECT pg_cancel_backend(pg_backend_pid());");
      assert.equal(cancelled.exitCode, 1, cancelled.stderr);
      assert.match(cancelled.fix, /^somebody has cancelled the statement/);
      assert.doesNotMatch(cancelled.fix, /--statement-timeout/);
      const slow = await migrate(artifact, "SELECT pg_sleep(30);", ["--statement-timeout", "50ms"]);
      assert.equal(slow.exitCode, 1, slow.stderr);
      assert.match(slow.fix, /^raise --statement-timeout/);
    },
  );

  testOn(
    artifact,
    "A file may begin with SET TRANSACTION ISOLATION LEVEL; after a query it is told to put it first",
    async () => {
      const set = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;";
      const made = "CREATE TABLE level AS SELECT current_setting('transaction_isolation') AS name;";
      const { exitCode, stderr, database } = await migrate(artifact, `-- why\n${set}\n${made}`);
      assert.equal(exitCode, 0, stderr);
      const levels = await server.psql(database, "SELECT name FROM level");
      assert.deepEqual(levels, [{ name: "repeatable read" }]);
      const late = await migrate(artifact, `${made}\n${set}`);
      assert.equal(late.exitCode, 1, late.stderr);
      assert.match(late.fix, /^put SET TRANSACTION at the top of the file/);
    },
  );
}
