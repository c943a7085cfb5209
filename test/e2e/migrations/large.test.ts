import assert from "node:assert/strict";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, before } from "node:test";
import { removeFolder } from "../../helpers/cleanup.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import {
  type Artifact,
  type HeadgateResult,
  type LaunchOptions,
  artifacts,
  proc,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { createDatabase, dropDatabase } from "../../helpers/postgres.ts";

const server = await useServer({
  onDisk: true,
  settings: { max_wal_size: "4GB", timezone: "UTC" },
});
before(async () => {
  await server.psql(
    "postgres",
    "CREATE ROLE proprietor; CREATE ROLE visitor; CREATE ROLE guest LOGIN SUPERUSER PASSWORD 'guest'",
  );
});

/**
 * The most memory headgate may have had where there is little to keep. Measured, as all of these on PostgreSQL 13 to
 * 18: up to 75 under Node, 80 of the executable.
 */
const idleMegabytes = 150;
/** … with 5,000 files; measured: up to 145 and 115. */
const megabytesFor5000 = 300;
/** … with a file of 100 MB: 16 times that; measured: up to 665 and 1,160. */
const megabytesFor100 = 1600;

/** Runs `headgate migrate` to its end and measures the most memory that it had at any moment. */
async function migrate(
  artifact: Artifact,
  database: string,
  folder: string,
  { args = [], ...options }: LaunchOptions & { args?: string[] } = {},
): Promise<HeadgateResult & { megabytes: number }> {
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder, ...options.env };
  const running = await startHeadgate(artifact, ["migrate", ...args], { ...options, env });
  let megabytes = 0;
  const poll = setInterval(() => {
    try {
      megabytes = Number.parseInt(proc.status(running.pid)["VmHWM"] ?? "", 10) / 1024 || megabytes;
    } catch {
      // It has ended; the peak was seen a few milliseconds ago.
    }
  }, 5);
  try {
    const result = await running.result;
    assert.ok(megabytes > 0, "it ended before it could be measured");
    return { ...result, megabytes };
  } finally {
    clearInterval(poll);
  }
}

type Measured = { durationMs: number; megabytes: number };
const note = (t: TestContext, { durationMs, megabytes }: Measured): void =>
  t.diagnostic(`${Math.round(durationMs)} ms, ${Math.round(megabytes)} MB`);

type Row = { id: number; name: string; hash: string };
const history = (database: string): Promise<Row[]> =>
  server.psql<Row>(database, "SELECT id, name, hash FROM migrations ORDER BY id");

/** One letter beyond Latin-1 makes both runtimes keep the whole file at two bytes a character: the dear case. */
const kilobyte = `€; -- ${"x".repeat(970)}`;

