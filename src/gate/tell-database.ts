import type { Context } from "../look.ts";
import { withDatabase } from "../migrator/database-forms.ts";
import type { Reached } from "../migrator/database-urls.ts";
import type { Variable } from "../migrator/variables.ts";
import type { Session } from "../postgres/session.ts";

/**
 * The container's environment for a program that is run beside headgate, with the database in the variables that are
 * named: as it is configured now, secrets read again, and the very server that the lock is on.
 */
export function tellDatabase(
  { config, environment }: Context,
  variables: readonly Variable[],
  { endpoint, encrypted }: Session,
  own: Pick<Reached, "application" | "options"> = {},
): Readonly<Record<string, string>> {
  if (variables.length === 0) return environment();
  const { settings, url } = config.rereadDatabase();
  const reached = { settings, endpoint, encrypted, ...(url === undefined ? {} : { url }), ...own };
  return withDatabase(environment(), variables, reached);
}
