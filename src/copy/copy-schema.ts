import { HeadgateError } from "../errors.ts";
import { type Refused, runEach, runTogether } from "../postgres/run-together.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import { leftOut, linksAndViews, tables, typesAndRoutines } from "./objects.ts";

/** Something that is on the target and not, or not in the same way, in the copy. */
export type NotCopied = { readonly kind: string; readonly name: string; readonly why: string };

type Statement = { readonly kind: string; readonly name: string; readonly sql: string };

/** Under these the catalog's functions write names in full, and values so that they mean the same elsewhere. */
const exactly = `set local search_path = ''; set local timezone = 'UTC'; set local datestyle = 'ISO, MDY'; set local intervalstyle = 'postgres';
  set local extra_float_digits = 1; set local quote_all_identifiers = off; set local bytea_output = 'hex'; set local jit = off`;

/** One transaction holds still what is read; a migration that is running is not waited for longer. */
const longestLockMs = 10_000;

/**
 * Makes the schema of one database anew, without rows, in an empty one. Of the first it reads the catalog only.
 * @param target outside any transaction
 * @param scratch outside any transaction; its settings are as the server gives them, before and after
 * @returns what could not be copied
 * @throws HeadgateError lock_timeout (75) when a table of the target stays locked
 */
export async function copySchema(
  target: Session,
  scratch: Session,
  signal: AbortSignal,
): Promise<readonly NotCopied[]> {
  const { phases, missing, path } = await readSchema(target, signal);
  await scratch.query("set check_function_bodies = off; set search_path = ''", signal);
  const there = await rowsOf(
    scratch,
    "select 'schema', pg_catalog.quote_ident(nspname), '' from pg_catalog.pg_namespace",
    signal,
  );
  // Also CREATE SCHEMA IF NOT EXISTS wants the right to create schemas.
  const isThere = ({ kind, name }: Statement): boolean =>
    kind === "schema" && there.some(([, schema]) => schema === name);
  let failed: Refused<Statement>[] = [];
  for (const phase of phases)
    failed.push(
      ...(await runTogether(
        scratch,
        phase.filter((one) => !isThere(one)),
        signal,
      )),
    );
  // Names are written in full, but for those in the bodies of functions, which an index or a view may run already.
  await scratch.query(`set search_path = ${path}`, signal);
  // What depends on something that came later succeeds now, or when that has.
  for (let before = Infinity; failed.length > 0 && failed.length < before;) {
    before = failed.length;
    failed = await runEach(
      scratch,
      failed.map(({ statement }) => statement),
      signal,
    );
  }
  await scratch.query("reset check_function_bodies; reset search_path", signal);
  return [...missing, ...failed.map(({ statement: { kind, name }, why }) => ({ kind, name, why }))];
}

async function readSchema(
  target: Session,
  signal: AbortSignal,
): Promise<{ phases: Statement[][]; missing: NotCopied[]; path: string }> {
  const [found] = await target.query(
    "select coalesce(nullif(pg_catalog.current_setting('search_path'), ''), '''''') as path",
    signal,
  );
  const path = String(found?.rows[0]?.["path"]);
  await target.query(
    `begin transaction isolation level repeatable read read only; ${exactly}; set local lock_timeout = ${longestLockMs}`,
    signal,
  );
  try {
    const phases: Statement[][] = [];
    for (const sql of [...typesAndRoutines, ...tables, ...linksAndViews]) {
      phases.push(
        (await rowsOf(target, sql, signal)).map(([kind, name, text]) => ({
          kind,
          name,
          sql: text,
        })),
      );
    }
    const missing = (await rowsOf(target, leftOut, signal)).map(([kind, name, why]) => ({
      ...{ kind, name, why },
    }));
    return { phases, missing, path };
  } catch (error) {
    if (sqlState(error) !== "55P03") throw error;
    throw new HeadgateError(
      "lock_timeout",
      `another session has kept a table locked for ${longestLockMs / 1000} s, so the schema could not be read; nothing was changed`,
      {
        fix: "run again when it is done: it is in pg_locks, with AccessExclusiveLock",
        cause: error,
      },
    );
  } finally {
    await target.afterwards("rollback");
  }
}

async function rowsOf(
  session: Session,
  sql: string,
  signal: AbortSignal,
): Promise<(readonly [string, string, string])[]> {
  const [result] = await session.query(
    `select kind, name, third from (${sql}) as found (kind, name, third) where third is not null`,
    signal,
  );
  return (result?.rows ?? []).map(({ kind, name, third }) => [
    String(kind),
    String(name),
    String(third),
  ]);
}
