import { mkdirSync, writeFileSync } from "node:fs";
import { temporaryFolder } from "../test/helpers/cleanup.ts";
import { type Postgres, createDatabase } from "../test/helpers/postgres.ts";
import { type Job, apply, countTrips } from "./apply.ts";
import { type Program, headgate } from "./programs.ts";
import { inRounds, ratio } from "./rounds.ts";
import { median, printTable } from "./table.ts";

const directive = "-- headgate: lock-timeout=0";

/**
 * What care for table locks costs where nobody is in the way: files that each alter a table which was there before and
 * has a row, as they are, and with the directive that switches the care off for the file.
 * @param delayPort a way to the same server with longer round trips
 * @param rounds without the delay, and a fifth of them with it
 */
export async function compareLockCare(
  server: Postgres,
  delayPort: number,
  files: number,
  rounds: number,
): Promise<void> {
  const folder = temporaryFolder("headgate-bench-");
  const tables: string[] = [];
  for (const name of ["on", "off"]) mkdirSync(`${folder}/${name}`);
  for (let id = 1; id <= files; id++) {
    const sql = `alter table t${id} add column b text;\n`;
    tables.push(
      `create table t${id} (id bigint primary key, a text); insert into t${id} values (1)`,
    );
    writeFileSync(`${folder}/on/${id}_m${id}.sql`, sql);
    writeFileSync(`${folder}/off/${id}_m${id}.sql`, `${directive}\n${sql}`);
  }
  const template = await createDatabase(server);
  await server.psql(template, tables.join(";"));
  const job: Job = { server, folder, template, columns: 3 * files };
  const [on] = headgate("as it is", "migrate", "--migrations", "on") as [Program];
  const [off] = headgate("with lock-timeout=0", "migrate", "--migrations", "off") as [Program];
  const both = [on, off];
  const direct = await inRounds(both, rounds, (program) => apply(job, program));
  const delayed = await inRounds(both, Math.ceil(rounds / 5), (program) =>
    apply(job, program, delayPort),
  );
  const rows: string[][] = [];
  for (const program of both) {
    const { name } = program;
    const cells = [direct, delayed].flatMap((times) => [
      median(times.get(name) ?? []).toFixed(0),
      ratio(times, name, off.name)?.toFixed(2) ?? "",
    ]);
    const trips = (await countTrips(job, program)) / files;
    rows.push([name, ...cells, trips.toFixed(2)]);
  }
  printTable(
    ["program", "median ms", "x off", "with delay", "x off", "round trips per file"],
    rows,
  );
}