/** Writes so many statements that insert a kilobyte each. */
function writeInserts(path: string, rows: number): void {
  const file = openSync(path, "w");
  try {
    for (let row = 1; row <= rows; row++) {
      writeSync(file, `INSERT INTO large VALUES (${row}, '${kilobyte}');\n`);
    }
  } finally {
    closeSync(file);
  }
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M2 5,000 files are applied in their order, each is recorded, and a second run finds nothing pending",
    async (t) => {
      const count = 5000;
      const database = await createDatabase(server);
      const files: MigrationFiles = {
        "1_ran.sql": "CREATE TABLE ran (moment serial, id int); INSERT INTO ran (id) VALUES (1);",
      };
      for (let id = 2; id <= count; id++)
        files[`${id}_file-${id}.sql`] = `INSERT INTO ran (id) VALUES (${id});\n`;
      const folder = makeMigrations(files);
      const first = await migrate(artifact, database, folder, { timeoutMs: 120_000 });
      assert.equal(first.exitCode, 0, first.stderr.slice(-2000));
      note(t, first);
      const ran = "SELECT count(*)::int, bool_and(moment = id) AS in_order FROM ran";
      assert.deepEqual(await server.psql(database, ran), [{ count, in_order: true }]);
      const ids = (await history(database)).map(({ id }) => id);
      assert.deepEqual(
        ids,
        Array.from({ length: count + 1 }, (_, id) => id),
      );

      const second = await migrate(artifact, database, folder);
      assert.equal(second.exitCode, 0, second.stderr);
      note(t, second);
      const end = second.lines.at(-1);
      assert.deepEqual([end?.msg, end?.["applied"]], ["found nothing pending", count]);
      assert.deepEqual(await server.psql(database, ran), [{ count, in_order: true }]);
      assert.ok(first.megabytes < megabytesFor5000, `${first.megabytes} MB`);
      assert.ok(second.megabytes < idleMegabytes, `${second.megabytes} MB`);
    },
  );

  testOn(
    artifact,
    "M2 a file of 100 MB is applied whole, in memory of a few times its size",
    async (t) => {
      const rows = 100_000;
      const database = await createDatabase(server);
      const folder = makeMigrations({ "1_large.sql": "CREATE TABLE large (id int, text text);" });
      try {
        writeInserts(join(folder, "2_fill.sql"), rows);
        const result = await migrate(artifact, database, folder, { timeoutMs: 180_000 });
        assert.equal(result.exitCode, 0, result.stderr.slice(-2000));
        note(t, result);
        const found = await server.psql(
          database,
          "SELECT count(DISTINCT id)::int AS ids, count(*) FILTER (WHERE text = $1)::int AS texts FROM large",
          [kilobyte],
        );
        assert.deepEqual(found, [{ ids: rows, texts: rows }]);
        assert.equal((await history(database)).at(-1)?.name, "fill");
        assert.ok(result.megabytes < megabytesFor100, `${result.megabytes} MB`);
      } finally {
        removeFolder(folder);
        await dropDatabase(server, database);
      }
    },
  );

  testOn(
    artifact,
    "M1 empty files, files of comments, and names with blanks and letters beyond ASCII are applied and recorded as postgres-migrations does it",
    async () => {
      const files: MigrationFiles = {
        "1_empty.sql": "",
        "2_only a comment.sql": "-- nothing yet",
        "3_größe ändern.sql": "CREATE TABLE größen (größe int);\n",
        "4_вырастить-дерево 🌳.sql": "INSERT INTO größen VALUES (4);",
        "5_blanks.sql": " \n\t\r\n",
        "6_comments.sql": "/* nothing /* at */ all */;; -- nothing;\n",
        "7_it's 100% \"quoted\" $$ \\ 'name'.sql": "INSERT INTO größen VALUES (7);",
        "8_no-transaction.sql": "-- headgate: no-transaction\n",
        "9_größe messen.sql":
          "-- headgate: no-transaction\nINSERT INTO größen VALUES (9);\n-- the end",
      };
      const folder = makeMigrations(files);
      const database = await createDatabase(server);
      const { exitCode, stderr, lines } = await migrate(artifact, database, folder);
      assert.equal(exitCode, 0, stderr);
      const named = lines.filter(({ msg }) => msg === "applied").map((line) => line["migration"]);
      assert.deepEqual(named, Object.keys(files));
      const sizes = "SELECT größe FROM größen ORDER BY 1";
      assert.deepEqual(await server.psql(database, sizes), [
        { größe: 4 },
        { größe: 7 },
        { größe: 9 },
      ]);

      const theirs = await createDatabase(server);
      await startPackage(server, theirs, folder).applied;
      assert.deepEqual(await history(database), await history(theirs));
      for (const each of [database, theirs]) {
        const again = await migrate(artifact, each, folder);
        assert.equal(again.lines.at(-1)?.msg, "found nothing pending", again.stderr);
      }
    },
  );

  for (const directive of ["", "-- headgate: no-transaction\n"]) {
    const kind = directive === "" ? "a file" : "a file without a transaction";
    testOn(
      artifact,
      `M9 after ${kind} has set them otherwise, the settings that role and database came with are in force again`,
      async () => {
        const database = await createDatabase(server);
        await server.psql(
          database,
          `CREATE SCHEMA app AUTHORIZATION proprietor;
        ALTER DATABASE ${database} SET timezone = 'Asia/Kathmandu';
        ALTER ROLE guest IN DATABASE ${database} SET search_path = app, public;
        ALTER ROLE guest IN DATABASE ${database} SET role = proprietor`,
        );
        const noteAll = `INSERT INTO app.notes SELECT current_user, session_user, current_setting('search_path'),
        current_setting('timezone'), current_setting('session_replication_role'),
        current_setting('default_transaction_read_only');`;
        const folder = makeMigrations({
          "1_notes.sql": `CREATE TABLE notes ("user" text, login text, path text, zone text, replication text, read_only text);
          GRANT ALL ON notes TO visitor; GRANT USAGE ON SCHEMA app TO visitor; ${noteAll}`,
          // Only a superuser may set the first one, and nobody may write once the last one is set.
          "2_set.sql": `${directive}SET ROLE NONE; SET session_replication_role = replica; SET search_path = pg_catalog;
          SET TIME ZONE 'Asia/Tokyo'; SET ROLE visitor; ${noteAll} SET default_transaction_read_only = on;`,
          "3_after.sql": `${noteAll} CREATE TABLE made_after (id int);`,
        });
        const env = { DATABASE_URL: server.url(database, { user: "guest", password: "guest" }) };
        const { exitCode, stderr } = await migrate(artifact, database, folder, { env });
        assert.equal(exitCode, 0, stderr);
        const own = { user: "proprietor", login: "guest", path: "app, public" };
        const before = { ...own, zone: "Asia/Kathmandu", replication: "origin", read_only: "off" };
        const between = {
          ...{ user: "visitor", login: "guest", path: "pg_catalog" },
          ...{ zone: "Asia/Tokyo", replication: "replica", read_only: "off" },
        };
        const notes = await server.psql(database, "SELECT * FROM app.notes");
        assert.deepEqual(notes, [before, between, before]);

        const tables = await server.psql(
          database,
          `SELECT tablename, tableowner FROM pg_tables
        WHERE schemaname = 'app' AND tablename IN ('migrations', 'made_after') ORDER BY 1`,
        );
        assert.deepEqual(tables, [
          { tablename: "made_after", tableowner: "proprietor" },
          { tablename: "migrations", tableowner: "proprietor" },
        ]);
        // The column has no time zone: each row holds the local time of the session, as postgres-migrations leaves it.
        const rows = await server.psql(
          database,
          `SELECT id, name, abs(extract(epoch FROM now() AT TIME ZONE 'Asia/Kathmandu' - executed_at)) < 60 AS is_local
        FROM app.migrations ORDER BY 1`,
        );
        assert.deepEqual(
          rows,
          ["create-migrations-table", "notes", "set", "after"].map((name, id) => {
            return { id, name, is_local: true };
          }),
        );
      },
    );
  }

  for (const severity of ["NOTICE", "WARNING"]) {
    testOn(
      artifact,
      `M8 a migration that raises 100,000 ${severity}s costs a few log lines and little memory`,
      async (t) => {
        const database = await createDatabase(server);
        const folder = makeMigrations({
          "1_loud.sql": `DO $$ BEGIN FOR i IN 1..100000 LOOP RAISE ${severity} 'row % of many', i; END LOOP; END $$;`,
          "2_short.sql": `DO $$ BEGIN RAISE ${severity} 'only this'; END $$;`,
        });
        const result = await migrate(artifact, database, folder, {
          args: ["--log-level", "debug"],
        });
        const { exitCode, stderr, lines, megabytes } = result;
        assert.equal(exitCode, 0, stderr.slice(-2000));
        note(t, result);
        t.diagnostic(`${lines.length} lines`);
        const messages = lines.flatMap((line) => line["message"] ?? []);
        assert.ok(lines.length < 60, `${lines.length} lines`);
        assert.deepEqual(messages, [
          ...Array.from({ length: 20 }, (_, row) => `row ${row + 1} of many`),
          "only this",
        ]);
        const leftOut = lines.flatMap((line) => line["leftOut"] ?? []);
        assert.deepEqual(leftOut, [{ [severity]: 99_980 }]);
        assert.ok(megabytes < idleMegabytes, `${megabytes} MB`);
      },
    );
  }
}
