/**
 * What the users of a table feel while a migration wants to alter it and an old transaction is in the way: eight
 * readers in a loop (each a SELECT that takes 4 ms and no CPU), one transaction that has read the table and then stays
 * idle for 5 s, and from 0.3 s into it `alter table … add column`. An ALTER that stands in the lock queue holds up
 * every read that comes after it, so what counts is the longest read, beside when the ALTER was done.
 *
 * The ALTER is made by `headgate migrate` with its defaults; by a client that waits without a limit, which is what
 * Postgres does by default and every peer with it; and by one that gives up after 2 s and tries again after 1 s.
 * `nothing` alters nothing: the longest read that this machine has anyway.
 *
 * Attempts are counted in the server's log: each that the server gave up on, and the last.
 * Options: --rounds N, --readers N, --hold MS. BENCH_DIST: a folder with another build.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { temporaryFolder } from "../test/helpers/cleanup.ts";
import { createDatabase, startPostgres } from "../test/helpers/postgres.ts";
import { type Program, headgate, timeRun } from "./programs.ts";
import { median, printTable, printTarget } from "./table.ts";

type Strategy = { readonly name: string; readonly alter: (database: string) => Promise<unknown> };
type Outcome = { doneMs: number; attempts: number; worstMs: number; reads: number };

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    readers: { type: "string", default: "8" },
    hold: { type: "string", default: "5000" },
  },
});
const rounds = Number(values.rounds);
const holdMs = Number(values.hold);
const leadMs = 300;
const mostMs = 250;

const server = await startPostgres({ settings: { autovacuum: "off" } });
const folder = temporaryFolder("headgate-bench-");
const ddl = "alter table hot add column more text";
mkdirSync(`${folder}/plain`);
writeFileSync(`${folder}/plain/1_add-column.sql`, `${ddl};\n`);

const [standalone] = headgate("migrate", "migrate", "--migrations", "plain") as [Program];
const strategies: Strategy[] = [
  { name: "nothing", alter: () => sleep(holdMs) },
  { name: standalone.name, alter: (database) => timeRun(standalone, folder, server, database) },
  { name: "lock_timeout=0", alter: (database) => alterUntilDone(database, 0) },
  { name: "lock_timeout=2s, again after 1 s", alter: (database) => alterUntilDone(database, 2000) },
];

const outcomes = new Map(strategies.map(({ name }) => [name, [] as Outcome[]]));
for (let round = 0; round < rounds; round++) {
  for (const strategy of strategies) outcomes.get(strategy.name)?.push(await measure(strategy));
}
const middle = (list: readonly Outcome[], key: keyof Outcome): number =>
  median(list.map((outcome) => outcome[key]));
const worst = (list: readonly Outcome[]): number => Math.max(...list.map(({ worstMs }) => worstMs));
console.log(`${values.readers} readers, a transaction of ${holdMs} ms, ${rounds} rounds`);
printTable(
  ["altered by", "done after s", "attempts", "worst read ms (of all rounds)", "reads served"],
  [...outcomes].map(([name, list]) => [
    name,
    name === "nothing" ? "" : (middle(list, "doneMs") / 1000).toFixed(1),
    name === "nothing" ? "" : middle(list, "attempts").toFixed(0),
    worst(list).toFixed(0),
    middle(list, "reads").toFixed(0),
  ]),
);
const stall = worst(outcomes.get(standalone.name) ?? []);
console.log();
printTarget(
  `worst read with headgate under ${mostMs} ms`,
  `${stall.toFixed(0)} ms`,
  stall < mostMs,
);
await server.stop();

/** One strategy against a table of its own, in a database of its own. */
async function measure({ alter }: Strategy): Promise<Outcome> {
  const database = await createDatabase(server);
  await server.psql(database, "create table hot as select generate_series(1, 1000) as id");
  const holder = await server.connect(database);
  const readers = await Promise.all(
    Array.from({ length: Number(values.readers) }, () => server.connect(database)),
  );
  await holder.query("begin; select from hot limit 1");
  const held = performance.now();
  const reads: number[] = [];
  const over = new AbortController();
  const reading = readers.map(async (reader) => {
    while (!over.signal.aborted) {
      const asked = performance.now();
      await reader.query("select id, pg_sleep(0.004) from hot limit 1");
      reads.push(performance.now() - asked);
    }
  });
  const release = sleep(holdMs).then(() => holder.query("commit"));

  await sleep(leadMs - (performance.now() - held));
  const logged = server.log().length;
  reads.length = 0;
  const started = performance.now();
  await alter(database);
  const doneMs = performance.now() - started;
  await release;
  over.abort();
  await Promise.all(reading);
  await Promise.all([holder, ...readers].map((client) => client.end()));
  const refused = server
    .log()
    .slice(logged)
    .matchAll(/ERROR: {2}(?:canceling statement due to lock timeout|deadlock detected)/g);
  return {
    doneMs,
    attempts: [...refused].length + 1,
    worstMs: Math.max(...reads),
    reads: reads.length,
  };
}

/** @param limitMs of the time in the lock queue; 0 = none */
async function alterUntilDone(database: string, limitMs: number): Promise<void> {
  const client = await server.connect(database);
  await client.query(`set lock_timeout = ${limitMs}`);
  const attempt = (): Promise<boolean> =>
    client.query(ddl).then(
      () => true,
      (error: { code?: string }) => {
        if (error.code === "55P03") return false;
        throw error;
      },
    );
  while (!(await attempt())) await sleep(1000);
  await client.end();
}
