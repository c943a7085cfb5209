/** How the migrations of this image and the database relate. */
export interface MigrationState {
  /** Every migration is applied, and nothing disagrees. */
  readonly upToDate: boolean;
  /** File names, in the order in which they would be applied. */
  readonly pending: readonly string[];
  /** Why the history and the files disagree, a sentence each: changed, missing, out of order. */
  readonly problems: readonly string[];
}

/**
 * What `headgate verify` knows, for a route such as /health: one connection, one query, no lock.
 * @param env where the database and the folder are told, as for the program: `process.env`
 * @param options flags by name: `{ migrations: "db/migrations" }`
 * @throws an Error with `code` and `exitCode`, when the configuration is wrong or the database is not ready
 */
export function checkMigrations(
  env: Readonly<Record<string, string | undefined>>,
  options?: Readonly<Record<string, string>>,
): Promise<MigrationState>;
