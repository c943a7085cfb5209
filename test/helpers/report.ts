/** What became of what was to be tested: a table at the end of the process, and in the file HEADGATE_TEST_REPORT for CI. */
import { appendFileSync } from "node:fs";
import { onExit } from "./cleanup.ts";

/** An artifact, mode or manifest; what is tested of it; and what became of that. */
export type Row = { readonly subject: string; readonly what: string; state: string };

const rows: Row[] = [];

/** Adds a line to the table. Its state may be changed until the process ends. */
export function report(subject: string, what: string, state = "FAILED"): Row {
  if (rows.length === 0) onExit(print);
  const row = { subject, what, state };
  rows.push(row);
  return row;
}

function print(): void {
  const cells = rows.map(({ subject, what, state }) => [subject, state, what]);
  const widths = [0, 1].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  for (const row of cells) {
    console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | "));
  }
  const file = process.env["HEADGATE_TEST_REPORT"];
  if (file !== undefined) appendFileSync(file, cells.map((row) => `${row.join("\t")}\n`).join(""));
}
