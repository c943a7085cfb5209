import { HeadgateError } from "../errors.ts";
import { quoteLiteral, type SessionFacts } from "./facts.ts";
import type { Session } from "./session.ts";
import { isServerError } from "./sqlstate.ts";

/**
 * Whether a server refuses a session for the settings that come with it: PgBouncer (08P01) and proxies of its kind
 * (0A000) take none.
 */
export const refusesOptions = (error: unknown): boolean =>
  isServerError(error) && (error.code === "08P01" || error.code === "0A000");

/**
 * Makes sure that tables are made and found where the connection parameters say, although a pooler has swallowed the
 * search path: as long as its own leads to the same schemas.
 * @param wanted the search path; undefined when none is asked for
 * @throws HeadgateError usage (64)
 */
export async function mustHaveSearchPath(
  session: Session,
  wanted: string | undefined,
  { searchPath }: SessionFacts,
  signal: AbortSignal,
): Promise<void> {
  if (wanted === undefined || searchPath === wanted) return;
  const schemas = "select pg_catalog.current_schemas(false)::text as schemas";
  // Sent together they are one transaction, and the setting ends with it.
  const results = await session.query(
    `${schemas}; select pg_catalog.set_config('search_path', ${quoteLiteral(wanted)}, true); ${schemas}`,
    signal,
  );
  const [has, , wants] = results.map(({ rows }) => rows[0]?.["schemas"]);
  if (has === wants) return;
  throw new HeadgateError(
    "usage",
    `the search path ${wanted}, which the connection parameters ask for, is lost on the way to the server, where it is ${searchPath}: a pooler does not pass it on`,
    {
      fix: `give it to the role or the database (alter role … set search_path = ${wanted}), or set HEADGATE_DATABASE_URL to the server's own address`,
    },
  );
}
