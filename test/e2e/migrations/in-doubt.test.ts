import assert from "node:assert/strict";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { addMigrations, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const base = `
  CREATE TABLE notes (id int PRIMARY KEY, kind int);
  INSERT INTO notes SELECT n, n FROM generate_series(1, 10) n;
  CREATE INDEX notes_old ON notes (kind);
  CREATE TABLE events (at int) PARTITION BY RANGE (at);
  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);`;

type Kind = {
  readonly statement: string;
  /** Whether it took effect. */
  readonly isDone: string;
  /** Takes it back; absent for what leaves nothing to see, and is simply run again. */
  readonly undo?: string;
  readonly since?: number;
};

const hasIndex = (name: string): string =>
  `EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('${name}') AND indisvalid)`;

const kinds: readonly Kind[] = [
  {
    statement: "CREATE INDEX CONCURRENTLY notes_kind ON notes (kind)",
    ...{ isDone: hasIndex("notes_kind"), undo: "DROP INDEX notes_kind" },
  },
  {
    statement: "CREATE INDEX CONCURRENTLY ON notes (id, kind)",
    ...{ isDone: hasIndex("notes_id_kind_idx"), undo: "DROP INDEX notes_id_kind_idx" },
  },
  {
    statement: "DROP INDEX CONCURRENTLY notes_old",
    isDone: "to_regclass('notes_old') IS NULL",
    undo: "CREATE INDEX notes_old ON notes (kind)",
  },
  {
    statement: "ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY",
    isDone: "NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'events_1'::regclass)",
    undo: "ALTER TABLE events ATTACH PARTITION events_1 FOR VALUES FROM (1) TO (2)",
    since: 14,
  },
  {
    statement: "CREATE DATABASE made_by_headgate",
    isDone: "EXISTS (SELECT FROM pg_database WHERE datname = 'made_by_headgate')",
    undo: "DROP DATABASE made_by_headgate",
  },
  { statement: "REINDEX INDEX CONCURRENTLY notes_old", isDone: hasIndex("notes_old") },
  { statement: "VACUUM notes", isDone: "true" },
  { statement: "ALTER SYSTEM SET work_mem = '5MB'", isDone: "true" },
];

for (const artifact of artifacts) {
  for (const { statement, isDone, undo, since = 0 } of kinds) {
    testOn(artifact, `M3 a step in doubt is settled from the catalog: ${statement}`, async (t) => {
      if (server.major < since) return t.skip(`new in PostgreSQL ${since}`);
      for (const wasDone of undo === undefined ? [true] : [true, false]) {
        const database = await createDatabase(server);
        const file = (tail: string): string =>
          `-- headgate: no-transaction\n${statement};\nSELECT ${tail};`;
        const folder = makeMigrations({ "1_base.sql": base, "2_step.sql": file("wrong") });
        const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
        const failed = await runHeadgate(artifact, ["migrate"], { env });
        assert.equal(failed.exitCode, 1, failed.stderr);

        // As a crash leaves it: between the statement and its note, or before the statement took effect.
        const forget =
          "UPDATE migrations_steps SET state = 'started', ended_at = NULL WHERE step = 1; DELETE FROM migrations_steps WHERE step = 2";
        await server.psql(database, forget);
        if (!wasDone && undo !== undefined) await server.psql(database, undo);
        addMigrations(folder, { "2_step.sql": file("1") });
        const { exitCode, lines, stderr } = await runHeadgate(artifact, ["migrate"], { env });
        assert.equal(exitCode, 0, stderr);
        const event =
          wasDone && undo !== undefined
            ? "found that an unfinished step is done"
            : "found an unfinished step; running it again";
        assert.ok(
          lines.some(({ msg }) => msg === event),
          stderr,
        );
        const [row] = await server.psql(database, `SELECT ${isDone} AS done`);
        assert.equal(row?.["done"], true);
        if (statement.startsWith("CREATE DATABASE")) await server.psql(database, String(undo));
      }
    });
  }

  testOn(
    artifact,
    "M3 a detach that was given up half-way is finished by the next run",
    async (t) => {
      if (server.major < 14) return t.skip("new in PostgreSQL 14");
      const database = await createDatabase(server);
      await server.psql(database, base);
      const statement = "ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY";
      const reader = await server.connect(database);
      await reader.query("BEGIN; SELECT FROM events");
      // Its first half is committed; the second waits for the reader until its time is over.
      const other = await server.connect(database);
      await other.query("SET statement_timeout = '500ms'");
      await assert.rejects(other.query(statement), /statement timeout/);
      await other.end();
      await reader.end();
      const pending = "SELECT FROM pg_inherits WHERE inhdetachpending";
      assert.equal((await server.psql(database, pending)).length, 1);

      const folder = makeMigrations({ "1_step.sql": `-- headgate: no-transaction\n${statement};` });
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
      // What another program began is told by the server; then it is known to be ours.
      const failed = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(failed.exitCode, 1, failed.stderr);
      assert.match(failed.stderr, /FINALIZE/);
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0, stderr);
      assert.equal((await server.psql(database, pending)).length, 0);
    },
  );
}
