import assert from "node:assert/strict";
import { artifacts, type HeadgateResult } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import type { MigrationFiles } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { makePlace } from "../../helpers/undo.ts";

const server = await useServer();

const problemsOf = ({ lines }: HeadgateResult): string[] =>
  (lines.at(-1)?.["problems"] ?? []) as string[];
const files = (...names: string[]): MigrationFiles =>
  Object.fromEntries(names.map((name) => [name, "SELECT 'never run';"]));
const plain = files("1_create-notes.sql", "2_add-author.sql", "3_index-authors.sql");
const stamped = files(
  ...["1_20240101_create_notes.sql", "2_20240102_add_author.sql", "3_20240103_index_authors.sql"],
);

const knexTables = `CREATE TABLE knex_migrations (id serial PRIMARY KEY, name varchar(255), batch int, migration_time timestamptz);
  CREATE TABLE knex_migrations_lock (index serial PRIMARY KEY, is_locked int); INSERT INTO knex_migrations_lock (is_locked) VALUES (0);`;
const prismaTable = `CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz,
  migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(),
  applied_steps_count int NOT NULL DEFAULT 0);`;
const flywayTable = `CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL,
  type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
  installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL);`;
const flywayRow = (rank: number, version: string | null, what: string, more = "SQL", ok = true) =>
  `INSERT INTO flyway_schema_history VALUES (${rank}, ${version === null ? "NULL" : `'${version}'`}, '${what}', '${more}', 'x', 1, 'me', now(), 1, ${ok});`;
const prismaRow = (name: string, finished: boolean, rolledBack = false): string =>
  `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, rolled_back_at) VALUES
    (md5(random()::text), 'x', '${name}', ${finished ? "now()" : "NULL"}, ${rolledBack ? "now()" : "NULL"});`;
const golangTable =
  "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);";
const dbmateTable = "CREATE TABLE schema_migrations (version varchar PRIMARY KEY);";
const alembicTable = "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY);";
const nodeTable =
  "CREATE TABLE pgmigrations (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);";

type Case = {
  readonly tool: string;
  readonly what: string;
  readonly files: MigrationFiles;
  readonly sql: string;
  /** How the first two files are known. */
  readonly known: readonly [string, string];
};

const cases: readonly Case[] = [
  {
    ...{ tool: "alembic", what: "a revision in the file's name", sql: alembicTable },
    files: files("1_ae1027a6acf_create.sql", "2_27c6a30d7c24_add.sql", "3_3512b954651e_index.sql"),
    sql: `${alembicTable} INSERT INTO alembic_version VALUES ('27c6a30d7c24')`,
    known: ["before 27c6a30d7c24", "27c6a30d7c24, by version"],
  },
  {
    ...{ tool: "knex", what: "names that follow the stamp", files: plain },
    sql: `${knexTables} INSERT INTO knex_migrations (name, batch) VALUES ('20240101_create_notes.js', 1), ('20240102_add_author.ts', 2)`,
    known: [
      "20240101_create_notes.js, by name without its number",
      "20240102_add_author.ts, by name without its number",
    ],
  },
  {
    ...{ tool: "prisma", what: "names of folders; what was rolled back is left out" },
    files: stamped,
    sql: `${prismaTable} ${prismaRow("20240101_create_notes", true)} ${prismaRow("20240102_add_author", false, true)} ${prismaRow("20240102_add_author", true)}`,
    known: ["20240101_create_notes, by name", "20240102_add_author, by name"],
  },
  {
    ...{ tool: "flyway", what: "descriptions; undone, deleted and repeatable ones are left out" },
    files: plain,
    sql: `${flywayTable} ${flywayRow(0, null, "<< Flyway Schema Creation >>", "SCHEMA")}
      ${flywayRow(1, "1", "create notes")} ${flywayRow(2, "1.5", "add author")} ${flywayRow(3, null, "a view")}
      ${flywayRow(4, "3", "index authors")} ${flywayRow(5, "3", "index authors", "UNDO_SQL")}`,
    known: ["1 create notes, by name", "1.5 add author, by name"],
  },
  {
    ...{ tool: "flyway", what: "a baseline", files: plain },
    sql: `${flywayTable} ${flywayRow(1, "2", "<< Flyway Baseline >>", "BASELINE")}`,
    known: ["before 2", "2, by number"],
  },
  {
    ...{ tool: "golang-migrate", what: "the number", files: plain },
    sql: `${golangTable} INSERT INTO schema_migrations VALUES (2, false)`,
    known: ["before 2", "2, by number"],
  },
  {
    ...{ tool: "golang-migrate", what: "a time stamp in the file's name", files: stamped },
    sql: `${golangTable} INSERT INTO schema_migrations VALUES (20240102, false)`,
    known: ["before 20240102", "20240102, by version"],
  },
  {
    ...{ tool: "dbmate", what: "a time stamp in the file's name", files: stamped },
    sql: `${dbmateTable} INSERT INTO schema_migrations VALUES ('20240102'), ('20240101')`,
    known: ["20240101, by version", "20240102, by version"],
  },
  {
    ...{ tool: "dbmate", what: "numbers with zeros", files: plain },
    sql: `${dbmateTable} INSERT INTO schema_migrations VALUES ('0001'), ('0002')`,
    known: ["0001, by number", "0002, by number"],
  },
  {
    ...{ tool: "node-pg-migrate", what: "names", files: stamped },
    sql: `${nodeTable} INSERT INTO pgmigrations (name, run_on) VALUES ('20240101_create-notes', now()), ('20240102_add-author', now())`,
    known: ["20240101_create-notes, by name", "20240102_add-author, by name"],
  },
];

