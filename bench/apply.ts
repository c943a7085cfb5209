import { randomUUID } from "node:crypto";
import { type Postgres, dropDatabase, startPostgres } from "../test/helpers/postgres.ts";
import { startProxy } from "../test/helpers/proxy.ts";
import { type Program, timeRun } from "./programs.ts";

/** What a program has to apply, and to what. */
export type Job = {
  readonly server: Postgres;
  readonly folder: string;
  /** The database to begin with a copy of, instead of an empty one. */
  readonly template?: string;
  /** How many columns the tables t1, t2 … have together when all is done. */
  readonly columns: number;
};

/**
 * A server with the settings of the tests (no fsync), so that programs differ by what they do and not by the disk,
 * but with as much memory as by default, and without autovacuum, which would come at any time.
 * @param isDurable with fsync and all that belongs to it
 */
export async function startBenchServer(isDurable: boolean): Promise<Postgres> {
  const durable = { fsync: "on", synchronous_commit: "on", full_page_writes: "on" };
  return startPostgres({
    settings: { shared_buffers: "128MB", autovacuum: "off", ...(isDurable ? durable : {}) },
  });
}

/**
 * Runs a program on a database of its own and looks that it did all of the work.
 * @param port the server's own, or that of a proxy in front of it
 * @returns milliseconds
 */
export async function apply(job: Job, program: Program, port?: number): Promise<number> {
  const { server, folder, template = "template0", columns } = job;
  const database = `bench_${randomUUID().slice(0, 8)}`;
  await server.psql("postgres", `create database ${database} template ${template}`);
  const ms = await timeRun(program, folder, server, database, port);
  const [found] = await server.psql<{ columns: number }>(
    database,
    `select count(*)::int as columns from pg_attribute join pg_class on pg_class.oid = attrelid
      where relkind = 'r' and relname ~ '^t[0-9]+$' and attnum > 0`,
  );
  await dropDatabase(server, database);
  if (found?.columns !== columns)
    throw new Error(`${program.name} made ${found?.columns} columns instead of ${columns}`);
  return ms;
}

/** The round trips of one run, those of its start included. */
export async function countTrips(job: Job, program: Program): Promise<number> {
  const proxy = await startProxy(job.server.port);
  try {
    await apply(job, program, proxy.port);
    return proxy.bursts;
  } finally {
    await proxy.stop();
  }
}
