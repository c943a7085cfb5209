import assert from "node:assert/strict";
import { type Artifact, artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type MigrationFiles, addMigrations, makeMigrations } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer();

/** Every form of name and content that postgres-migrations accepts and that has come up in practice. */
const oddFiles: MigrationFiles = {
  "0001_padded.sql": "CREATE TABLE padded (id int);\n",
  "2no-separator.sql": "CREATE TABLE no_separator (id int)",
  "3-dash.sql": "-- a comment alone\n",
  "4.sql": "CREATE TABLE only_a_number (id int);",
  "5_UPPER.SQL": "CREATE TABLE upper (id int);",
  "6__two.sql": "CREATE TABLE two (id int);",
  "07 a space.and.dots.sql": "CREATE TABLE space (id int);",
  "8_ünïcödé-日本.sql": "CREATE TABLE unicode (text text DEFAULT 'é日本🙂');",
  "9_crlf.sql": "CREATE TABLE crlf (\r\n  id int -- the key\r\n);\r\n",
  "10_script.js": "exports.generateSql = () => `CREATE TABLE script (id int DEFAULT ${6 * 7});`;",
  "11_SCRIPT.JS": "module.exports = { generateSql: () => 'CREATE TABLE script_upper (id int)' };",
  "12_empty.sql": "",
  "13_not-utf8.sql": Buffer.from("-- caf\xe9\nCREATE TABLE latin (id int);", "latin1"),
  "14_no-transaction.sql":
    "-- postgres-migrations disable-transaction\nCREATE INDEX CONCURRENTLY crlf_id ON crlf (id);\n",
  "README.md": "Not a migration.",
  "15_notes.txt": "Not a migration either.",
};

/** The rows and the table itself, but for the time and the table's number. */
async function historyOf(database: string): Promise<unknown> {
  const rows = await server.psql(
    database,
    `SELECT id, name, hash, pg_typeof(id)::text, pg_typeof(name)::text, pg_typeof(hash)::text,
      pg_typeof(executed_at)::text, now()::timestamp - executed_at < '1 minute' AS recent
    FROM migrations ORDER BY id`,
  );
  const columns = await server.psql(
    database,
    `SELECT attnum, attname, format_type(atttypid, atttypmod) AS type, attnotnull, attcollation,
      pg_get_expr(adbin, adrelid) AS default
    FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
    WHERE attrelid = 'public.migrations'::regclass AND attnum > 0 ORDER BY attnum`,
  );
  const table = await server.psql(
    database,
    `SELECT relkind, relpersistence, relowner, reloptions, relhasindex, relnatts, relchecks,
      (SELECT json_agg(json_build_array(conname, contype, pg_get_constraintdef(c.oid)) ORDER BY conname)
      FROM pg_constraint c WHERE conrelid = t.oid) AS constraints
    FROM pg_class t WHERE oid = 'public.migrations'::regclass`,
  );
  return { rows, columns, table };
}

/** All relations, but the tables in which headgate notes steps, and who applied what. */
async function tablesOf(database: string): Promise<unknown> {
  return server.psql(
    database,
    `SELECT relname, relkind FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname !~ '^migrations_(steps|journal)' ORDER BY 1`,
  );
}

/** The first migrations of the folder. */
const upTo = (last: number): MigrationFiles =>
  Object.fromEntries(
    Object.entries(oddFiles).filter(([name]) => Number.parseInt(name, 10) <= last),
  );

async function headgate(artifact: Artifact, database: string, folder: string): Promise<string[]> {
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
  const { exitCode, stderr, lines } = await runHeadgate(artifact, ["migrate"], { env });
  assert.equal(exitCode, 0, stderr);
  return lines.filter(({ msg }) => msg === "applied").map((line) => String(line["migration"]));
}

