import assert from "node:assert/strict";
import {
  type Artifact,
  artifacts,
  type HeadgateResult,
  runHeadgate,
} from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

/** Three migrations with undo files, one of them without a transaction. */
const sound: MigrationFiles = {
  "1_users.sql": "CREATE TABLE users (id bigserial PRIMARY KEY, name text DEFAULT 'nobody');\n",
  "undo/1_users.sql": "DROP TABLE users;\n",
  "2_index.sql":
    "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY users_name ON users (name);\n",
  "undo/2_index.sql":
    "-- headgate: no-transaction\nDROP INDEX CONCURRENTLY users_name;\nSELECT 1;\n",
  "3_email.sql": "ALTER TABLE users ADD COLUMN email text NOT NULL DEFAULT '';\n",
  "undo/3_email.sql": "ALTER TABLE users DROP COLUMN email;\n",
};

/** Makes a round trip; findings are told without the folder. */
async function roundTrip(
  artifact: Artifact,
  files: MigrationFiles,
  args: string[] = [],
): Promise<HeadgateResult & { found: string[]; database: string }> {
  const database = await createDatabase(server);
  const folder = makeMigrations(files);
  const result = await runHeadgate(
    artifact,
    ["check", "--roundtrip", "--migrations", folder, ...args],
    { env: { HEADGATE_SCRATCH_URL: server.url(database) } },
  );
  const found = result.stdout
    .split("\n")
    .filter((line) => line.startsWith(folder))
    .map((line) => line.slice(folder.length + 1));
  return { ...result, found, database };
}

const left = (database: string): Promise<object[]> =>
  server.psql(
    database,
    "SELECT relname FROM pg_class WHERE oid >= 16384 UNION ALL SELECT nspname FROM pg_namespace WHERE oid >= 16384",
  );

