/**
 * How long a boot takes when nothing is pending: 100 applied migrations, SCRAM, loopback, from process start to exit.
 * Every program runs once in each round, so that all of them meet the same machine, and only ratios within a round
 * are compared. The peers wait for nothing and start nothing, so `headgate migrate` is what compares with them.
 * `psql -c 'select 1'` is the floor that a person would name.
 */
import { temporaryFolder } from "../test/helpers/cleanup.ts";
import { startPostgres } from "../test/helpers/postgres.ts";
import { headgate, installPeers, peers, psql, timeRun, writeMigrations } from "./programs.ts";
import { inRounds, printTimes } from "./rounds.ts";

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 20);
const files = 100;

installPeers();
const server = await startPostgres();
const folder = temporaryFolder("headgate-bench-");
writeMigrations(
  folder,
  Array.from(
    { length: files },
    (_, index) => `create table t${index + 1} (id bigint primary key, a text);`,
  ),
);
const programs = [
  ...psql("psql", "-c", "select 1"),
  ...headgate("migrate", "migrate", "--migrations", "plain"),
  ...headgate("-- /bin/true", "--migrations", "plain", "--", "/bin/true"),
  ...peers(),
];
for (const format of new Set(programs.map(({ format }) => format)))
  await server.psql("postgres", `create database ${format}`);
// Applies everything; the rounds then find nothing pending.
for (const program of programs) await timeRun(program, folder, server);

printTimes(await inRounds(programs, rounds, (program) => timeRun(program, folder, server)));
await server.stop();
