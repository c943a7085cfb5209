import type pg from "pg";
import { eventually } from "../../../helpers/eventually.ts";
import type { Postgres } from "../../../helpers/postgres.ts";

/** A lock that a session has, or waits for. */
export type Lock = {
  readonly pid: number;
  readonly oid: number;
  readonly relation: string;
  readonly mode: string;
};

/** Every lock mode, by the words of LOCK TABLE, from weak to strong. */
export const modes = [
  ["access share", "AccessShareLock"],
  ["row share", "RowShareLock"],
  ["row exclusive", "RowExclusiveLock"],
  ["share update exclusive", "ShareUpdateExclusiveLock"],
  ["share", "ShareLock"],
  ["share row exclusive", "ShareRowExclusiveLock"],
  ["exclusive", "ExclusiveLock"],
  ["access exclusive", "AccessExclusiveLock"],
] as const;
const strong = modes.slice(4).map(([, mode]) => mode);

/** Reads the locks of sessions on relations that other sessions see; those that are dropped are still there for them. */
export async function readLocks(monitor: pg.Client, pids: readonly number[]): Promise<Lock[]> {
  // An index goes by the name of its table. Composite types (c) are locked too, but nobody reads or writes them.
  const { rows } = await monitor.query<Lock>(
    `select l.pid, c.oid::int, coalesce(i.indrelid, c.oid)::regclass::text as relation, l.mode
    from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
      left join pg_index i on i.indexrelid = c.oid
    where l.locktype = 'relation' and l.pid = any ($1) and c.relkind <> 'c'
      and n.nspname not in ('pg_catalog', 'information_schema')`,
    [pids],
  );
  return rows;
}

export async function readStrongLocks(monitor: pg.Client, pid: number): Promise<Lock[]> {
  return (await readLocks(monitor, [pid])).filter(({ mode }) => strong.includes(mode as never));
}

/** Runs a statement in a transaction that is rolled back; gives the strong locks that it has taken. */
export async function locksInside(
  client: pg.Client,
  monitor: pg.Client,
  sql: string,
): Promise<Lock[]> {
  const pid = await pidOf(client);
  await client.query("begin");
  try {
    await client.query(sql);
    return await readStrongLocks(monitor, pid);
  } catch (error) {
    throw new Error(`${sql}: ${String(error)}`, { cause: error });
  } finally {
    await client.query("rollback");
  }
}

/** Runs a statement that something holds back until it waits; gives the strong locks that it has or wants, and cancels it. */
export async function locksHeldBack(
  client: pg.Client,
  monitor: pg.Client,
  sql: string,
): Promise<Lock[]> {
  const pid = await pidOf(client);
  const running = client.query(sql).then(
    () => new Error(`${sql}: was not held back`),
    (error: Error & { code?: string }) => (error.code === "57014" ? undefined : error),
  );
  const waits = eventually(`${sql} waits`, async () => {
    const { rowCount } = await monitor.query(
      "select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'",
      [pid],
    );
    return rowCount === 1;
  });
  const ended = await Promise.race([waits, running]);
  if (ended instanceof Error) throw new Error(`${sql}: ${ended.message}`, { cause: ended });
  const locks = await readStrongLocks(monitor, pid);
  await monitor.query("select pg_cancel_backend($1)", [pid]);
  const error = await running;
  if (error !== undefined) throw error;
  return locks;
}

/** Asks the server which modes conflict: `${held} ${wanted}` for each pair. */
export async function readConflicts(
  holder: pg.Client,
  client: pg.Client,
): Promise<ReadonlySet<string>> {
  const conflicts = new Set<string>();
  for (const [heldWords, held] of modes) {
    await holder.query(`begin; lock table alone in ${heldWords} mode`);
    for (const [words, wanted] of modes) {
      await client
        .query(`begin; lock table alone in ${words} mode nowait`)
        .catch(() => conflicts.add(`${held} ${wanted}`));
      await client.query("rollback");
    }
    await holder.query("rollback");
  }
  return conflicts;
}

export async function pidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  return rows[0]?.pid ?? 0;
}

/** The ways to hold a relation: as a query does, with its indexes, and in each mode alone. */
export const ways = ["select", ...modes.map(([words]) => words)];

/** A session that holds one relation, so that one can tell which of them a statement waits for. */
export type Holder = {
  readonly relation: string;
  readonly kind: string;
  readonly client: pg.Client;
  readonly pid: number;
};

export async function connectHolders(server: Postgres, database: string): Promise<Holder[]> {
  const relations = await server.psql<{ relation: string; kind: string }>(
    database,
    `select c.oid::regclass::text as relation, relkind as kind
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and relkind in ('r', 'p', 'v', 'm', 'S', 'f')`,
  );
  return Promise.all(
    relations.map(async (relation) => {
      const client = await server.connect(database);
      return { ...relation, client, pid: await pidOf(client) };
    }),
  );
}

/** Nothing but a table can be locked without a query. */
export async function hold({ relation, kind, client }: Holder, way: string): Promise<void> {
  await client.query("begin");
  if (way === "select") {
    const select = `select from ${kind === "r" ? "only" : ""} ${relation}`;
    // A foreign table without a server cannot be read, but a view of it can be made.
    await client.query(kind === "f" ? `create temp view held as ${select}` : select);
  } else if (kind === "r" || kind === "p") {
    await client.query(`lock table only ${relation} in ${way} mode`);
  }
}