for (const artifact of artifacts) {
  testOn(
    artifact,
    "K6 sound files go up, down and up again with equal schemas, and the scratch database is empty again",
    async () => {
      const { exitCode, stdout, database } = await roundTrip(artifact, sound);
      assert.deepEqual(
        [exitCode, stdout],
        [0, "checked 6 files, 3 up, 3 down and up again: nothing found\n"],
      );
      assert.deepEqual(await left(database), []);
    },
  );

  testOn(
    artifact,
    "K6 a warning of the server is told once each time a file says it, and nothing else is warned of",
    async () => {
      const files = Array.from({ length: 6 }, (_, index): [string, string][] => [
        [`${index + 1}_file-${index}.sql`, `DO $$ BEGIN RAISE WARNING 'says ${index}'; END $$;\n`],
        [`undo/${index + 1}_file-${index}.sql`, "SELECT 1;\n"],
      ]);
      const { exitCode, lines, stderr } = await roundTrip(
        artifact,
        Object.fromEntries(files.flat()),
      );
      assert.equal(exitCode, 0, stderr);
      const warnings = lines.filter(({ level }) => level === "warn");
      const expected = Array.from(
        { length: 6 },
        (_, index) => `${index + 1}_file-${index}.sql says ${index}`,
      );
      assert.deepEqual(
        warnings.map(({ migration, message }) => `${String(migration)} ${String(message)}`),
        [...expected, ...expected],
      );
      assert.doesNotMatch(stderr, /MaxListeners/);
    },
  );

  testOn(
    artifact,
    "K6 a scratch database can be created beside the one to migrate, and is dropped",
    async () => {
      const database = await createDatabase(server);
      const env = {
        DATABASE_URL: server.url(database),
        HEADGATE_MIGRATIONS: makeMigrations(sound),
      };
      const { exitCode, stdout } = await runHeadgate(
        artifact,
        ["check", "--roundtrip", "--scratch-create"],
        { env },
      );
      assert.deepEqual(
        [exitCode, stdout],
        [0, "checked 6 files, 3 up, 3 down and up again: nothing found\n"],
      );
      const scratch = "SELECT datname FROM pg_database WHERE datname LIKE 'headgate_scratch%'";
      assert.deepEqual(await server.psql("postgres", scratch), []);
      assert.deepEqual(await left(database), []);
    },
  );

  testOn(
    artifact,
    "K7 an undo that leaves an object behind is named with the object, and the files below it are not accused",
    async () => {
      const { exitCode, found, stdout } = await roundTrip(artifact, {
        ...sound,
        "2_index.sql": "CREATE VIEW names AS SELECT name FROM users; CREATE TABLE log (id int);\n",
        "undo/2_index.sql": "DROP VIEW names;\n",
      });
      assert.deepEqual(
        [exitCode, found],
        [
          65,
          ["undo/2_index.sql:1:1: error: undo-differs: leaves relation public.log behind (table)"],
        ],
      );
      assert.match(stdout, /why: after a rollback the schema is another than/);
    },
  );

  testOn(
    artifact,
    "K7 an undo that restores a column with another default is named with both definitions",
    async () => {
      const { exitCode, found } = await roundTrip(artifact, {
        ...sound,
        "3_email.sql": "ALTER TABLE users DROP COLUMN name;\n",
        "undo/3_email.sql":
          "ALTER TABLE users ADD COLUMN name text DEFAULT 'somebody'; CREATE INDEX users_name ON users (name);\n",
      });
      assert.deepEqual(
        [exitCode, found.at(-1)],
        [
          65,
          "undo/3_email.sql:1:1: error: undo-differs: restores it differently: column public.users.name was \"text default 'nobody'::text\", is \"text default 'somebody'::text\"",
        ],
      );
    },
  );

  testOn(
    artifact,
    "K7 an undo that forgets an object is told what does not come back",
    async () => {
      const { exitCode, found } = await roundTrip(artifact, {
        ...sound,
        "3_email.sql": "ALTER TABLE users DROP COLUMN name;\n",
        "undo/3_email.sql": "ALTER TABLE users ADD COLUMN name text DEFAULT 'nobody';\n",
      });
      assert.equal(exitCode, 65);
      assert.deepEqual(
        found.map((line) => line.replace(/\(.*\)/, "(…)")).filter((line) => line.includes("undo")),
        [
          'undo/2_index.sql:2:1: error: sql-fails: it fails: index "users_name" does not exist (…)',
          "undo/3_email.sql:1:1: error: undo-differs: does not bring index public.users_name back (…)",
        ],
      );
    },
  );

  testOn(
    artifact,
    "K7 what differs and is meant can be allowed with a reason, in the migration or in its undo file",
    async () => {
      for (const [up, down] of [
        ['-- headgate: allow=undo-differs reason="a value cannot be removed"\n', ""],
        ["", '-- headgate: allow=undo-differs reason="a value cannot be removed"\n'],
      ]) {
        const { exitCode, stdout, found } = await roundTrip(artifact, {
          "1_mood.sql": "CREATE TYPE mood AS ENUM ('sad');\n",
          "undo/1_mood.sql": "DROP TYPE mood;\n",
          "2_happy.sql": `${up}ALTER TYPE mood ADD VALUE IF NOT EXISTS 'happy';\n`,
          "undo/2_happy.sql": `${down}SELECT 1;\n`,
          "3_table.sql": "CREATE TABLE t (m mood);\n",
          "undo/3_table.sql": "DROP TABLE t;\n",
        });
        assert.equal(exitCode, 0, stdout);
        assert.match(found.join(), /^undo\/2_happy\.sql:1:1: allowed: undo-differs: restores it/);
        assert.match(stdout, /\n {2}reason: a value cannot be removed\n.*: 1 allowed\n$/);
      }
    },
  );

  testOn(
    artifact,
    "K6 a file that fails on the way up, down or up again is named with its line, and nothing follows it",
    async () => {
      const up = await roundTrip(artifact, {
        ...sound,
        "3_email.sql": "SELECT 1;\nSELECT wrong;\n",
      });
      assert.deepEqual(
        [up.exitCode, up.found],
        [
          65,
          [
            '3_email.sql:2:8: error: sql-fails: it fails: column "wrong" does not exist (42703 undefined_column)',
          ],
        ],
      );
      assert.match(up.stdout, /2 up, 0 down and up again/);
      const down = await roundTrip(artifact, {
        ...sound,
        "undo/3_email.sql": "DROP TABLE nothing;",
      });
      assert.equal(down.exitCode, 65);
      assert.match(
        down.found.join(),
        /^undo\/3_email\.sql:1:1: error: sql-fails: it fails: table "nothing"/,
      );
      // The row that it leaves is no part of the schema.
      const again = await roundTrip(artifact, {
        ...sound,
        "2_index.sql": "INSERT INTO users VALUES (1);\n",
        "undo/2_index.sql": "SELECT 1;\n",
      });
      assert.equal(again.exitCode, 0, "its table went with it");
      const twice = await roundTrip(artifact, {
        "1_users.sql": "CREATE TABLE users (id int PRIMARY KEY);\n",
        "2_row.sql": "INSERT INTO users VALUES (1);\n",
        "undo/2_row.sql": "SELECT 1;\n",
      });
      assert.deepEqual(
        [twice.exitCode, twice.found],
        [
          65,
          [
            '2_row.sql:1:1: error: sql-fails: it fails after it was undone: duplicate key value violates unique constraint "users_pkey" (23505 unique_violation)',
          ],
        ],
      );
    },
  );

  testOn(artifact, "K6 a file that makes another schema the second time is named", async () => {
    const { exitCode, found } = await roundTrip(artifact, {
      "1_users.sql": "CREATE TABLE users (id int PRIMARY KEY);\n",
      "2_flag.sql":
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM users) THEN ALTER TABLE users ADD COLUMN flag bool; END IF; END $$;\nINSERT INTO users VALUES (1) ON CONFLICT DO NOTHING;\n",
      "undo/2_flag.sql": "ALTER TABLE users DROP COLUMN IF EXISTS flag;\n",
    });
    assert.deepEqual(
      [exitCode, found],
      [
        65,
        [
          "2_flag.sql:1:1: error: redo-differs: applied again, it makes another schema: column public.users.flag is gone",
        ],
      ],
    );
  });

  testOn(
    artifact,
    "K6 it goes down as far as there are undo files; one that is missing above them is an error",
    async () => {
      const { "undo/1_users.sql": _first, ...later } = sound;
      const partial = await roundTrip(artifact, later);
      assert.deepEqual(
        [partial.exitCode, partial.stdout],
        [0, "checked 5 files, 3 up, 2 down and up again: nothing found\n"],
      );
      const { "undo/3_email.sql": _last, ...forgotten } = sound;
      const refused = await roundTrip(artifact, forgotten);
      assert.equal(refused.exitCode, 65);
      assert.match(refused.found.join(), /^3_email\.sql:1:1: error: no-undo: has no undo file$/);
      const allowed = await roundTrip(artifact, {
        ...forgotten,
        "3_email.sql": `-- headgate: allow=no-undo reason="cannot be undone"\n${String(sound["3_email.sql"])}`,
      });
      assert.equal(allowed.exitCode, 0);
      assert.match(allowed.stdout, /3 up, 0 down and up again: 1 allowed\n$/);
      const without = await roundTrip(artifact, { "1_users.sql": sound["1_users.sql"] ?? "" });
      assert.equal(without.exitCode, 65);
      assert.match(without.stdout, /no undo file/);
    },
  );

  testOn(
    artifact,
    "K8 a scratch database that cannot be had is one clear error, and what the files say is told all the same",
    async () => {
      const files = {
        ...sound,
        "4_drop.sql": "DROP TABLE users;\n",
        "undo/4_drop.sql": "SELECT 1;",
      };
      const args = ["--scratch-url", `postgres://nobody@127.0.0.1:${await freePort()}/x`];
      const unreachable = await roundTrip(artifact, files, [...args, "--wait-timeout", "300ms"]);
      assert.equal(unreachable.exitCode, 69);
      assert.match(unreachable.lines.at(-1)?.msg ?? "", /^the scratch database: /);
      assert.match(unreachable.stdout, /drop-table: drops the table users/);

      const full = await createDatabase(server);
      await server.psql(full, "CREATE TABLE precious (id int)");
      const refused = await roundTrip(artifact, sound, ["--scratch-url", server.url(full)]);
      assert.equal(refused.exitCode, 64);
      assert.match(refused.lines.at(-1)?.msg ?? "", /the scratch database is not empty/);
      assert.equal((await left(full)).length > 0, true);

      const env = { HEADGATE_MIGRATIONS: makeMigrations(sound) };
      const none = await runHeadgate(artifact, ["check", "--roundtrip"], { env });
      assert.equal(none.exitCode, 64);
      assert.match(JSON.stringify(none.lines.at(-1)), /--roundtrip needs a scratch database/);
      const nowhere = await runHeadgate(artifact, ["check", "--roundtrip", "--scratch-create"], {
        env,
      });
      assert.equal(nowhere.exitCode, 64, "it would be created beside the database");
    },
  );

  testOn(
    artifact,
    "K6 several sets go up in their order and down in the other, each with its history table",
    async () => {
      const sets = JSON.stringify([
        {
          name: "core",
          migrations: makeMigrations({
            "1_a.sql": "CREATE TABLE a (id int PRIMARY KEY);",
            "undo/1_a.sql": "DROP TABLE a;",
          }),
          "history-table": "core_migrations",
        },
        {
          name: "more",
          migrations: makeMigrations({
            "1_b.sql": "CREATE TABLE b (id int REFERENCES a);",
            "undo/1_b.sql": "DROP TABLE b;",
          }),
          "history-table": "more_migrations",
        },
        { name: "theirs", migrator: "alembic" },
      ]);
      const database = await createDatabase(server);
      const env = { HEADGATE_SETS: sets, HEADGATE_SCRATCH_URL: server.url(database) };
      const { exitCode, stdout } = await runHeadgate(artifact, ["check", "--roundtrip"], { env });
      assert.deepEqual(
        [exitCode, stdout],
        [0, "checked 4 files, 2 up, 2 down and up again: nothing found\n"],
      );
    },
  );
}
