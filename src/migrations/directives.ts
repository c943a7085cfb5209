import { parseDuration } from "../duration.ts";
import { nearest } from "../nearest.ts";

/** What a file says of itself in `-- headgate: …` lines at its top. Durations in milliseconds, Infinity = no limit. */
export type Directives = {
  readonly isTransactional: boolean;
  readonly lockTimeoutMs?: number;
  readonly ddlLockBudgetMs?: number;
  readonly statementTimeoutMs?: number;
};

const durations = {
  "lock-timeout": "lockTimeoutMs",
  "ddl-lock-budget": "ddlLockBudgetMs",
  "statement-timeout": "statementTimeoutMs",
} as const;
const names = ["no-transaction", ...Object.keys(durations)];

/** The first lines that are comments or empty; a directive counts only there, never inside a string further down. */
const header = /^(?:[ \t]*(?:--[^\r\n]*)?(?:\r\n|\n|\r|$))*/;
const directive =
  /^[ \t]*--[ \t]*(?:headgate:[ \t]*(.*?)|(postgres-migrations disable-transaction))[ \t]*$/gm;

/** Reads the top of a file. @returns the directives, and a sentence for each that cannot be followed */
export function readDirectives(sql: string): { directives: Directives; problems: string[] } {
  const problems: string[] = [];
  const found: Record<string, number> = {};
  let isTransactional = true;
  for (const [, text = "no-transaction"] of headerOf(sql).matchAll(directive)) {
    const [name = "", value] = text.split(/\s*=\s*/, 2);
    const key = durations[name as keyof typeof durations];
    const ms = value === undefined ? undefined : parseDuration(value);
    if (text === "no-transaction") isTransactional = false;
    else if (key !== undefined && ms !== undefined) found[key] = ms;
    else if (key !== undefined) {
      problems.push(
        `the directive "${text}" needs a duration: write ${name}=500ms, 30s, 10m, or 0 for no limit`,
      );
    } else {
      const guess = nearest(name, names);
      const known =
        guess === undefined ? `known are ${names.join(", ")}` : `did you mean ${guess}?`;
      problems.push(`"${text}" is not a directive of headgate (${known})`);
    }
  }
  return { directives: { isTransactional, ...found }, problems };
}

/** Where the lines stand that look like a directive and do not count, because SQL comes before them. */
export function misplacedDirectives(sql: string): number[] {
  const behind = headerOf(sql).length;
  return [...sql.matchAll(directive)].map(({ index }) => index).filter((index) => index >= behind);
}

function headerOf(sql: string): string {
  return header.exec(sql)?.[0] ?? "";
}
