import assert from "node:assert/strict";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts } from "../../helpers/headgate.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { makePlace } from "../../helpers/undo.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer();

/** As most real files have it that have it at all. */
const wrapped = {
  "1_create-notes.sql":
    "-- By hand.\nBEGIN;\n\nCREATE TABLE notes (id int PRIMARY KEY);\n\nCOMMIT;\n",
  "2_fill-notes.sql": "begin work;\r\nINSERT INTO notes VALUES (1);\r\nend transaction\r\n",
  "undo/2_fill-notes.sql": "START TRANSACTION;\nDELETE FROM notes;\nCOMMIT;\n",
};

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M10 a file that has BEGIN and COMMIT around all of it is applied and undone, and postgres-migrations goes on after it",
    async () => {
      const place = await makePlace(server, artifact, wrapped);
      const { stderr } = await place.ok("migrate");
      assert.doesNotMatch(stderr, /transaction in progress/);
      assert.deepEqual(await place.history(), [0, 1, 2]);
      await place.ok("rollback");
      assert.deepEqual(await server.psql(place.database, "SELECT FROM notes"), []);
      assert.deepEqual(await startPackage(server, place.database, place.folder).applied, [
        "2_fill-notes.sql",
      ]);
      await place.ok("verify");
    },
  );

  testOn(
    artifact,
    "M2 a file with BEGIN and COMMIT of its own that fails leaves nothing, and the place it names is right",
    async () => {
      const place = await makePlace(server, artifact, {
        "1_a.sql":
          "BEGIN TRANSACTION; -- é🙂\nCREATE TABLE a (id int);\n/* 🙂 */ SELECT\n  nothing FROM a;\nCOMMIT;\n",
      });
      const { exitCode, lines } = await place.run("migrate");
      assert.equal(exitCode, 1);
      const { line, column, sqlstate } = lines.at(-1) ?? {};
      assert.deepEqual({ line, column, sqlstate }, { line: 4, column: 3, sqlstate: "42703" });
      const tables = await server.psql(
        place.database,
        "SELECT to_regclass('a') AS a, (SELECT count(*)::int FROM migrations WHERE id = 1) AS rows",
      );
      assert.deepEqual(tables, [{ a: null, rows: 0 }]);
    },
  );

  testOn(
    artifact,
    "M2 the COMMIT of a file's own does not come before the row that records it",
    async () => {
      const place = await makePlace(server, artifact, wrapped);
      await place.ok("migrate");
      await place.ok("rollback", "--to", "1");
      // The row cannot be written, so what the file did must not be there either.
      await server.psql(
        place.database,
        `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON migrations FOR EACH ROW EXECUTE FUNCTION refuse()`,
      );
      assert.equal((await place.run("migrate")).exitCode, 1);
      assert.deepEqual(await server.psql(place.database, "SELECT FROM notes"), []);
    },
  );
}
