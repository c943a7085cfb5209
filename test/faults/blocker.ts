import type { Postgres } from "../helpers/postgres.ts";
import type { Point } from "./plan.ts";

const modes = {
  reader: "access share",
  writer: "row exclusive",
  owner: "access exclusive",
  archivist: "access exclusive",
} as const;

/** A session that stands in the way of others. */
export type Blocker = { end(): Promise<void> };

/** Locks every table of a database, or only those that headgate itself writes, and keeps a snapshot. */
export async function block(
  server: Postgres,
  database: string,
  kind: Point["blocker"],
): Promise<Blocker> {
  const client = await server.connect(database, { host: server.socketDir });
  try {
    await client.query("begin isolation level repeatable read; set local lock_timeout = '10s'");
    const { rows } = await client.query<{ name: string }>(
      `select format('%I.%I', nspname, relname) as name
      from pg_class c join pg_namespace n on n.oid = relnamespace
      where relkind in ('r', 'p') and nspname <> 'information_schema' and nspname !~ '^pg_'`,
    );
    const names = rows
      .map(({ name }) => name)
      .filter((name) => kind !== "archivist" || name.startsWith("public.migrations"));
    if (names.length > 0) await client.query(`lock ${names.join(", ")} in ${modes[kind]} mode`);
  } catch (error) {
    await client.end();
    throw error;
  }
  // The server may be gone by then.
  return { end: () => client.end().catch(() => {}) };
}
