import { parseDuration } from "../duration.ts";
import { nearest } from "../nearest.ts";

/** A finding of `headgate plan` that a file allows. */
type Allowed = { readonly finding: FindingName; readonly reason: string };

/** What a file says of itself in `-- headgate: …` lines at its top. Durations in milliseconds, Infinity = no limit. */
export type Directives = {
  readonly isTransactional: boolean;
  readonly lockTimeoutMs?: number;
  readonly ddlLockBudgetMs?: number;
  readonly statementTimeoutMs?: number;
  /** Findings of `headgate plan` that somebody has looked at, and why they are no matter here. */
  readonly allows?: readonly Allowed[];
};

const durations = {
  "lock-timeout": "lockTimeoutMs",
  "ddl-lock-budget": "ddlLockBudgetMs",
  "statement-timeout": "statementTimeoutMs",
} as const;
const names = ["no-transaction", ...Object.keys(durations), "allow"];

/** What `headgate plan` finds in a statement, the worst first. */
const findingNames = ["unknown", "rewrite", "index-build", "scan", "data-change", "lock"] as const;
export type FindingName = (typeof findingNames)[number];

/** The first lines that are comments or empty; a directive counts only there, never inside a string further down. */
const header = /^(?:[ \t]*(?:--[^\r\n]*)?(?:\r\n|\n|\r|$))*/;
const directive =
  /^[ \t]*--[ \t]*(?:headgate:[ \t]*(.*?)|(postgres-migrations disable-transaction))[ \t]*$/gm;

/** Reads the top of a file. @returns the directives, and a sentence for each that cannot be followed */
export function readDirectives(sql: string): { directives: Directives; problems: string[] } {
  const problems: string[] = [];
  const found: Record<string, number> = {};
  const allows: Allowed[] = [];
  let isTransactional = true;
  for (const [, text = "no-transaction"] of headerOf(sql).matchAll(directive)) {
    const [name = "", value] = text.split(/\s*=\s*/, 2);
    const key = durations[name as keyof typeof durations];
    const ms = value === undefined ? undefined : parseDuration(value);
    if (text === "no-transaction") isTransactional = false;
    else if (name === "allow") allows.push(...readAllow(text, problems));
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
  return {
    directives: { isTransactional, ...found, ...(allows.length === 0 ? {} : { allows }) },
    problems,
  };
}

/** `allow=rewrite reason="the table is small"`. */
function readAllow(text: string, problems: string[]): Allowed[] {
  const [, typed = "", rest = ""] = /^allow\s*=\s*([\w-]*)\s*(.*)$/.exec(text) ?? [];
  const finding = findingNames.find((known) => known === typed);
  const reason = /^reason\s*=\s*"([^"]*\S[^"]*)"$/.exec(rest)?.[1];
  if (finding !== undefined && reason !== undefined) return [{ finding, reason: reason.trim() }];
  if (finding === undefined) {
    const guess = nearest(typed, findingNames);
    const known =
      guess === undefined ? `known are ${findingNames.join(", ")}` : `did you mean ${guess}?`;
    problems.push(`the directive "${text}" allows no finding of \`headgate plan\` (${known})`);
  } else {
    problems.push(
      `the directive "${text}" needs a reason: write allow=${finding} reason="why it is no matter here"`,
    );
  }
  return [];
}

/** Where the lines stand that look like a directive and do not count, because SQL comes before them. */
export function misplacedDirectives(sql: string): number[] {
  const behind = headerOf(sql).length;
  return [...sql.matchAll(directive)].map(({ index }) => index).filter((index) => index >= behind);
}

function headerOf(sql: string): string {
  return header.exec(sql)?.[0] ?? "";
}