const refusals: readonly {
  readonly tool: string;
  readonly what: string;
  readonly sql: string;
  readonly files?: MigrationFiles;
  readonly message: RegExp;
}[] = [
  {
    ...{ tool: "alembic", what: "two heads", message: /a1 is one of several heads; merge them/ },
    sql: `${alembicTable} INSERT INTO alembic_version VALUES ('a1'), ('b2')`,
  },
  {
    ...{ tool: "knex", what: "a locked table", message: /knex_migrations_lock is locked/ },
    sql: `${knexTables} UPDATE knex_migrations_lock SET is_locked = 1`,
  },
  {
    ...{ tool: "prisma", what: "a failed row", message: /add_author was started and has not/ },
    sql: `${prismaTable} ${prismaRow("20240101_create_notes", true)} ${prismaRow("20240102_add_author", false)}`,
  },
  {
    ...{ tool: "flyway", what: "a failed row", message: /2 add author has failed/ },
    sql: `${flywayTable} ${flywayRow(1, "1", "create notes")} ${flywayRow(2, "2", "add author", "SQL", false)}`,
  },
  {
    ...{ tool: "golang-migrate", what: "a dirty table", message: /2 is dirty/ },
    sql: `${golangTable} INSERT INTO schema_migrations VALUES (2, true)`,
  },
  {
    ...{ tool: "dbmate", what: "golang-migrate's table", message: /is golang-migrate's, not/ },
    sql: `${golangTable} INSERT INTO schema_migrations VALUES (2, false)`,
  },
  {
    ...{ tool: "golang-migrate", what: "dbmate's table", message: /not one of golang-migrate/ },
    sql: dbmateTable,
  },
  {
    ...{ tool: "knex", what: "no table", message: /knex has no table knex_migrations here/ },
    sql: "SELECT 1",
  },
  {
    ...{ tool: "dbmate", what: "an entry without a file", message: /20240109 is no file of the/ },
    sql: `${dbmateTable} INSERT INTO schema_migrations VALUES ('20240101'), ('20240109')`,
    files: stamped,
  },
  {
    ...{ tool: "dbmate", what: "a gap", message: /2_20240102_add_author\.sql: not recorded in/ },
    sql: `${dbmateTable} INSERT INTO schema_migrations VALUES ('20240101'), ('20240103')`,
    files: stamped,
  },
  {
    ...{
      tool: "node-pg-migrate",
      what: "two entries for one file",
      message: /is the same file as/,
    },
    sql: `${nodeTable} INSERT INTO pgmigrations (name, run_on) VALUES ('1_create-notes', now()), ('2_create-notes', now())`,
  },
];

for (const artifact of artifacts) {
  for (const { tool, what, files: folder, sql, known } of cases) {
    testOn(artifact, `A3 stamp --from ${tool} knows files by ${what}`, async () => {
      const place = await makePlace(server, artifact, folder);
      const { ok, database, history } = place;
      await server.psql(database, sql);
      const { stdout } = await ok("stamp", "--from", tool);
      const [head, first = "", second = "", third, end] = stdout.split("\n");
      assert.match(head ?? "", /^id {2}state {5}name +known as$/);
      assert.ok(first.startsWith(" 1  to stamp  ") && first.endsWith(`  ${known[0]}`), first);
      assert.ok(second.startsWith(" 2  to stamp  ") && second.endsWith(`  ${known[1]}`), second);
      assert.match(third ?? "", /^ 3 {2}pending /);
      assert.match(end ?? "", /--yes records 2 files/);
      assert.equal(await place.has("migrations"), false, "nothing is written");
      await ok("stamp", "--from", tool, "--yes");
      assert.deepEqual(await history(), [0, 1, 2]);
      const next = Object.keys(folder).filter((name) => name.startsWith("3"));
      assert.deepEqual(await startPackage(server, database, place.folder).applied, next);
      // Afterwards headgate's own history is ahead of the other tool's.
      const { exitCode, stderr } = await place.run("stamp", "--from", tool, "--yes");
      assert.equal(exitCode, 65, stderr);
    });
  }

  for (const { tool, what, sql, files: folder = plain, message } of refusals) {
    testOn(
      artifact,
      `A4 stamp --from ${tool} refuses ${what}, and nothing is written`,
      async () => {
        const { run, database, has } = await makePlace(server, artifact, folder);
        await server.psql(database, sql);
        const result = await run("stamp", "--from", tool, "--yes");
        assert.equal(result.exitCode, 65, result.stderr);
        const said = [String(result.lines.at(-1)?.msg), ...problemsOf(result)].join("\n");
        assert.match(said, message);
        assert.equal(await has("migrations"), false);
      },
    );
  }
}
