import type { Session } from "./session.ts";
import { isServerError } from "./sqlstate.ts";

/** A statement that the server refused. */
export type Refused<T> = { readonly statement: T; readonly why: string };

/** Together they take some thousand locks of the server, which others on it need, too (max_locks_per_transaction). */
const mostTogether = 100;

/**
 * Runs many statements, a hundred in one query, which is one transaction; one by one if that fails.
 * @returns those that were refused
 * @throws what is not the server's word about a statement
 */
export async function runTogether<T extends { readonly sql: string }>(
  session: Session,
  statements: readonly T[],
  signal: AbortSignal,
): Promise<Refused<T>[]> {
  const refused: Refused<T>[] = [];
  for (let from = 0; from < statements.length; from += mostTogether) {
    const some = statements.slice(from, from + mostTogether);
    const all = { sql: some.map(({ sql }) => sql).join(";\n") };
    if ((await runEach(session, [all], signal)).length === 0) continue;
    refused.push(...(await runEach(session, some, signal)));
  }
  return refused;
}

/** The same, each in a query of its own. */
export async function runEach<T extends { readonly sql: string }>(
  session: Session,
  statements: readonly T[],
  signal: AbortSignal,
): Promise<Refused<T>[]> {
  const refused: Refused<T>[] = [];
  for (const statement of statements) {
    try {
      await session.query(statement.sql, signal);
    } catch (error) {
      if (!isServerError(error)) throw error;
      refused.push({ statement, why: error.message });
    }
  }
  return refused;
}
