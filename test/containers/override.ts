import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { type MigrationFiles, addMigrations } from "../helpers/migrations.ts";

const own = join(import.meta.dirname, "../../migrations");

/** The demo with further migrations: the compose files to give, and the folder, which may be edited. */
export function withMigrations(more: MigrationFiles): { files: string[]; folder: string } {
  const folder = temporaryFolder("headgate-migrations-");
  cpSync(own, folder, { recursive: true });
  addMigrations(folder, more);
  const volumes = [`${folder}:/app/migrations:ro`];
  return {
    folder,
    files: override({ api: { volumes }, migrate: { volumes }, "api-separate": { volumes } }),
  };
}

/** The demo in another image; the rest of the file is as it is. */
export const withImage = (image: string): string[] =>
  override({ api: { image }, migrate: { image }, "api-separate": { image } });

/** The demo with a variable more for the API. */
export const withVariable = (name: string, value: string): string[] =>
  override({ api: { environment: { [name]: value } } });

/** The demo whose new database takes its time to be set up; all the while it listens on the unix socket only. */
export function withSlowFirstBoot(seconds: number): string[] {
  const folder = temporaryFolder("headgate-initdb-");
  writeFileSync(join(folder, "slow.sh"), `sleep ${seconds}\n`);
  return override({ db: { volumes: [`${folder}:/docker-entrypoint-initdb.d:ro`] } });
}

function override(services: object): string[] {
  const file = join(temporaryFolder("headgate-override-"), "override.yml");
  writeFileSync(file, JSON.stringify({ services })); // JSON is YAML, too
  return ["docker-compose.yml", file];
}
