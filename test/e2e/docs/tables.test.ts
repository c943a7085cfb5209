import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { makePlace } from "../../helpers/undo.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer();

const page = readFileSync(new URL("../../../docs/tables.md", import.meta.url), "utf8");

/** Each table with its columns, in any order. */
type Tables = Record<string, string[]>;

function documented(): Tables {
  const sections = page.split(/^## /m).slice(1);
  return Object.fromEntries(
    sections.map((section) => {
      const [, table = ""] = /^`(\w+)`/.exec(section) ?? [];
      const columns = [...section.matchAll(/^\| `(\w+)` +\| `([^`]+)` +\|/gm)];
      return [table, columns.map(([, name, type]) => `${name} ${type}`).toSorted()];
    }),
  );
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "D6 docs/tables.md tells every table that headgate creates, with every column and its type",
    async () => {
      const { run, database } = await makePlace(server, artifact, {
        "1_steps.sql": "-- headgate: no-transaction\nSELECT 1;\nSELECT 1/0",
      });
      assert.equal((await run("migrate")).exitCode, 1);
      const env = { DATABASE_URL: server.url(database) };
      const migrated = await runHeadgate(artifact, ["migrate", "--migrator", "true"], { env });
      assert.equal(migrated.exitCode, 0, migrated.stderr);
      const rows = await server.psql<{ name: string; columns: string[] }>(
        database,
        `SELECT relname AS name, array_agg(attname || ' ' || format_type(atttypid, atttypmod)) AS columns
          FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
          WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
          GROUP BY relname`,
      );
      const found = Object.fromEntries(rows.map(({ name, columns }) => [name, columns.toSorted()]));
      assert.deepEqual(found, documented());
    },
  );
}
