import { past, repairHistory } from "../gate/repair-history.ts";
import type { RepairLine } from "../gate/plan-repair.ts";
import type { Context } from "../look.ts";
import { readFolder } from "../migrations/folder.ts";
import type { RepairRequest } from "../requests/repair.ts";

/** `headgate repair ID --accept|--forget`: the history follows the files where a person says that it should. */
export async function repair(context: Context): Promise<number> {
  const { config, print } = context;
  const request = config.repair ?? { ids: [], change: "accept", reason: "", isConfirmed: false };
  const lines = await repairHistory(context, request, await readFolder(config.migrationsDir));
  const count = lines.filter(({ change }) => change !== undefined).length;
  return print(`${toTable(lines, request)}${ending(count, request)}`);
}

function ending(count: number, { change, isConfirmed }: RepairRequest): string {
  if (count === 0) return `nothing is to be ${past[change]}\n`;
  if (isConfirmed) return "";
  const will =
    change === "accept"
      ? `accepts ${count === 1 ? "this file" : "these files"} as now`
      : `forgets ${count === 1 ? "this row" : "these rows"}; what was applied stays in the database`;
  return `nothing is written yet: the same with --yes ${will}\n`;
}

function toTable(lines: readonly RepairLine[], { change, isConfirmed }: RepairRequest): string {
  const state = isConfirmed ? past[change] : `to ${change}`;
  const rows = lines.map((line) => [
    String(line.id),
    line.change === undefined ? "as it is" : state,
    line.name,
    line.what,
  ]);
  const table = [["id", "state", "name", ""], ...rows];
  const widthOf = (at: number): number => Math.max(...table.map((row) => row[at]?.length ?? 0));
  return table
    .map(
      ([id = "", second = "", name = "", what = ""]) =>
        `${id.padStart(widthOf(0))}  ${second.padEnd(widthOf(1))}  ${name.padEnd(widthOf(2))}  ${what}`.trimEnd() +
        "\n",
    )
    .join("");
}
