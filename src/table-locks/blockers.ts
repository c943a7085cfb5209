import { quoteLiteral, quoteTable, thisDatabase } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import type { LockMode, StrongLock } from "../sql/strong-locks.ts";

/** Somebody who holds a lock that conflicts with one that a migration wants. What our role may not see is null. */
export type Blocker = {
  /** Null for a prepared transaction, which belongs to no session. */
  readonly pid: number | null;
  readonly application: string;
  readonly user: string | null;
  /** `active`, `idle in transaction` … */
  readonly state: string | null;
  /** How long its transaction has lasted, and how long it has been in this state; milliseconds. */
  readonly ageMs: number | null;
  readonly stateMs: number | null;
  readonly relation: string;
  readonly mode: string;
  /** The transaction's own name, by which it is known again. */
  readonly transaction: string;
  readonly isAutovacuum: boolean;
  /** The name given to PREPARE TRANSACTION. */
  readonly prepared: string | null;
  readonly query?: string;
};

/** PostgreSQL, "Explicit Locking", table 13.2. */
const everyRead = ["AccessShareLock", "RowShareLock"];
const everyWrite = [
  "RowExclusiveLock",
  "ShareUpdateExclusiveLock",
  "ShareLock",
  "ShareRowExclusiveLock",
  "ExclusiveLock",
  "AccessExclusiveLock",
];
const conflicts: { readonly [mode in LockMode]: readonly string[] } = {
  ShareLock: everyWrite.filter((mode) => mode !== "ShareLock"),
  ShareRowExclusiveLock: everyWrite,
  ExclusiveLock: ["RowShareLock", ...everyWrite],
  AccessExclusiveLock: [...everyRead, ...everyWrite],
};

const mostShown = 100;

/**
 * The query that looks who holds a lock that conflicts with one of these, the oldest first. Asks the lock queue for nothing.
 * Counts in the table of an index, and what a lock reaches.
 * @param withQueries whether to tell the text of their queries, which may hold secrets
 */
function blockersQuery(wanted: readonly StrongLock[], withQueries: boolean): string {
  const asked = wanted.map(({ relation, mode, reach }) => {
    const name = quoteLiteral(quoteTable(relation.slice(-2)));
    const modes = conflicts[mode].map(quoteLiteral).join(", ");
    const words = reach.map(quoteLiteral).join(", ");
    return `(pg_catalog.to_regclass(${name})::oid, array[${modes}], array[${words}]::text[])`;
  });
  return `with recursive reached (relation, conflicts, reach) as (
      select * from (values ${asked.join(", ")}) as asked (relation, conflicts, reach) where relation is not null
      union
      select further.relation, conflicts, further.reach from reached cross join lateral (
        select inhrelid, reach from pg_catalog.pg_inherits where 'parts' = any (reach) and inhparent = reached.relation
        union all select indrelid, '{}' from pg_catalog.pg_index where indexrelid = reached.relation
        union all select partdefid, '{parts}' from pg_catalog.pg_partitioned_table
          where 'default' = any (reach) and partrelid = reached.relation and partdefid <> 0
        union all select inhparent, '{default}' from pg_catalog.pg_inherits join pg_catalog.pg_class on oid = inhrelid
          where 'whole' = any (reach) and inhrelid = reached.relation and relispartition
        union all select case when conrelid = reached.relation then confrelid else conrelid end, '{parts}'
          from pg_catalog.pg_constraint
          where 'links' = any (reach) and contype = 'f' and reached.relation in (conrelid, confrelid)
            and (conparentid = 0 or not 'whole' = any (reach))
        union all select conrelid, '{parts,references}' from pg_catalog.pg_constraint
          where 'references' = any (reach) and contype = 'f' and confrelid = reached.relation
      ) as further (relation, reach)
    )
    select l.pid, coalesce(a.application_name, '') as application, a.usename as user_name, a.state,
      (extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000)::float8 as age_ms,
      (extract(epoch from pg_catalog.clock_timestamp() - a.state_change) * 1000)::float8 as state_ms,
      l.relation::pg_catalog.regclass::text as relation, l.mode, l.virtualtransaction as transaction,
      l.pid is not null and a.usesysid is null and coalesce(a.query, '') not like '%to prevent wraparound%' as autovacuum,
      p.gid as prepared ${withQueries ? ", a.query" : ""}
    from pg_catalog.pg_locks l join reached r on l.relation = r.relation and l.mode = any (r.conflicts)
      left join pg_catalog.pg_stat_activity a on a.pid = l.pid
      left join pg_catalog.pg_prepared_xacts p on l.pid is null and p.transaction in (
        select transactionid from pg_catalog.pg_locks t
        where t.pid is null and t.locktype = 'transactionid' and t.virtualtransaction = l.virtualtransaction)
    where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_catalog.pg_backend_pid()
      and l.database = ${thisDatabase}
    order by age_ms desc nulls first limit ${mostShown}`;
}

