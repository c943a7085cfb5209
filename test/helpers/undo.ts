import assert from "node:assert/strict";
import { type Artifact, type HeadgateResult, runHeadgate, startHeadgate } from "./headgate.ts";
import { type MigrationFiles, makeMigrations } from "./migrations.ts";
import { createDatabase, type Postgres } from "./postgres.ts";

/** Three migrations, each with the file that undoes it. */
export const undoable: MigrationFiles = {
  "1_create-notes.sql": "CREATE TABLE notes (id int PRIMARY KEY);\n",
  "2_add-author.sql": "ALTER TABLE notes ADD COLUMN author text;\n",
  "3_index-authors.sql": "CREATE INDEX notes_author ON notes (author);\n",
  "undo/1_create-notes.sql": "DROP TABLE notes;\n",
  "undo/2_add-author.sql": "ALTER TABLE notes DROP COLUMN author;\n",
  "undo/3_index-authors.sql": "DROP INDEX notes_author;\n",
};

/** One new database and one folder. */
export async function makePlace(
  server: Postgres,
  artifact: Artifact,
  files: MigrationFiles = undoable,
) {
  const database = await createDatabase(server);
  const folder = makeMigrations(files);
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
  const run = (...args: string[]): Promise<HeadgateResult> => runHeadgate(artifact, args, { env });
  return {
    ...{ database, folder, env, run },
    start: (...args: string[]) => startHeadgate(artifact, args, { env }),
    /** Runs it and expects success. */
    ok: async (...args: string[]): Promise<HeadgateResult> => {
      const result = await run(...args);
      assert.equal(result.exitCode, 0, result.stderr);
      return result;
    },
    /** The numbers of the history's rows. */
    history: async (): Promise<number[]> => {
      const rows = await server.psql<{ id: number }>(
        database,
        "SELECT id FROM migrations ORDER BY id",
      );
      return rows.map(({ id }) => id);
    },
    /** Whether a table, an index … is there. */
    has: async (name: string): Promise<boolean> => {
      const [row] = await server.psql(database, "SELECT to_regclass($1) IS NOT NULL AS found", [
        name,
      ]);
      return row?.["found"] === true;
    },
  };
}

/** The files that a run has undone, in order. */
export const undoneBy = ({ lines }: HeadgateResult): unknown[] =>
  lines.filter(({ msg }) => msg === "undone").map((line) => line["migration"]);
