import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryFolder } from "./cleanup.ts";

/** Contents by file name; a Buffer is written byte for byte. */
export type MigrationFiles = Record<string, string | Buffer>;

/** Three migrations that apply cleanly to an empty database. */
export const happy: MigrationFiles = {
  "1_create-accounts.sql":
    "CREATE TABLE accounts (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE);\n",
  "2_add-account-name.sql": "ALTER TABLE accounts ADD COLUMN name text;\n",
  "3_index-account-names.sql": "CREATE INDEX accounts_name_idx ON accounts (name);\n",
};

/** Writes the files into a new temporary folder, removed when this process ends; gives its path. */
export function makeMigrations(files: MigrationFiles = happy): string {
  const folder = temporaryFolder("headgate-migrations-");
  addMigrations(folder, files);
  return folder;
}

/** Writes further files into the folder, or over the ones of the same name. */
export function addMigrations(folder: string, files: MigrationFiles): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}