/**
 * The query whether nobody else holds a lock on any table of this database: then nobody blocks anything. It takes a
 * tenth of the time of `blockersQuery`, which has many tables to plan.
 */
export const aloneQuery = `select not exists (select from pg_catalog.pg_locks
    where locktype = 'relation' and granted and relation >= 16384 and pid is distinct from pg_catalog.pg_backend_pid()
      and database = ${thisDatabase}) as alone`;

/** Asks who blocks now. */
export async function findBlockers(
  session: Session,
  wanted: readonly StrongLock[],
  withQueries: boolean,
  signal: AbortSignal,
): Promise<Blocker[]> {
  if (wanted.length === 0) return [];
  const [result] = await session.query(blockersQuery(wanted, withQueries), signal);
  return (result?.rows ?? []).map(toBlocker);
}

function toBlocker(row: Record<string, unknown>): Blocker {
  const number = (value: unknown): number | null =>
    value === null ? null : Math.round(Number(value));
  return {
    pid: number(row["pid"]),
    application: String(row["application"]),
    user: row["user_name"] as string | null,
    state: row["state"] as string | null,
    ageMs: number(row["age_ms"]),
    stateMs: number(row["state_ms"]),
    relation: String(row["relation"]),
    mode: String(row["mode"]),
    transaction: String(row["transaction"]),
    isAutovacuum: row["autovacuum"] === true,
    prepared: row["prepared"] as string | null,
    ...(typeof row["query"] === "string" ? { query: row["query"] } : {}),
  };
}

/** One line for each session: `api (pid 4711, user app, idle in transaction for 12.3 s, holds AccessShareLock on users)`. */
export function describeBlockers(blockers: readonly Blocker[]): string[] {
  const bySession = Map.groupBy(blockers, ({ transaction }) => transaction);
  return [...bySession.values()].map(([first, ...others]) => {
    const { application, pid, user, state, ageMs, mode, relation, prepared, query } =
      first as Blocker;
    const locks = [
      `${mode} on ${relation}`,
      ...others.map((other) => `${other.mode} on ${other.relation}`),
    ];
    const who =
      prepared === null ? application || "a session" : `the prepared transaction ${prepared}`;
    const facts = [
      ...(pid === null ? [] : [`pid ${pid}`]),
      ...(user === null ? [] : [`user ${user}`]),
      ...(state === null ? [] : [state]),
      ageMs === null ? "age not visible" : `transaction open for ${(ageMs / 1000).toFixed(1)} s`,
      `holds ${[...new Set(locks)].join(", ")}`,
      ...(query === undefined ? [] : [`query: ${query.slice(0, 500)}`]),
    ];
    return `${who} (${facts.join(", ")})`;
  });
}

/**
 * Ends the sessions among the blockers that have been idle in their transaction for longer than this. What they are
 * is asked again in the same statement, so that one which has begun to work meanwhile is left alone.
 * @returns those that were ended
 * @throws pg's DatabaseError 42501 without the right to do so
 */
export async function endIdleBlockers(
  session: Session,
  blockers: readonly Blocker[],
  idleMs: number,
  signal: AbortSignal,
): Promise<Blocker[]> {
  const ended: Blocker[] = [];
  for (const blocker of blockers) {
    const { pid, state, stateMs } = blocker;
    if (pid === null || !state?.startsWith("idle in transaction") || (stateMs ?? 0) < idleMs)
      continue;
    if (ended.some((other) => other.pid === pid)) continue;
    const [result] = await session.query(
      `select pg_catalog.pg_terminate_backend(pid) as ended from pg_catalog.pg_stat_activity
      where pid = ${pid} and state like 'idle in transaction%'
        and state_change < pg_catalog.clock_timestamp() - interval '${Math.ceil(idleMs)} ms'`,
      signal,
    );
    if (result?.rows[0]?.["ended"] === true) ended.push(blocker);
  }
  return ended;
}
