import type { Collected, Happening } from "./summary.ts";
import { formatFacts } from "./text.ts";
import { timeline } from "./timeline.ts";

/** A job summary of GitHub holds a megabyte; people read less. */
const mostWarnings = 20;

/**
 * The report of one run in Markdown, as GitHub shows it: how it ended, before and after, files with their times, what
 * failed, and a timeline.
 * @param title what was typed: `headgate migrate`
 * @param ending how it ended: `succeeded`, `exit code 1`
 */
export function summaryText(title: string, ending: string, collected: Collected): string {
  const { happenings, results, startedAt } = collected;
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  const configured = happenings.find(({ event }) => event === "configured")?.facts;
  const parts = [
    `## \`${title}\`: ${ending} after ${seconds} s`,
    // A command that needs no database may have none.
    configured?.["database"] === undefined
      ? ""
      : `Database \`${code(configured["database"])}\` on \`${code(configured["host"])}\`.`,
    ...results,
    failure(happenings),
    beforeAndAfter(happenings),
    files(happenings),
    warnings(happenings),
    timeline(collected),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n\n`;
}

/** Text between fences that it cannot end. */
export function fence(text: string, language = "text"): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const ticks = "`".repeat(longest + 1);
  return `${ticks}${language}\n${text.trimEnd()}\n${ticks}`;
}

function failure(happenings: readonly Happening[]): string {
  const failed = happenings.findLast(({ level }) => level === "error");
  if (failed === undefined) return "";
  const { problems, fix, excerpt, detail, hint, sqlstate } = failed.facts;
  const lines = [detail, hint].filter((text) => typeof text === "string").map(escape);
  const list = Array.isArray(problems) ? problems.map((problem) => `- ${escape(problem)}`) : [];
  return [
    `**${escape(failed.event)}**${typeof sqlstate === "string" ? ` (SQLSTATE ${sqlstate})` : ""}`,
    list.join("\n"),
    typeof excerpt === "string" ? fence(excerpt) : "",
    lines.join("  \n"),
    typeof fix === "string" ? `To do: ${escape(fix)}` : "",
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** How many migrations were applied and pending, of each set that was looked at. */
function beforeAndAfter(happenings: readonly Happening[]): string {
  const sets = new Map<unknown, { applied: number; pending: number; did: number }>();
  for (const { facts, event } of happenings) {
    const { set, applied, pending = 0 } = facts;
    const known = sets.get(set);
    if (event === "locked" || event === "found nothing pending") {
      // Of several looks the last came before anything was changed.
      if (typeof applied === "number" && (known === undefined || known.did === 0))
        sets.set(set, { applied, pending: Number(pending), did: 0 });
    } else if (known !== undefined && event === "applied") known.did++;
    else if (known !== undefined && event === "undone") known.did--;
  }
  const rows = [...sets].map(([set, { applied, pending, did }]) => [
    escape(set ?? "migrations"),
    `${applied} applied, ${pending} pending`,
    `${applied + did} applied, ${pending - did} pending`,
  ]);
  return table(["", "before", "after"], rows);
}

/** Each file that was run, how long it took and how long it had waited for table locks. */
function files(happenings: readonly Happening[]): string {
  const rows = happenings
    .filter(({ event }) => event === "applied" || event === "undone")
    .map(({ facts, event }) => [
      `\`${code(facts["migration"])}\``,
      event,
      `${Number(facts["ms"])} ms`,
      `${lockWaitOf(happenings, String(facts["migration"]))} ms`,
    ]);
  return table(["file", "", "took", "of that, waited for table locks"], rows);
}

/** Milliseconds that a file waited for table locks, all its steps together. */
function lockWaitOf(happenings: readonly Happening[], migration: string): number {
  return happenings
    .filter(({ event, facts }) => event === "got its table locks" && isAbout(facts, migration))
    .reduce((sum, { facts }) => sum + Number(facts["ms"]), 0);
}

/** What waits for a table lock is named by its path, and its step. */
function isAbout(facts: Happening["facts"], migration: string): boolean {
  const [path = ""] = String(facts["migration"]).split(/ step \d+ of \d+$/);
  return path === migration || path.endsWith(`/${migration}`);
}

function warnings(happenings: readonly Happening[]): string {
  const found = happenings.filter(({ level }) => level === "warn");
  const lines = found
    .slice(0, mostWarnings)
    .map(({ event, facts }) => `- ${escape(`${event}${formatFacts(facts)}`)}`);
  const more = found.length - lines.length;
  if (more > 0) lines.push(`- and ${more} more in the log`);
  return lines.length === 0 ? "" : `Warnings:\n\n${lines.join("\n")}`;
}

/** A table, if it has rows. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Characters that mean something to Markdown or HTML, and line ends. */
export const escape = (text: unknown): string =>
  String(text)
    .replaceAll(/[\\`*_[\]<>|#~]/g, String.raw`\$&`)
    .replaceAll(/\s*[\r\n]+\s*/g, " ");

/** Inside backquotes nothing can be escaped. */
const code = (text: unknown): string => String(text).replaceAll(/[`|\r\n]/g, " ");
