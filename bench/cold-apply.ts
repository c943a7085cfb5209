/**
 * How long it takes to apply many small files to an empty database, and in how many round trips: most files create a
 * table with an index, every fifth alters or fills one of the tables before it. The same SQL for every program, in its
 * own file format; one client and one server on the loopback device, SCRAM, from process start to exit. Every program
 * runs once in each round on a database of its own, and only ratios within a round are compared. Round trips are
 * counted in a run that is not timed, those of the start included.
 *
 * `psql` runs a script with begin, the file, its history row and commit, which psql sends one by one: what a person
 * would write. `psql, one message a file` sends them together. node-pg-migrate puts all files into one transaction, as
 * it does by default; the others each file into its own.
 *
 * Last, what care for table locks costs (lock-care.ts), with half as many files.
 *
 * Options: --files N, --rounds N, --delayed-rounds N, --delay MS (added to each round trip), --durable (with fsync,
 * which makes the disk count, too). BENCH_DIST: a folder with another build.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { temporaryFolder } from "../test/helpers/cleanup.ts";
import { type Job, apply, countTrips, startBenchServer } from "./apply.ts";
import { startDelay } from "./delay.ts";
import { compareLockCare } from "./lock-care.ts";
import { headgate, installPeers, peers, psql, writeMigrations } from "./programs.ts";
import { type Times, inRounds, printTimes, ratio } from "./rounds.ts";
import { printTarget } from "./table.ts";

const { values } = parseArgs({
  options: {
    files: { type: "string", default: "1000" },
    rounds: { type: "string", default: "5" },
    "delayed-rounds": { type: "string", default: "1" },
    delay: { type: "string", default: "2" },
    durable: { type: "boolean", default: false },
  },
});
const files = Number(values.files);
const rounds = Number(values.rounds);
const delayedRounds = Number(values["delayed-rounds"]);

installPeers();
const server = await startBenchServer(values.durable);
const delay = await startDelay(server.port, Number(values.delay));
const folder = temporaryFolder("headgate-bench-");
const statements = Array.from({ length: files }, (_, index) => statementsOf(index + 1));
writeMigrations(
  folder,
  statements.map((list) => list.map((sql) => `${sql};\n`).join("")),
);
writeFileSync(`${folder}/each.sql`, psqlScript(";"));
writeFileSync(`${folder}/together.sql`, psqlScript(String.raw`\;`));
const ours = headgate("migrate", "migrate", "--migrations", "plain");
const others = peers();
const programs = [
  ...psql("psql", "-v", "ON_ERROR_STOP=1", "-f", "each.sql"),
  ...psql("psql, one message a file", "-v", "ON_ERROR_STOP=1", "-f", "together.sql"),
  ...ours,
  ...others,
];
const made = (pattern: RegExp): number =>
  statements.flat().filter((sql) => pattern.test(sql)).length;
const job: Job = { server, folder, columns: 3 * made(/^create table/) + made(/^alter/) };

const trips = new Map<string, number>();
for (const program of programs) trips.set(program.name, (await countTrips(job, program)) / files);
const perFile = (name: string): string => (trips.get(name) ?? 0).toFixed(2);

console.log(`${files} files, ${rounds} rounds`);
const direct = await inRounds(programs, rounds, (program) => apply(job, program));
printTimes(direct, [{ title: "round trips per file", of: perFile }]);

console.log(`\n${values.delay} ms more in each round trip, rounds: ${delayedRounds}`);
const delayed = await inRounds(programs, delayedRounds, (program) =>
  apply(job, program, delay.port),
);
printTimes(delayed);

console.log("\ntargets");
for (const { name } of ours) {
  const count = trips.get(name) ?? 0;
  // A few more belong to the start, however many files there are.
  printTarget(`${name}: one round trip per file`, perFile(name), (count - 1) * files < 30);
  const toFloor = ratio(direct, name, "psql");
  if (toFloor !== undefined)
    printTarget(`${name}: at most 1.1 x psql`, toFloor.toFixed(2), toFloor <= 1.1);
  printAhead(`${name}: ahead of every peer`, direct, name);
  printAhead(`${name}: ahead of every peer with the delay`, delayed, name);
}

const half = Math.ceil(files / 2);
console.log(`\ncare for table locks: ${half} files that alter tables, ${3 * rounds} rounds`);
await compareLockCare(server, delay.port, half, 3 * rounds);
delay.stop();
await server.stop();

/** What one file does. */
function statementsOf(id: number): string[] {
  // Every table that these name was created by the file of that number.
  if (id % 10 === 0) return [`alter table t${id - 3} add column c integer`];
  if (id % 10 === 5) return [`insert into t${id - 3} (id, a) values (1, 'one'), (2, 'two')`];
  return [
    `create table t${id} (id bigint primary key, a text, b timestamptz default now())`,
    `create index on t${id} (b)`,
  ];
}

/** @param separator `;` sends a statement; psql's `\;` sends it together with what follows */
function psqlScript(separator: string): string {
  const history =
    "create table migrations (id integer primary key, name text not null, executed_at timestamp default now());\n";
  const transactions = statements.map((list, index) => {
    const row = `insert into migrations (id, name) values (${index + 1}, 'm${index + 1}')`;
    return `${["begin", ...list, row].join(`${separator}\n`)}${separator}\ncommit;\n`;
  });
  return history + transactions.join("");
}

function printAhead(wanted: string, times: Times, name: string): void {
  const ratios = others.map((peer) => ({ peer, value: ratio(times, name, peer.name) }));
  const shown = ratios.map(({ peer, value }) => `${value?.toFixed(2) ?? "?"} x ${peer.name}`);
  printTarget(
    wanted,
    shown.join(", "),
    ratios.every(({ value }) => value !== undefined && value < 1),
  );
}
