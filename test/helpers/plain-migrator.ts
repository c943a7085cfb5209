import { temporaryFolder } from "./cleanup.ts";
import { addMigrations, type MigrationFiles } from "./migrations.ts";

const program = `${import.meta.dirname}/plain-migrator.mjs`;

/** A folder with the steps of plain-migrator.mjs, and how headgate is told to run it there. */
export interface MigratorProject {
  folder: string;
  /** The migrator, its inputs and its state. */
  args: string[];
  add(steps: MigrationFiles): void;
}

export const steps: MigrationFiles = {
  "1.sql": "CREATE TABLE things (id int)",
  "2.sql": "INSERT INTO things VALUES (1)",
};

export function makeMigratorProject(files: MigrationFiles = steps): MigratorProject {
  const folder = temporaryFolder("headgate-migrator-");
  const add = (more: MigrationFiles): void => {
    addMigrations(
      folder,
      Object.fromEntries(Object.entries(more).map(([name, text]) => [`steps/${name}`, text])),
    );
  };
  add(files);
  const command = JSON.stringify([process.execPath, program]);
  const args = ["--migrator", command, "--migrator-dir", folder];
  return {
    folder,
    args: [...args, "--migrator-inputs", "steps/*", "--migrator-state", "steps_done"],
    add,
  };
}
