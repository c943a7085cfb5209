/**
 * How long a boot takes when nothing is pending: 100 applied migrations, SCRAM, loopback, from process start to exit.
 * Every program runs once in each round, so that all of them meet the same machine, and only ratios within a round
 * are compared. The peers wait for nothing and start nothing, so `headgate migrate` is what compares with them.
 * `psql -c 'select 1'` is the floor that a person would name.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import { temporaryFolder } from "../test/helpers/cleanup.ts";
import { startPostgres } from "../test/helpers/postgres.ts";
import { median, printTable } from "./table.ts";

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 20);
const files = 100;
const root = new URL("..", import.meta.url).pathname;
const node = process.execPath;

type Program = {
  readonly name: string;
  readonly command: readonly string[];
  readonly database: string;
};

const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], {
  cwd: `${root}bench`,
  stdio: "inherit",
});
if (npm.status !== 0) process.exit(1);

const server = await startPostgres();
const folder = temporaryFolder("headgate-bench-");
const programs = await prepare();
for (const program of programs) run(program); // applies everything; the rounds then find nothing pending

const times = new Map(programs.map(({ name }) => [name, [] as number[]]));
for (let round = 0; round < rounds; round++) {
  for (const program of programs) times.get(program.name)?.push(run(program));
}
const floor = times.get("psql") ?? [];
printTable(
  [
    "program",
    "median ms",
    "least ms",
    floor.length > 0 ? "x psql (median of rounds)" : "(no psql here)",
  ],
  [...times].map(([name, list]) => [
    name,
    median(list).toFixed(1),
    Math.min(...list).toFixed(1),
    floor.length > 0 ? median(list.map((ms, round) => ms / (floor[round] ?? ms))).toFixed(2) : "",
  ]),
);
await server.stop();

/** @returns milliseconds from spawn to exit, with whatever the launcher costs, which is the same for all */
function run({ name, command, database }: Program): number {
  const [program = "", ...args] = command;
  const started = performance.now();
  const { status, stderr } = spawnSync(program, args, {
    cwd: folder,
    encoding: "utf8",
    env: {
      PATH: process.env["PATH"] ?? "",
      DATABASE_URL: `${server.url(database)}?sslmode=disable`,
      PGPASSWORD: server.password,
      DBMATE_NO_DUMP_SCHEMA: "true",
    },
  });
  if (status !== 0) throw new Error(`${name} failed (${status}): ${stderr}`);
  return performance.now() - started;
}

async function prepare(): Promise<Program[]> {
  const create = (name: string): Promise<unknown> =>
    server.psql("postgres", `create database ${name}`);
  for (const kind of ["plain", "dbmate", "npm"]) mkdirSync(`${folder}/${kind}`);
  for (let index = 1; index <= files; index++) {
    const sql = `create table t${index} (id bigint primary key, a text);`;
    const number = String(index).padStart(4, "0");
    writeFileSync(`${folder}/plain/${index}_t${index}.sql`, sql);
    writeFileSync(
      `${folder}/dbmate/${number}_t${index}.sql`,
      `-- migrate:up\n${sql}\n-- migrate:down\n`,
    );
    writeFileSync(`${folder}/npm/${number}_t${index}.sql`, sql);
  }
  for (const name of ["headgate", "dbmate", "npm"]) await create(name);

  const bin = `${root}bench/node_modules`;
  const boot = ["--migrations", "plain", "--", "/bin/true"];
  const migrate = ["migrate", "--migrations", "plain"];
  const database = "headgate";
  const standalone = `${root}dist/headgate`;
  const bundle = [node, `${root}dist/headgate.cjs`];
  const list: Program[] = [
    { name: "headgate migrate (standalone)", database, command: [standalone, ...migrate] },
    { name: "headgate migrate (bundle on Node)", database, command: [...bundle, ...migrate] },
    { name: "headgate -- /bin/true (standalone)", database, command: [standalone, ...boot] },
    { name: "headgate -- /bin/true (bundle on Node)", database, command: [...bundle, ...boot] },
    // The binary itself: what npm links is a script that starts Node first.
    { name: "dbmate", database: "dbmate", command: [dbmateBinary(bin), "-d", "dbmate", "migrate"] },
    {
      name: "postgres-migrations",
      database: "headgate",
      command: [node, `${root}bench/postgres-migrations.mjs`, "plain"],
    },
    {
      name: "node-pg-migrate",
      database: "npm",
      command: [
        node,
        `${bin}/node-pg-migrate/bin/node-pg-migrate.js`,
        "up",
        "-m",
        "npm",
        "--verbose=false",
      ],
    },
  ];
  const psql = findPsql();
  if (psql !== undefined) {
    list.unshift({
      name: "psql",
      database: "headgate",
      command: [
        psql,
        "-X",
        "-h",
        "127.0.0.1",
        "-p",
        String(server.port),
        "-U",
        "postgres",
        "-c",
        "select 1",
        "headgate",
      ],
    });
  }
  return list;
}

function dbmateBinary(bin: string): string {
  const [found] = globSync(`${bin}/@dbmate/*/bin/dbmate*`);
  if (found === undefined) throw new Error("dbmate has no binary for this platform");
  return found;
}

/** Debian's psql in PATH is a Perl script that adds 25 ms; the real one is elsewhere. */
function findPsql(): string | undefined {
  return (
    globSync("/usr/lib/postgresql/*/bin/psql").at(-1) ??
    ["/usr/local/bin/psql", "/usr/bin/psql"].find((file) => existsSync(file))
  );
}
