import { median, printTable } from "./table.ts";

/** Milliseconds of every round, by the program's name. */
export type Times = ReadonlyMap<string, readonly number[]>;

/**
 * Runs every program once in each round, so that all of them meet the same machine. Every other round goes backwards,
 * so that none profits from what runs before it.
 */
export async function inRounds<P extends { readonly name: string }>(
  programs: readonly P[],
  rounds: number,
  run: (program: P) => Promise<number>,
): Promise<Times> {
  const times = new Map(programs.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    for (const program of round % 2 === 0 ? programs : programs.toReversed())
      times.get(program.name)?.push(await run(program));
  }
  return times;
}

/** The median of the ratios within each round; undefined when either was not measured. */
export function ratio(times: Times, name: string, to: string): number | undefined {
  const floor = times.get(to) ?? [];
  const ratios = (times.get(name) ?? []).map((ms, round) => ms / (floor[round] ?? Number.NaN));
  return ratios.length > 0 && floor.length > 0 ? median(ratios) : undefined;
}

/** The median of the differences within each round, in milliseconds. */
export function difference(times: Times, name: string, to: string): number {
  const others = times.get(to) ?? [];
  return median((times.get(name) ?? []).map((ms, round) => ms - (others[round] ?? Number.NaN)));
}

/** Prints the times and the ratios to psql, and further columns. */
export function printTimes(
  times: Times,
  further: readonly { title: string; of: (name: string) => string }[] = [],
): void {
  const hasFloor = times.has("psql");
  printTable(
    [
      "program",
      "median ms",
      "least ms",
      hasFloor ? "x psql (median of rounds)" : "(no psql here)",
      ...further.map(({ title }) => title),
    ],
    [...times].map(([name, list]) => [
      name,
      median(list).toFixed(1),
      Math.min(...list).toFixed(1),
      ratio(times, name, "psql")?.toFixed(2) ?? "",
      ...further.map(({ of }) => of(name)),
    ]),
  );
}
