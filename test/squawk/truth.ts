import type pg from "pg";
import { eventually } from "../helpers/eventually.ts";
import type { Postgres } from "../helpers/postgres.ts";
import type { Case } from "./corpus.ts";
import { rows } from "./schema.ts";

/** What a case did to the relations that others can see, on tables full of rows. */
export type Effects = {
  /** The strongest mode by relation; indexes only where nobody can read their table because of them. */
  readonly locks: Readonly<Record<string, string>>;
  readonly rewrites: readonly string[];
  readonly builds: readonly string[];
  readonly scans: readonly string[];
  /** Whether somebody was kept from reading or writing while it worked through a table. */
  readonly isLong: boolean;
};

const strength = [
  ...["AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"],
  ...["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"],
];
const page = 8192;

type Heap = {
  oid: number;
  name: string;
  kind: string;
  file: number;
  bytes: number;
  read: number;
  changed: number;
};
type Index = { name: string; table: number; file: number; bytes: number };
type Held = { oid: number; name: string; kind: string; mode: string; table: number | null };

const visible = `n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')`;

/** As the session itself sees it: rows read so far in this transaction, and the files behind each relation. */
async function readFiles(client: pg.Client): Promise<{ heaps: Heap[]; indexes: Index[] }> {
  const heaps = await client.query<Heap>(
    `select c.oid::int, c.oid::regclass::text as name, c.relkind as kind, pg_relation_filenode(c.oid)::int as file, pg_relation_size(c.oid)::int as bytes,
      coalesce((select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables s where s.relid = c.oid), 0)::int as read,
      coalesce((select n_tup_ins + n_tup_upd + n_tup_del from pg_stat_xact_user_tables s where s.relid = c.oid), 0)::int as changed
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${visible} and c.relkind in ('r', 'm')`,
  );
  const indexes = await client.query<Index>(
    `select c.oid::regclass::text as name, i.indrelid::int as table, pg_relation_filenode(c.oid)::int as file, pg_relation_size(c.oid)::int as bytes
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_index i on i.indexrelid = c.oid where ${visible} and c.relkind = 'i'`,
  );
  return { heaps: heaps.rows, indexes: indexes.rows };
}

/** As another session sees it: what is not committed is not there, so that only what others may use is counted. */
async function readHeld(monitor: pg.Client, pid: number): Promise<Held[]> {
  const { rows: held } = await monitor.query<Held>(
    `select c.oid::int, c.oid::regclass::text as name, c.relkind as kind, l.mode, i.indrelid::int as table from pg_locks l
      join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace left join pg_index i on i.indexrelid = c.oid
    where l.pid = $1 and l.locktype = 'relation' and ${visible} and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'i', 'I')`,
    [pid],
  );
  return held;
}

type Work = { rewrites: string[]; builds: string[]; scans: string[]; changes: string[] };

/** What was worked through between two looks, of the tables that `held` others can see. */
function worked(
  before: Awaited<ReturnType<typeof readFiles>>,
  after: Awaited<ReturnType<typeof readFiles>>,
  held: readonly Held[],
): Work {
  const isOld = (oid: number): boolean => before.heaps.some((heap) => heap.oid === oid);
  const nameOf = (oid: number): string => before.heaps.find((heap) => heap.oid === oid)?.name ?? "";
  const rewritten = after.heaps.filter(
    ({ oid, file, bytes }) =>
      isOld(oid) && bytes > 0 && before.heaps.find((heap) => heap.oid === oid)?.file !== file,
  );
  const isRewritten = (oid: number): boolean => rewritten.some((heap) => heap.oid === oid);
  const built = after.indexes.filter(
    ({ table, file, bytes }) =>
      isOld(table) &&
      !isRewritten(table) &&
      bytes > 2 * page &&
      !before.indexes.some((index) => index.file === file),
  );
  const scanned = after.heaps.filter(({ oid, read }) => {
    const since = read - (before.heaps.find((heap) => heap.oid === oid)?.read ?? 0);
    const isLocked = held.some(
      (lock) =>
        lock.oid === oid &&
        strength.indexOf(lock.mode) >= strength.indexOf("ShareUpdateExclusiveLock"),
    );
    return isOld(oid) && since >= rows / 2 && isLocked && !isRewritten(oid);
  });
  const changed = after.heaps.filter((heap) => {
    const since = heap.changed - (before.heaps.find(({ oid }) => oid === heap.oid)?.changed ?? 0);
    return isOld(heap.oid) && since >= rows / 2;
  });
  return {
    changes: changed.map(({ oid }) => nameOf(oid)),
    rewrites: rewritten.map(({ oid }) => nameOf(oid)),
    builds: [...new Set(built.map(({ table }) => nameOf(table)))],
    scans: scanned.map(({ oid }) => nameOf(oid)),
  };
}

