/**
 * How long a boot takes when nothing is pending and another tool migrates: the tool alone as an entrypoint script would
 * run it, and the same under headgate, which compares and does not start it. Beside them headgate with SQL files of its
 * own. 100 applied migrations, SCRAM, loopback, from process start to exit; every program runs once in each round, and
 * only differences and ratios within a round are compared.
 */
import { alembic } from "../test/tools/python-tools.ts";
import { knex, nodePgMigrate } from "../test/tools/node-tools.ts";
import { commandOf, environmentOf, isInstalled, makeProject } from "../test/tools/tool.ts";
import { temporaryFolder } from "../test/helpers/cleanup.ts";
import { createDatabase, startPostgres } from "../test/helpers/postgres.ts";
import { headgate, installPeers, timeCommand, writeMigrations } from "./programs.ts";
import { difference, inRounds, ratio } from "./rounds.ts";
import { median, printTable, printTarget } from "./table.ts";

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 20);
const files = 100;
/** How much more than with SQL files, in milliseconds, and how many times as fast as the tool alone. */
const mostMore = 2;
const leastGain = 8;

type Entry = {
  readonly name: string;
  readonly command: readonly string[];
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
};

installPeers("test/tools");
const server = await startPostgres();
const statements = Array.from(
  { length: files },
  (_, index) => `create table t${index + 1} (id int)`,
);

const own = temporaryFolder("headgate-bench-");
writeMigrations(own, statements);
const ownEnv = environmentOf(server, await createDatabase(server));
const programs: Entry[] = headgate("with SQL files", "migrate", "--migrations", "plain").map(
  ({ name, command }) => ({ name, command, folder: own, env: ownEnv }),
);
const [floor = ""] = programs.map(({ name }) => name);

const tools = [alembic, knex, nodePgMigrate].filter((tool) => {
  const isThere = isInstalled(tool);
  if (!isThere) console.log(`not installed, so not measured: ${tool.needs?.packages}`);
  return isThere;
});
const pairs = await Promise.all(
  tools.map(async (tool) => {
    const { folder } = makeProject(
      tool,
      statements.map((sql) => ({ up: [sql] })),
    );
    const env = environmentOf(server, await createDatabase(server));
    const under = headgate(tool.preset, "migrate", "--migrator", tool.preset);
    return {
      bare: { name: tool.preset, command: commandOf(tool), folder, env },
      under: under.map(({ name, command }) => ({ name, command, folder, env })),
    };
  }),
);
for (const { bare, under } of pairs) programs.push(bare, ...under);

// Applies everything; the rounds then find nothing pending.
for (const { name, command, folder, env } of programs) {
  await timeCommand(name, command, folder, env);
  const { stderr } = await timeCommand(name, command, folder, env);
  if (name.startsWith("headgate") && !stderr.includes("found nothing pending"))
    throw new Error(`${name} found something to do\n${stderr}`);
}
const times = await inRounds(
  programs,
  rounds,
  async ({ name, command, folder, env }) => (await timeCommand(name, command, folder, env)).ms,
);

const bareOf = (name: string): string | undefined =>
  pairs.find(({ under }) => under.some((each) => each.name === name))?.bare.name;
printTable(
  ["program", "median ms", "least ms", "more than with SQL files", "x as fast as alone"],
  [...times].map(([name, list]) => {
    const bare = bareOf(name);
    return [
      name,
      median(list).toFixed(1),
      Math.min(...list).toFixed(1),
      difference(times, name, floor).toFixed(1),
      bare === undefined ? "" : (ratio(times, bare, name) ?? 0).toFixed(1),
    ];
  }),
);

console.log("\ntargets");
for (const { bare, under } of pairs) {
  const [standalone] = under.map(({ name }) => name);
  if (standalone === undefined) continue;
  const more = difference(times, standalone, floor);
  const gain = ratio(times, bare.name, standalone) ?? 0;
  printTarget(
    `${standalone}: at most ${mostMore} ms more than with SQL files`,
    `${more.toFixed(1)} ms`,
    more <= mostMore,
  );
  printTarget(
    `${standalone}: at least ${leastGain} times as fast as ${bare.name} alone`,
    `${gain.toFixed(1)} x`,
    gain >= leastGain,
  );
}
await server.stop();
