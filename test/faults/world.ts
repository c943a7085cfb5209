import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import pg from "pg";
import { eventually } from "../helpers/eventually.ts";
import { artifacts } from "../helpers/headgate.ts";
import { makeMigrations } from "../helpers/migrations.ts";
import { createDatabase, type Postgres, startPostgres } from "../helpers/postgres.ts";
import { startProxy } from "../helpers/proxy.ts";
import { startMigrate } from "./disturb.ts";
import { expected, stepwise, transactional } from "./files.ts";
import type { Bursts, Group } from "./plan.ts";
import { findLeftovers, type Snapshot, takeSnapshot } from "./snapshot.ts";
import { isGoodbye, queryIn } from "./wire.ts";

const folders: { readonly [group in Group]: string } = {
  transactional: makeMigrations(transactional),
  stepwise: makeMigrations({ ...transactional, ...stepwise }),
};

/** What the runs of a group begin with and come to. */
export type Stage = {
  readonly folder: string;
  /** The database each run gets a copy of. */
  readonly template: string;
  readonly wanted: Snapshot;
  readonly bursts: Bursts;
};

/** Starts a server on which runs repeat themselves. */
export const startServer = (): Promise<Postgres> =>
  startPostgres({
    settings: {
      // What has been said to be committed must be there after a crash.
      synchronous_commit: "on",
      // It would take locks at times of its own.
      autovacuum: "off",
      max_connections: "50",
    },
  });

/** Makes a database that is a copy of another one. */
export async function copyDatabase(server: Postgres, template: string): Promise<string> {
  const database = `case_${randomBytes(4).toString("hex")}`;
  const [copy, original] = [database, template].map((name) => pg.escapeIdentifier(name));
  await server.psql("postgres", `create database ${copy} template ${original}`);
  return database;
}

/** Makes the database that runs of a group begin with: an empty one, or one with all transactional files applied. */
export async function makeTemplate(server: Postgres, group: Group): Promise<string> {
  const database = await createDatabase(server, group);
  if (group === "stepwise") await migrate(server, database, folders.transactional);
  const name = pg.escapeIdentifier(database);
  await server.psql("postgres", `alter database ${name} allow_connections false`);
  return database;
}

/** Runs a group without any fault, to learn what it comes to and what it says meanwhile. */
export async function prepareStage(server: Postgres, group: Group): Promise<Stage> {
  const template = await makeTemplate(server, group);
  const database = await copyDatabase(server, template);
  const folder = folders[group];
  const said: Buffer[] = [];
  const proxy = await startProxy(server.port, (moment, burst, bytes) => {
    if (moment === "asking") said[burst] = Buffer.concat([said[burst] ?? Buffer.alloc(0), bytes]);
    return undefined;
  });
  await migrate(server, database, folder, proxy.port);
  await proxy.stop();
  const client = await server.connect(database, { host: server.socketDir });
  const wanted = await takeSnapshot(client);
  await client.end();
  assertExpected(group, wanted);
  return { folder, template, wanted, bursts: sortBursts(said) };
}

async function migrate(
  server: Postgres,
  database: string,
  folder: string,
  port?: number,
): Promise<void> {
  const [artifact] = artifacts;
  assert.ok(artifact);
  const { result } = await startMigrate({ artifact, server, database, folder }, port);
  const { exitCode, stderr } = await result;
  assert.equal(exitCode, 0, stderr);
  const client = await server.connect(database, { host: server.socketDir });
  await eventually("its session has gone", async () => (await findLeftovers(client)).length === 0);
  await client.end();
}

/** So that no comparison is one of two wrong results. */
function assertExpected(group: Group, { audit, counters, indexes, partitions }: Snapshot): void {
  const { audit: rows, counters: values } = expected[group];
  assert.deepEqual(
    audit,
    rows.map((what) => ({ what })),
  );
  assert.deepEqual(
    counters,
    Object.entries(values)
      .map(([name, value]) => ({ name, value }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  );
  assert.equal(indexes?.length, group === "stepwise" ? 13 : 8);
  assert.equal(partitions?.length, group === "stepwise" ? 1 : 2);
}

function sortBursts(said: readonly Buffer[]): Bursts {
  const all = [...said.entries()].filter(([burst, bytes]) => burst > 0 && !isGoodbye(bytes));
  const where = (isWanted: (query: string | undefined) => boolean): number[] =>
    all.filter(([, bytes]) => isWanted(queryIn(bytes))).map(([burst]) => burst);
  const isReading = (query = "select"): boolean => /^(select|with|reset)\b/.test(query);
  return {
    writing: where((query) => !isReading(query)),
    reading: where(isReading),
    concurrent: where((query = "") => /^[A-Z].* CONCURRENTLY\b/.test(query)),
    login: where((query) => query === undefined),
  };
}
