import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { lockKeys } from "../../../src/lock/key.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { eventually } from "../../helpers/eventually.ts";
import {
  type Artifact,
  artifacts,
  type HeadgateResult,
  runHeadgate,
} from "../../helpers/headgate.ts";
import { addMigrations } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { makePlace, undoable } from "../../helpers/undo.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });
const reason = ["--reason", "x"];
const accept = (ids: string): string[] => ["repair", ids, "--accept", ...reason, "--yes"];
const forget = (ids: string): string[] => ["repair", ids, "--forget", ...reason, "--yes"];

/** All that a refusal says. */
const saidBy = ({ lines }: HeadgateResult): string =>
  [lines.at(-1)?.msg, ...((lines.at(-1)?.["problems"] ?? []) as string[])].join("\n");

/** A database with all of the folder applied, whose history and journal are watched. */
async function migrated(artifact: Artifact, files = undoable) {
  const place = await makePlace(server, artifact, files);
  const { database, run } = place;
  const snapshot = () =>
    server.psql(
      database,
      `SELECT (SELECT json_agg(m ORDER BY id) FROM migrations m) AS rows,
        (SELECT count(*) FROM migrations_journal WHERE event IN ('accepted', 'forgotten')) AS repairs`,
    );
  return {
    ...place,
    snapshot,
    /** Runs it, expects the exit code, and that nothing is other than before. */
    refuse: async (exitCode: number, args: string[], what: RegExp) => {
      const before = await snapshot();
      const result = await run(...args);
      assert.equal(result.exitCode, exitCode, result.stderr);
      assert.match(saidBy(result), what);
      assert.deepEqual(await snapshot(), before);
      return result;
    },
  };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "R2 a repair that does not fit is refused with every reason, and nothing is written",
    async () => {
      const { ok, run, refuse, folder, database } = await migrated(artifact);
      assert.match(saidBy(await run(...forget("3"))), /there is no history here/);
      await ok("migrate");
      await refuse(64, accept("2,70,80"), /no migration 70, .*; there is no migration 80, neither/);
      await refuse(64, forget("70"), /there is no migration 70/);
      await refuse(
        65,
        forget("2"),
        /only the newest can be forgotten: 3 index-authors came after 2/,
      );
      await refuse(
        65,
        forget("1,3"),
        /only the newest can be forgotten: 2 add-author came after 1/,
      );

      addMigrations(folder, { "4_more.sql": "", "1_create-notes.sql": "-- edited" });
      await refuse(65, accept("1,4"), /4_more\.sql: not applied, .*`headgate stamp` records/);
      await server.psql(database, "INSERT INTO migrations VALUES (5, 'newer', 'x')");
      await refuse(65, forget("3"), /5 newer came after 3/);
      await refuse(65, accept("1,5"), /5 newer: the folder has no file of this number/);
      await server.psql(database, "DELETE FROM migrations WHERE id = 5");

      // Two files that have changed places are other migrations, not other versions of the same.
      for (const name of ["2_add-author.sql", "3_index-authors.sql", "4_more.sql"])
        rmSync(join(folder, name));
      addMigrations(folder, { "2_index-authors.sql": "SELECT 2", "3_add-author.sql": "SELECT 3" });
      await refuse(
        65,
        accept("1,2,3"),
        /2_index-authors\.sql: the history has the name "index-authors" already, of 3.*\n.*3_add-author\.sql: the history has the name "add-author"/,
      );
    },
  );

  testOn(
    artifact,
    "R2 a step in doubt, a file applied in part and one half undone are finished first; one whose undo only failed is not in the way",
    async () => {
      const steps = (last: string): string =>
        `-- headgate: no-transaction\nCREATE TABLE four ();\n${last};`;
      const { ok, run, refuse, folder, database, history } = await migrated(artifact);
      await ok("migrate");
      addMigrations(folder, {
        "4_steps.sql": steps("SELECT 1/0"),
        "undo/4_steps.sql": "-- headgate: no-transaction\nSELECT 1/0;\nDROP TABLE four;",
      });
      assert.equal((await run("migrate")).exitCode, 1);
      // Applied in part, 4 rests on 3; but what a formatter did to 1 keeps nobody from going on with it.
      await refuse(65, forget("3"), /4 came after 3, and is applied or undone in part/);
      await refuse(
        65,
        forget("4"),
        /4_steps\.sql: applied in part; let `headgate migrate` finish it/,
      );
      addMigrations(folder, { "1_create-notes.sql": "create table notes (id int primary key);" });
      await refuse(65, ["migrate"], /1_create-notes\.sql: changed/);
      await ok(...accept("1"));
      const inDoubt =
        "UPDATE migrations_steps SET state = 'started' WHERE migration = 4 AND step = 2";
      await server.psql(database, inDoubt);
      await refuse(65, accept("4"), /step 2 is in doubt; .*`headgate resolve 4:2 --done`/);
      await ok("resolve", "4:2", "--done");
      await ok("migrate");

      assert.equal((await run("rollback")).exitCode, 1);
      const [failed] = await server.psql(database, "SELECT migration, state FROM migrations_steps");
      assert.deepEqual(failed, { migration: -4, state: "failed" });
      await server.psql(database, "UPDATE migrations_steps SET state = 'started'");
      await refuse(65, forget("4"), /4_steps\.sql: step 1 is in doubt/);
      await server.psql(database, "UPDATE migrations_steps SET state = 'failed'");
      addMigrations(folder, { "4_steps.sql": `${steps("SELECT 1")}\n` });
      await ok(...accept("4"));
      await ok(...forget("4"));
      assert.deepEqual(await history(), [0, 1, 2, 3]);
      // It is pending, and nothing of it is undone.
      await server.psql(database, "DROP TABLE four");
      await ok("migrate");

      addMigrations(folder, {
        "undo/4_steps.sql": "-- headgate: no-transaction\nDROP TABLE four;\nSELECT 1/0;",
      });
      assert.equal((await run("rollback")).exitCode, 1);
      assert.deepEqual(await history(), [0, 1, 2, 3]);
      await refuse(65, forget("4"), /half undone; let `headgate rollback --to 3` finish it/);
      await refuse(65, accept("4"), /half undone/);
    },
  );

  testOn(
    artifact,
    "R2 a repair waits for one that migrates, headgate or postgres-migrations, and is measured by what it finds then",
    async () => {
      const { ok, run, start, refuse, folder, database } = await migrated(artifact);
      await ok("migrate");
      const holder = await server.connect(database);
      const { own, shared } = lockKeys("public", "migrations");
      for (const { key } of [own, shared ?? assert.fail()]) {
        await holder.query(`SELECT pg_advisory_lock(${key})`);
        await refuse(75, [...forget("3"), "--lock-wait", "200ms"], /lock was not free within/);
        await holder.query("SELECT pg_advisory_unlock_all()");
      }
      // Shown without the lock.
      await holder.query(`SELECT pg_advisory_lock(${own.key})`);
      await ok("repair", "3", "--forget", ...reason);
      const waiting = await start(...forget("3"));
      await waiting.waitForLog("waiting for the lock");
      await server.psql(database, "INSERT INTO migrations VALUES (4, 'meanwhile', 'x')");
      await holder.query("SELECT pg_advisory_unlock_all()");
      const late = await waiting.result;
      assert.equal(late.exitCode, 65, late.stderr);
      assert.match(saidBy(late), /4 meanwhile came after 3/);
      await server.psql(database, "DELETE FROM migrations WHERE id = 4");

      // A migration that runs is no step in doubt.
      addMigrations(folder, {
        "4_held.sql": "-- headgate: no-transaction\nSELECT pg_advisory_xact_lock_shared(42);",
      });
      await holder.query("SELECT pg_advisory_lock(42)");
      const migrating = await start("migrate");
      await eventually("the step runs", async () => {
        const sql =
          "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted";
        return (await server.psql(database, sql)).length > 0;
      });
      const patient = await start(...forget("4"));
      await patient.waitForLog("waiting for the lock");
      await holder.end();
      assert.equal((await migrating.result).exitCode, 0);
      const { exitCode, stderr } = await patient.result;
      assert.equal(exitCode, 0, stderr);

      addMigrations(folder, { "1_create-notes.sql": "-- edited" });
      const all = await Promise.all(Array.from({ length: 5 }, () => run(...accept("1"))));
      for (const { exitCode: code, stderr: said } of all) assert.equal(code, 0, said);
      const writers = all.filter(({ lines }) => lines.some(({ msg }) => msg === "repaired"));
      assert.equal(writers.length, 1);
      rmSync(join(folder, "4_held.sql"));
      assert.deepEqual(await startPackage(server, database, folder).applied, []);
    },
  );

  testOn(
    artifact,
    "R2 a role that may not change the history, or keep the reason, is told which right it lacks; a table that stays locked is 75",
    async () => {
      const { ok, env, folder, database, refuse, snapshot } = await migrated(artifact);
      await ok("migrate");
      addMigrations(folder, { "3_index-authors.sql": "-- edited" });
      const role = `lesser_${database}`;
      await server.psql(database, `CREATE ROLE ${role} LOGIN PASSWORD '${server.password}'`);
      const url = server.url(database, { user: role });
      const before = await snapshot();
      const told = async (args: string[], what: RegExp, fix: RegExp): Promise<void> => {
        const result = await runHeadgate(artifact, args, { env: { ...env, DATABASE_URL: url } });
        assert.equal(result.exitCode, 77, result.stderr);
        assert.match(saidBy(result), what);
        assert.match(String(result.lines.at(-1)?.["fix"]), fix);
        assert.deepEqual(await snapshot(), before);
      };
      const grant = (rights: string) => server.psql(database, `GRANT ${rights} TO ${role}`);
      await told(accept("3"), /migrations may not be read/, /grant select on/);
      await grant("SELECT, INSERT ON migrations");
      await told(accept("3"), /"migrations" may not be written/, /grant update on/);
      await told(forget("3"), /"migrations" may not be written/, /grant delete on/);
      await grant("UPDATE, DELETE ON migrations");
      await told(accept("3"), /journal .* may not be written, so that the reason would/, /owner/);
      await grant("INSERT, DELETE ON migrations_journal");
      await server.psql(database, "ALTER TABLE migrations_journal DROP COLUMN reason");
      await told(accept("3"), /is an older one, without a column for the reason/, /owner/);

      const reader = await server.connect(database);
      await reader.query("BEGIN; SELECT FROM migrations_journal");
      await refuse(75, accept("3"), /were locked for longer than 5s by another session/);
      await reader.end();
      await ok(...accept("3"));
      const lesser = { env: { ...env, DATABASE_URL: url } };
      const { exitCode, stderr } = await runHeadgate(artifact, forget("3"), lesser);
      assert.equal(exitCode, 0, stderr);
    },
  );
}