/** postgres-migrations counts its own file among those it applied. */
async function plain(database: string, folder: string): Promise<string[]> {
  const applied = await startPackage(server, database, folder).applied;
  return applied.filter((name) => !name.startsWith("0_"));
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M1 the history that headgate writes is that of postgres-migrations, row by row and column by column",
    async () => {
      // headgate refuses to send what is not UTF-8, though it takes it for applied when another tool has done so.
      const folder = makeMigrations({ ...oddFiles, "13_not-utf8.sql": "-- café\nSELECT 1" });
      const [ours, theirs] = [await createDatabase(server), await createDatabase(server)];
      const [byHeadgate, byPackage] = [
        await headgate(artifact, ours, folder),
        await plain(theirs, folder),
      ];
      assert.deepEqual(byHeadgate, byPackage);
      assert.equal(byHeadgate.length, 14);
      assert.deepEqual(await historyOf(ours), await historyOf(theirs));
      assert.deepEqual(await tablesOf(ours), await tablesOf(theirs));
      // Each finds nothing to do after the other.
      assert.deepEqual(await headgate(artifact, theirs, folder), []);
      assert.deepEqual(await plain(ours, folder), []);
    },
  );

  testOn(
    artifact,
    "M1 headgate and postgres-migrations continue after each other, in turns",
    async () => {
      const [mixed, theirs] = [await createDatabase(server), await createDatabase(server)];
      const whole = makeMigrations(oddFiles);
      await plain(theirs, whole);
      // headgate first: it makes the table that the other finds.
      for (const [last, tool] of [
        [3, headgate],
        [5, plain],
        [9, headgate],
        [10, plain],
        [12, headgate],
        [13, plain],
        [14, headgate],
      ] as const) {
        const step = makeMigrations(upTo(last));
        if (tool === headgate) await headgate(artifact, mixed, step);
        else await plain(mixed, step);
      }
      assert.deepEqual(await historyOf(mixed), await historyOf(theirs));
      assert.deepEqual(await tablesOf(mixed), await tablesOf(theirs));
      assert.deepEqual(await plain(mixed, whole), []);
      assert.deepEqual(await headgate(artifact, mixed, whole), []);
    },
  );

  testOn(
    artifact,
    "M1 headgate and postgres-migrations started together share the work without harm",
    async () => {
      const names = Object.keys(upTo(12));
      const folder = makeMigrations(upTo(12));
      for (let round = 1; round <= 3; round++) {
        const database = await createDatabase(server);
        const work = await Promise.all([
          headgate(artifact, database, folder),
          plain(database, folder),
          headgate(artifact, database, folder),
          plain(database, folder),
        ]);
        assert.deepEqual(new Set(work.flat()), new Set(names), `round ${round}`);
        assert.equal(work.flat().length, names.length, "each file once");
      }
    },
  );

  testOn(
    artifact,
    "M1 a file with a byte order mark, which postgres-migrations cannot send, is recorded with the hash it would have",
    async () => {
      const folder = makeMigrations({
        "1_bom.sql": "\uFEFFCREATE TABLE bom (id int);",
        "2_bom-crlf.sql": "\uFEFF-- first\r\nCREATE TABLE bom_crlf (id int);\r\n",
      });
      const database = await createDatabase(server);
      await assert.rejects(plain(await createDatabase(server), folder), /syntax error/);
      assert.equal((await headgate(artifact, database, folder)).length, 2);
      assert.deepEqual(await plain(database, folder), []);
      addMigrations(folder, { "3_more.sql": "CREATE TABLE more (id int);" });
      assert.deepEqual(await plain(database, folder), ["3_more.sql"]);
    },
  );

  testOn(
    artifact,
    "M1 an empty history table, as a half-finished set-up leaves it, is one that both accept",
    async () => {
      const database = await createDatabase(server);
      const folder = makeMigrations(upTo(2));
      await plain(database, makeMigrations({}));
      await server.psql(database, "TRUNCATE migrations");
      assert.equal((await headgate(artifact, database, folder)).length, 2);
      addMigrations(folder, upTo(4));
      assert.deepEqual(await plain(database, folder), ["3-dash.sql", "4.sql"]);
    },
  );

  testOn(artifact, "M1 migrations written as ES modules are the same for both", async () => {
    const folder = makeMigrations({
      "package.json": '{ "type": "module" }',
      "lib/names.js": "export const name = 'es_module';",
      "1_module.js":
        "import { name } from './lib/names.js';\nexport const generateSql = () => `CREATE TABLE ${name} (id int)`;",
    });
    const [ours, theirs] = [await createDatabase(server), await createDatabase(server)];
    assert.deepEqual(await headgate(artifact, ours, folder), ["1_module.js"]);
    assert.deepEqual(await plain(theirs, folder), ["1_module.js"]);
    assert.deepEqual(await historyOf(ours), await historyOf(theirs));
  });
}
