import { HeadgateError } from "../errors.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import { type ToolName, toolOf } from "./tools.ts";

/** What another tool has recorded. */
export type Entry = {
  readonly version: string | null;
  readonly name: string | null;
  /** Whether all before it is applied as well, though it is not recorded. */
  readonly isNewest: boolean;
  /** Why it is none to build on. */
  readonly problem: string | null;
};

/**
 * Reads the history of another tool.
 * @throws HeadgateError history_mismatch (65) when there is none, or the table is another tool's; refused (77) when it
 * may not be read
 */
export async function readEntries(
  session: Session,
  name: ToolName,
  signal: AbortSignal,
): Promise<readonly Entry[]> {
  const { table, query } = toolOf(name);
  try {
    const [result] = await session.query(query, signal);
    return (result?.rows ?? []).map((row) => ({
      version: row["version"] as string | null,
      name: row["name"] as string | null,
      isNewest: row["is_newest"] === true,
      problem: row["problem"] as string | null,
    }));
  } catch (error) {
    throw explain(name, table, error);
  }
}

function explain(name: ToolName, table: string, cause: unknown): unknown {
  switch (sqlState(cause)) {
    case "42P01":
      return new HeadgateError("history_mismatch", `${name} has no table ${table} here`, {
        fix: "look whether it is the right database, and whether its schema is in the search path; or stamp a number",
        cause,
      });
    case "42703":
    case "42883":
      return new HeadgateError("history_mismatch", `the table ${table} is not one of ${name}`, {
        fix: "name the tool that made it with --from; or stamp a number",
        cause,
      });
    case "42501":
      return new HeadgateError("refused", `the table ${table} may not be read`, {
        fix: `grant select on ${table} to the user headgate connects as`,
        cause,
      });
    default:
      return cause;
  }
}