function isBlocking({ kind, mode }: Held): boolean {
  if (mode === "AccessExclusiveLock") return true;
  return ["r", "p"].includes(kind) && strength.indexOf(mode) >= strength.indexOf("ShareLock");
}

function strongest(held: readonly Held[]): Record<string, string> {
  const locks: Record<string, string> = {};
  for (const { name, kind, mode, table } of held) {
    const isIndex = kind === "i" || kind === "I";
    const hidesTable = held.some(
      (lock) => lock.oid === table && lock.mode === "AccessExclusiveLock",
    );
    if (isIndex && (mode !== "AccessExclusiveLock" || hidesTable)) continue;
    if (strength.indexOf(mode) > strength.indexOf(locks[name] ?? "")) locks[name] = mode;
  }
  return locks;
}

/** Runs the case in a transaction that is rolled back. */
export async function observeInside(
  client: pg.Client,
  monitor: pg.Client,
  { sql }: Case,
): Promise<Effects> {
  const pid = await pidOf(client);
  const all: Work = { rewrites: [], builds: [], scans: [], changes: [] };
  let isLong = false;
  let held: Held[] = [];
  // Only seq_tup_read tells how many rows were read.
  await client.query(
    "begin; set local enable_indexscan = off; set local enable_indexonlyscan = off; set local enable_bitmapscan = off",
  );
  try {
    for (const statement of /^do\b/i.test(sql) ? [sql] : sql.split("; ")) {
      const before = await readFiles(client);
      await client.query(statement);
      held = await readHeld(monitor, pid);
      const work = worked(before, await readFiles(client), held);
      // Row changes outlast a moment, too, while others wait for something else.
      const isDone = Object.values(work).some((names) => names.length > 0);
      isLong ||= isDone && held.some(isBlocking);
      for (const key of ["rewrites", "builds", "scans", "changes"] as const)
        all[key].push(...work[key]);
    }
    return { locks: strongest(held), ...all, isLong };
  } catch (error) {
    throw new Error(`${sql}: ${String(error)}`, { cause: error });
  } finally {
    await client.query("rollback");
  }
}

/** Runs the case in a database of its own, while others hold it back so that its locks can be seen. */
export async function observeOutside(
  server: Postgres,
  database: string,
  { sql, heldBackBy = [] }: Case,
): Promise<Effects> {
  const connections: pg.Client[] = [];
  const connect = async (): Promise<pg.Client> => {
    const connection = await server.connect(database);
    connections.push(connection);
    return connection;
  };
  try {
    const [client, monitor] = [await connect(), await connect()];
    const pid = await pidOf(client);
    const before = await readFiles(monitor);
    const holders: pg.Client[] = [];
    for (const words of heldBackBy) {
      const holder = await connect();
      await holder.query(words);
      holders.push(holder);
    }
    let failure: unknown;
    const running = client.query(sql).catch((error: unknown) => (failure = error));
    const held: Held[] = [];
    for (const [index, holder] of holders.entries()) {
      await eventually(`${sql} waits for holder ${index}`, async () => {
        if (failure !== undefined) throw failure;
        const { rowCount } = await monitor.query(
          "select from pg_locks where not granted and pid = $1 and $2 = any (pg_blocking_pids($1))",
          [pid, await pidOf(holder)],
        );
        return rowCount === 1;
      });
      held.push(...(await readHeld(monitor, pid)));
      await holder.query("rollback");
    }
    await running;
    if (failure !== undefined) throw failure;
    const work = worked(before, await readFiles(monitor), held);
    const isDone = work.rewrites.length + work.builds.length > 0;
    return { locks: strongest(held), ...work, scans: [], isLong: isDone && held.some(isBlocking) };
  } finally {
    await Promise.all(connections.map((connection) => connection.end()));
  }
}

const pids = new WeakMap<pg.Client, number>();

async function pidOf(client: pg.Client): Promise<number> {
  const known = pids.get(client);
  if (known !== undefined) return known;
  const { rows: found } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const pid = found[0]?.pid ?? 0;
  pids.set(client, pid);
  return pid;
}
