import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { checksumOf } from "../../../src/migrations/checksum.ts";
import { testOn } from "../../helpers/everywhere.ts";
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

const server = await useServer();

/** What a formatter and a licence header do to files that were applied. */
const formatted = {
  "1_create-notes.sql": "-- (c) 2026\ncreate table notes (id int primary key);\n",
  "3_index-authors.sql": "create index notes_author on notes (author);\n",
};

/** The lines of the table that it prints, and the sentence below. */
const rowsOf = ({ stdout }: HeadgateResult): string[] =>
  stdout
    .split("\n")
    .slice(1, -1)
    .map((line) => line.trim().replace(/ {2,}/g, " | "));

const because = (reason: string): string[] => ["--reason", reason];

/** A database with all of the folder applied. */
async function migrated(artifact: Artifact, files = undoable) {
  const place = await makePlace(server, artifact, files);
  await place.ok("migrate");
  const { database } = place;
  return {
    ...place,
    rows: () =>
      server.psql(
        database,
        "SELECT id, name, hash, executed_at::text AS at FROM migrations ORDER BY id",
      ),
    journal: () =>
      server.psql(
        database,
        `SELECT migration, name, event, ms, host, db_user, reason FROM migrations_journal
        WHERE event IN ('accepted', 'forgotten') ORDER BY at, migration`,
      ),
    plain: () => startPackage(server, database, place.folder).applied,
  };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "R1 repair shows which files it would accept, and with --yes replaces their checksums and keeps the reason",
    async () => {
      const { run, ok, rows, journal, folder } = await migrated(artifact);
      const before = await rows();
      addMigrations(folder, formatted);
      const args = ["repair", "1,2,3", "--accept", ...because("a formatter ran")];
      const shown = await ok(...args);
      assert.deepEqual(rowsOf(shown), [
        "1 | to accept | create-notes | edited",
        "2 | as it is | add-author | the history has it as it is",
        "3 | to accept | index-authors | edited",
        "nothing is written yet: the same with --yes accepts these files as now",
      ]);
      assert.deepEqual([await rows(), (await run("migrate")).exitCode], [before, 65]);

      const written = await ok(...args, "--yes");
      assert.deepEqual(rowsOf(written), [
        "1 | accepted | create-notes | edited",
        "2 | as it is | add-author | the history has it as it is",
        "3 | accepted | index-authors | edited",
      ]);
      const line = written.lines.find(({ msg }) => msg === "repaired");
      assert.equal(line?.["accepted"], "1 create-notes, 3 index-authors");
      // Only the checksums are others: when each was applied stays.
      const hashes = Object.entries(formatted).map(([name, text]) => checksumOf(name, text));
      assert.deepEqual(
        await rows(),
        before.map((row) => {
          const hash = { 1: hashes[0], 3: hashes[1] }[Number(row["id"])];
          return hash === undefined ? row : { ...row, hash };
        }),
      );
      const noted = { event: "accepted", ms: null, host: hostname(), db_user: "postgres" };
      assert.deepEqual(await journal(), [
        { migration: 1, name: "create-notes", ...noted, reason: "a formatter ran" },
        { migration: 3, name: "index-authors", ...noted, reason: "a formatter ran" },
      ]);
      await ok("migrate");
      await ok("verify");
      const again = await ok(...args, "--yes");
      assert.deepEqual(rowsOf(again).at(-1), "nothing is to be accepted");
      assert.equal((await journal()).length, 2);
    },
  );

  testOn(
    artifact,
    "R1 status tells who accepted a file and why beside who applied it, and a repair is no drift",
    async () => {
      const { ok, folder } = await migrated(artifact);
      addMigrations(folder, formatted);
      await ok("repair", "1,3", "--accept", ...because("two\nlines"), "--yes");
      const { stdout } = await ok("status", "--drift");
      const cells = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
      assert.deepEqual(cells[0], ["id", "state", "applied at", "took", "by", "name", "repaired"]);
      assert.match(
        cells[1]?.slice(3).join() ?? "",
        /^\d+ ms,postgres on .*,create-notes,accepted: two lines$/,
      );
      assert.equal(cells[2]?.at(-1), "add-author");
      assert.match(stdout, /\nno drift since/);
      const json = JSON.parse((await ok("status", "--json")).stdout) as {
        migrations: { ms: number | null; by: object | null; repaired?: Record<string, string> }[];
      };
      const [first, second] = json.migrations;
      const { at, ...repaired } = first?.repaired ?? {};
      assert.deepEqual(repaired, {
        ...{ event: "accepted", reason: "two\nlines", host: hostname(), dbUser: "postgres" },
      });
      assert.match(at ?? "", /^\d{4}-/);
      assert.ok(typeof first?.ms === "number" && first.by !== null);
      assert.equal(second !== undefined && "repaired" in second, false);
    },
  );

  testOn(
    artifact,
    "R1 postgres-migrations refuses the changed folder, and accepts it after the repair, renamed files and line endings included",
    async () => {
      const { run, ok, plain, folder, rows } = await migrated(artifact);
      addMigrations(folder, formatted);
      renameSync(join(folder, "2_add-author.sql"), join(folder, "2_add-writer.sql"));
      await assert.rejects(plain(), /Hashes don't match/);
      assert.equal((await run("verify")).exitCode, 65);
      const { stdout } = await ok("repair", "1,2,3", "--accept", ...because("tidied"), "--yes");
      assert.match(stdout, /^ 2 {2}accepted {2}add-writer {5}it was add-author$/m);
      assert.deepEqual(await plain(), []);
      assert.deepEqual(
        (await rows()).map(({ name }) => name),
        ["create-migrations-table", "create-notes", "add-writer", "index-authors"],
      );
      // headgate takes other line endings for the same text, and postgres-migrations does not.
      addMigrations(folder, {
        "2_add-writer.sql": "ALTER TABLE notes ADD COLUMN author text;\r\n",
      });
      await ok("verify");
      await assert.rejects(plain(), /Hashes don't match/);
      const endings = await ok("repair", "2", "--accept", ...because("on Windows"), "--yes");
      assert.match(rowsOf(endings)[0] ?? "", /other line endings$/);
      assert.deepEqual(await plain(), []);
      addMigrations(folder, { "4_more.sql": "CREATE TABLE more ();" });
      assert.deepEqual(await plain(), ["4_more.sql"]);
      await ok("migrate");
    },
  );

  testOn(
    artifact,
    "R1 a migration that was applied empty is forgotten, and applied with what it has now",
    async () => {
      const { run, ok, plain, folder, history, has, journal } = await migrated(artifact, {
        ...{ "1_create-notes.sql": "CREATE TABLE notes (id int);", "2_add-tags.sql": "" },
      });
      addMigrations(folder, { "2_add-tags.sql": "CREATE TABLE tags (id int);" });
      const refused = await run("migrate");
      assert.equal(refused.exitCode, 65);
      assert.match(
        String(refused.lines.at(-1)?.["fix"]),
        /2 add-tags had nothing in it when it was applied: .*`headgate repair 2 --forget --reason "…"`/,
      );
      const args = ["repair", "2", "--forget", ...because("it was applied empty")];
      assert.deepEqual(rowsOf(await ok(...args)), [
        "2 | to forget | add-tags | the next run applies the file again",
        "nothing is written yet: the same with --yes forgets this row; what was applied stays in the database",
      ]);
      assert.deepEqual(await history(), [0, 1, 2]);
      assert.deepEqual(rowsOf(await ok(...args, "--yes")), [
        "2 | forgotten | add-tags | the next run applies the file again",
      ]);
      assert.deepEqual(await history(), [0, 1]);
      assert.equal((await journal())[0]?.["reason"], "it was applied empty");
      const { stdout } = await ok("status", "--drift");
      assert.match(stdout, /^ 2 {2}pending .*add-tags {2,}forgotten: it was applied empty$/m);
      assert.match(stdout, /\nno drift since/);
      // In a Job, which may be run again, it means the same the second time.
      const again = await ok(...args, "--yes");
      assert.deepEqual(rowsOf(again), [
        "2 | as it is | add-tags | it is not in the history",
        "nothing is to be forgotten",
      ]);
      await ok("migrate");
      assert.deepEqual([await history(), await has("tags")], [[0, 1, 2], true]);
      assert.doesNotMatch((await ok("status")).stdout, /repaired|forgotten/);
      assert.deepEqual(await plain(), []);
    },
  );

  testOn(
    artifact,
    "R1 the newest rows are forgotten together, also those of which this folder has no file",
    async () => {
      const { ok, plain, history, database } = await migrated(artifact);
      await server.psql(database, "INSERT INTO migrations VALUES (4, 'of-a-branch', 'x')");
      const shown = await ok("repair", "3,4", "--forget", ...because("a branch is gone"));
      assert.match(
        rowsOf(shown)[1] ?? "",
        /^4 \| to forget \| of-a-branch \| the folder has no such/,
      );
      await server.psql(database, "DROP INDEX notes_author");
      await ok("repair", "3,4", "--forget", ...because("a branch is gone"), "--yes");
      assert.deepEqual(await history(), [0, 1, 2]);
      assert.deepEqual(await plain(), ["3_index-authors.sql"]);
    },
  );

  testOn(
    artifact,
    "R1 a journal of an older headgate gets its column for the reason, and the older one goes on with it",
    async () => {
      const { ok, run, folder, database, journal } = await migrated(artifact);
      await server.psql(database, "ALTER TABLE migrations_journal DROP COLUMN reason");
      await ok("status", "--drift");
      addMigrations(folder, { ...formatted, "4_more.sql": "CREATE TABLE more ()" });
      assert.equal((await run("migrate")).exitCode, 65);
      await ok("repair", "1,3", "--accept", ...because("it's a \\ formatter"), "--yes");
      assert.deepEqual(
        (await journal()).map(({ reason }) => reason),
        ["it's a \\ formatter", "it's a \\ formatter"],
      );
      // As headgate 0.1 writes it.
      await server.psql(
        database,
        "INSERT INTO migrations_journal (migration, name, event, host, headgate, ms) VALUES (9, 'x', 'applied', 'h', '0.1.0', 1)",
      );
      await ok("migrate");
      // Without any journal, too: one is made.
      await server.psql(database, "DROP TABLE migrations_journal");
      await ok("repair", "4", "--forget", ...because("once more"), "--yes");
      assert.equal((await journal()).length, 1);
    },
  );

  testOn(
    artifact,
    "R1 every refusal of a changed file names the command to type, and the command as named works",
    async () => {
      const { run, ok, folder } = await migrated(artifact);
      addMigrations(folder, { ...formatted, "4_more.sql": "CREATE TABLE more ()" });
      const named = '`headgate repair 1,3 --accept --reason "…"`';
      const commands: string[][] = [
        ...[["migrate"], ["--", "true"], ["verify"], ["status", "--exit-code"], ["plan"]],
        ...[
          ["stamp", "4"],
          ["stamp", "4", "--yes"],
          ["rollback", "--to", "0"],
        ],
      ];
      for (const args of commands) {
        const { exitCode, lines, stderr } = await run(...args);
        assert.equal(exitCode, 65, stderr);
        const fix = String(lines.at(-1)?.["fix"]);
        assert.ok(fix.includes(named), `${args.join(" ")}: ${fix}`);
      }
      await ok("repair", "1,3", "--accept", "--reason", "…", "--yes");
      await ok("migrate");
    },
  );

  testOn(
    artifact,
    "R1 for one of several sets the command names its folder and its table, and works beside HEADGATE_SETS",
    async () => {
      const { run, folder, database, env } = await migrated(artifact);
      const own = join(folder, "with a space");
      addMigrations(own, { "1_bills.sql": "CREATE TABLE bills (id int)" });
      const sets = [
        { name: "notes", migrations: folder },
        { name: "bills", migrations: own, "history-table": 'billing."History"' },
      ];
      const { HEADGATE_MIGRATIONS: _folder, ...rest } = env;
      const inSets = { ...rest, HEADGATE_SETS: JSON.stringify(sets) };
      const start = (args: string[]) => runHeadgate(artifact, args, { env: inSets });
      assert.equal((await start(["migrate"])).exitCode, 0);
      addMigrations(own, { "1_bills.sql": "-- (c)\nCREATE TABLE bills (id int)" });
      const refused = await start(["migrate"]);
      assert.equal(refused.exitCode, 65);
      const words = `--migrations '${own}' --history-table 'billing."History"'`;
      const fix = String(refused.lines.at(-1)?.["fix"]);
      assert.ok(fix.includes(`\`headgate repair 1 --accept --reason "…" ${words}\``), fix);
      const flags = ["--migrations", own, "--history-table", 'billing."History"'];
      const args = ["repair", "1", "--accept", ...because("a header"), "--yes"];
      assert.equal((await start(args)).exitCode, 64);
      const { exitCode, stderr } = await start([...args, ...flags]);
      assert.equal(exitCode, 0, stderr);
      assert.equal((await start(["migrate"])).exitCode, 0);
      const kept = await server.psql(
        database,
        "SELECT reason FROM billing.\"History_journal\" WHERE reason <> ''",
      );
      assert.deepEqual(kept, [{ reason: "a header" }]);
      // What was typed as a flag has to be typed again.
      addMigrations(own, { "1_bills.sql": "-- (c) 2026\nCREATE TABLE bills (id int)" });
      const typed = await run("verify", ...flags);
      assert.ok(String(typed.lines.at(-1)?.["fix"]).includes(words), typed.stderr);
    },
  );
}
