import { hasChangedSince, readNotedSchema, type NotedSchema } from "../apply/note-schema.ts";
import {
  compareSchemas,
  describeDifference,
  type Difference,
  readSchema,
} from "../fingerprint/schema.ts";
import { ownTables } from "../gate/own-tables.ts";
import { isSql, type Prepared, type PreparedSql } from "../gate/prepare-sets.ts";
import { connectWhenReady, type Context } from "../look.ts";
import { locateHistory } from "../migrations/history.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";

/** How the schema differs from what it was after the last run; or why that cannot be told. */
export type Drift =
  | { readonly since: string; readonly by: string; readonly differences: readonly Difference[] }
  | { readonly unknown: string };

/**
 * Compares the schema with what it consisted of after the last run of any of the sets: they share the database. Reads
 * only, also from a standby.
 */
export async function findDrift(context: Context, sets: readonly Prepared[]): Promise<Drift> {
  const session = await connectWhenReady(context, { mustWrite: false });
  try {
    return await compare(context, session, sets.filter(isSql));
  } finally {
    session.end();
  }
}

async function compare(
  { config, signal }: Context,
  session: Session,
  sets: readonly PreparedSql[],
): Promise<Drift> {
  if (sets.length === 0)
    return { unknown: "the schema is noted only after SQL files of headgate's own" };
  const tables: (readonly [string, string])[] = [];
  const found: NotedSchema[] = [];
  for (const { set } of sets) {
    const historyTable = await locateHistory(session, set.historyTable, signal);
    if (historyTable === undefined) continue;
    tables.push(historyTable);
    const noted = await readNotedSchema(session, historyTable, signal);
    if (noted !== undefined) found.push(noted);
  }
  const latest = found.toSorted((a, b) => a.atMs - b.atMs).at(-1);
  if (latest === undefined) return { unknown: "no run has noted the schema yet" };
  const { at, by, objects, serverMajor, major } = latest;
  for (const table of tables) {
    if (await hasChangedSince(session, table, at, signal))
      return { unknown: "the last run failed or was cut off after it had applied something" };
  }
  if (serverMajor !== major) {
    return {
      unknown: `it was noted on PostgreSQL ${serverMajor}, and PostgreSQL ${major} describes objects in other words; the next run that applies something notes it again`,
    };
  }
  try {
    const now = await readSchema(session, ownTables(config.sets), signal);
    return { since: at, by, differences: compareSchemas(objects, now) };
  } catch (error) {
    if (sqlState(error) !== "55P03") throw error;
    return { unknown: "another session keeps a table locked, perhaps because it migrates" };
  }
}

/** For people; ends with a newline. */
export function driftText(drift: Drift): string {
  if ("unknown" in drift) return `drift unknown: ${drift.unknown}\n`;
  const { since, by, differences } = drift;
  const count = differences.length;
  if (count === 0) return `no drift since ${since}, when ${by} migrated\n`;
  const lines = differences.map((difference) => `  - ${describeDifference(difference)}\n`);
  return `drift: ${count} ${count === 1 ? "object has" : "objects have"} changed since ${since}, when ${by} migrated\n${lines.join("")}`;
}
