import { beside } from "../apply/beside.ts";
import { type MigrationSet, runsTable } from "../sets.ts";

/** The tables that headgate keeps for these sets, as configured: with a schema or without. */
export function ownTables(sets: readonly MigrationSet[]): readonly (readonly string[])[] {
  return sets.flatMap(({ kind, historyTable }) => {
    const schema = historyTable.slice(0, -1);
    const table = historyTable.at(-1) ?? "";
    if (kind === "migrator") return [historyTable];
    const besides = [beside(table, "_steps"), beside(table, "_journal"), runsTable];
    return [historyTable, ...besides.map((name) => [...schema, name])];
  });
}
