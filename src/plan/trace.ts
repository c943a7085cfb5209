import type { Readable } from "../apply/refuse.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import { runEach } from "../postgres/run-together.ts";
import type { Session } from "../postgres/session.ts";
import { describeSqlState, isServerError, sqlState } from "../postgres/sqlstate.ts";
import { mannerOf } from "../sql/manner.ts";
import type { Statement } from "../sql/statements.ts";
import { clearInvalid } from "./clear-invalid.ts";
import { knownLocks, reachesBeyond } from "./known.ts";
import { compare, type Lock, type Observation } from "./observe.ts";
import { type Relation, type Snapshot, takeSnapshot } from "./snapshot.ts";

/** What became of a statement on the copy. */
export type Traced = Observation & {
  readonly statement: Statement;
  /** `observed`: while it held them; `known`: from its text, because it holds none behind itself; else why it is not known. */
  readonly locksAre: "observed" | "known";
  readonly unknown?: string;
  /** The server's SQLSTATE for it, where it failed. */
  readonly code?: string;
  /** What the session saw behind it; absent when it is not known what it did. */
  readonly after?: Snapshot;
};

/** The copy, and what of it stands for something on the target. */
export type Tracer = {
  readonly session: Session;
  readonly base: ReadonlyMap<number, Relation>;
  /** The indexes that are INVALID on the target, as they are written in SQL. */
  readonly invalid: ReadonlySet<string>;
  /** SQL that makes the session as migrations find it. */
  readonly prepare: string;
  readonly signal: AbortSignal;
};

const nothing: Observation = { locks: [], held: [], rewrites: [], scans: [], builds: [] };
/** No statement on empty tables takes so long; one that waits for something else must not stop the plan. */
const longestStatementMs = 60_000;
const changesRows = /^(INSERT|UPDATE|DELETE|MERGE|WITH)\b/;
/** "cannot run inside a transaction block", and "invalid transaction termination": a COMMIT in a procedure. */
const onlyOutside = ["25001", "2D000"];

/**
 * Runs a file on the copy as it would be applied, and watches each statement.
 * @param from statements before it have been applied already
 */
export async function traceFile(
  tracer: Tracer,
  file: Readable,
  from = 0,
): Promise<readonly Traced[]> {
  const { migration, statements } = file;
  const { session, prepare, signal } = tracer;
  await session.query(
    `reset session authorization; reset role; reset all; discard temp; deallocate all; ${prepare}; set statement_timeout = ${longestStatementMs}`,
    signal,
  );
  const { sql } = migration;
  if (!migration.directives.isTransactional) {
    const traced: Traced[] = [];
    for (const step of statements.slice(from)) {
      await clearInvalid(tracer, file, [step]);
      traced.push(await traceStep(tracer, sql, step));
    }
    return traced;
  }
  await clearInvalid(tracer, file, statements);
  await session.query("begin", signal);
  const traced: Traced[] = [];
  for (const statement of statements) {
    // In a large schema each look takes a while, and nothing happens between two statements.
    traced.push(await traceInside(tracer, sql, statement, traced.at(-1)?.after));
  }
  return endFile(tracer, traced);
}

/** Deferred constraints speak up only now. */
async function endFile(tracer: Tracer, traced: readonly Traced[]): Promise<readonly Traced[]> {
  const { session, signal } = tracer;
  try {
    await session.query("commit", signal);
    return traced;
  } catch (error) {
    const unknown = `the file failed at its end: ${describe(error)}`;
    return traced.map((each, index) => (index === traced.length - 1 ? { ...each, unknown } : each));
  }
}

/** One statement inside the open transaction; when it fails it is undone, and the next one is tried. */
async function traceInside(
  tracer: Tracer,
  sql: string,
  statement: Statement,
  lastLook?: Snapshot,
): Promise<Traced> {
  const { session, base, signal } = tracer;
  const beyond = reachesBeyond(sql, statement);
  if (beyond !== undefined) return unknown(statement, beyond);
  const before = lastLook ?? (await takeSnapshot(session, signal));
  await session.query("savepoint headgate", signal);
  const undo = (): Promise<unknown> => session.query("rollback to savepoint headgate", signal);
  const text = sql.slice(statement.start, statement.end);
  try {
    await session.query(text, signal);
  } catch (error) {
    const why = describe(error);
    await undo();
    // Foreign keys and the like miss rows that the copy has not: looking at how it would be done takes the locks, too.
    const isForLackOfRows = changesRows.test(statement.opening) && sqlState(error).startsWith("23");
    if (
      !isForLackOfRows ||
      (await runEach(session, [{ sql: `explain ${text}` }], signal)).length > 0
    ) {
      await undo();
      return unknown(statement, `it failed on the copy: ${why}`, sqlState(error));
    }
  }
  const after = await takeSnapshot(session, signal);
  if (after.changesServer && !before.changesServer) {
    await undo();
    return unknown(statement, "it acts on the whole server, so it was undone at once");
  }
  await session.query("release savepoint headgate", signal);
  return { statement, locksAre: "observed", after, ...compare(base, before, after) };
}

async function traceStep(tracer: Tracer, sql: string, step: Statement): Promise<Traced> {
  const { session, signal } = tracer;
  const manner = mannerOf(sql, step);
  if (manner !== "outside" && manner !== "setting") {
    await session.query("begin", signal);
    const inside = await traceInside(tracer, sql, step);
    const [traced = inside] = await endFile(tracer, [inside]);
    // What its text did not tell.
    if (!onlyOutside.includes(inside.code ?? "")) return traced;
  }
  return traceOutside(tracer, sql, step, manner === "setting");
}

async function traceOutside(
  { session, base, signal }: Tracer,
  sql: string,
  step: Statement,
  isSetting: boolean,
): Promise<Traced> {
  const beyond = reachesBeyond(sql, step);
  if (beyond !== undefined) return unknown(step, beyond);
  const known = isSetting ? [] : knownLocks(sql, step);
  const before = await takeSnapshot(session, signal);
  const locks: Lock[] = [];
  for (const { relation, mode } of known ?? []) {
    const oid = await findRelation(session, relation, signal);
    const table = before.relations.get(oid ?? 0)?.indexOf ?? oid;
    if (table !== undefined && base.has(table)) locks.push({ oid: table, mode });
  }
  try {
    await session.query(sql.slice(step.start, step.end), signal);
  } catch (error) {
    return unknown(step, `it failed on the copy: ${describe(error)}`);
  }
  const after = await takeSnapshot(session, signal);
  const observed = compare(base, before, after);
  if (known === undefined) {
    return { ...unknown(step, "its locks could not be watched"), rewrites: observed.rewrites };
  }
  return { statement: step, locksAre: "known", after, ...observed, locks, held: [] };
}

async function findRelation(
  session: Session,
  names: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const sql = `select pg_catalog.to_regclass(${quoteLiteral(quoteTable(names))})::pg_catalog.oid::bigint as oid`;
  const [result] = await session.query(sql, signal);
  const oid = result?.rows[0]?.["oid"];
  return oid === null ? undefined : Number(oid);
}

const unknown = (statement: Statement, why: string, code = ""): Traced => ({
  ...{ statement, ...nothing, locksAre: "observed", unknown: why, code },
});

/** @throws what is not the server's word about the statement */
function describe(error: unknown): string {
  if (!isServerError(error)) throw error;
  return `${error.message} (${describeSqlState(error.code)})`;
}
