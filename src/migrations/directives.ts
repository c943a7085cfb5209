import { parseDuration } from "../duration.ts";
import { nearest } from "../nearest.ts";
import { type Allowed, readAllow, readReason } from "./allowances.ts";
import type { Problem } from "./problem.ts";

/** What a file says of itself in `-- headgate: …` lines at its top. Durations in milliseconds, Infinity = no limit. */
export type Directives = {
  readonly isTransactional: boolean;
  readonly lockTimeoutMs?: number;
  readonly ddlLockBudgetMs?: number;
  readonly statementTimeoutMs?: number;
  /** Findings that somebody has looked at, and why they are no matter here. */
  readonly allows?: readonly Allowed[];
  /** Why an undo file without a statement is right. */
  readonly nothingToUndo?: string;
};

const durations = {
  "lock-timeout": "lockTimeoutMs",
  "ddl-lock-budget": "ddlLockBudgetMs",
  "statement-timeout": "statementTimeoutMs",
} as const;
const names = ["no-transaction", ...Object.keys(durations), "allow", "nothing-to-undo"];

/** The first lines that are comments or empty; a directive counts only there, never inside a string further down. */
const header = /^(?:[ \t]*(?:--[^\r\n]*)?(?:\r\n|\n|\r|$))*/;
const directive =
  /^[ \t]*--[ \t]*(?:headgate:[ \t]*(.*?)|(postgres-migrations disable-transaction))[ \t]*$/gm;

/** Reads the top of a file. @returns the directives, and a problem for each that cannot be followed */
export function readDirectives(sql: string): {
  directives: Directives;
  problems: readonly Problem[];
} {
  const problems: Problem[] = [];
  const found: Record<string, number> = {};
  const allows: Allowed[] = [];
  let isTransactional = true;
  let nothingToUndo: string | undefined;
  for (const { 1: text = "no-transaction", index: offset } of headerOf(sql).matchAll(directive)) {
    const refuse = (what: string, fix: string): void =>
      void problems.push({ rule: "directive", offset, what, fix });
    const [name = "", value] = text.split(/\s*=\s*/, 2);
    const key = durations[name as keyof typeof durations];
    const ms = value === undefined ? undefined : parseDuration(value);
    if (text === "no-transaction") isTransactional = false;
    else if (key !== undefined && ms !== undefined) found[key] = ms;
    else if (/^allow\b/.test(text)) {
      const allowed = readAllow(text);
      if ("finding" in allowed) allows.push(allowed);
      else refuse(allowed.what, allowed.fix);
    } else if (/^nothing-to-undo\b/.test(text)) {
      nothingToUndo = readReason(text.slice("nothing-to-undo".length));
      if (nothingToUndo === undefined) {
        refuse(
          `the directive "${text}" needs a reason`,
          'write nothing-to-undo reason="why it is right to leave everything"',
        );
      }
    } else if (key !== undefined) {
      refuse(
        `the directive "${text}" needs a duration`,
        `write ${name}=500ms, 30s, 10m, or 0 for no limit`,
      );
    } else {
      const guess = nearest(name, names);
      refuse(
        `"${text}" is not a directive of headgate`,
        guess === undefined ? `known are ${names.join(", ")}` : `did you mean ${guess}?`,
      );
    }
  }
  return {
    directives: {
      ...{ isTransactional, ...found },
      ...(allows.length === 0 ? {} : { allows }),
      ...(nothingToUndo === undefined ? {} : { nothingToUndo }),
    },
    problems,
  };
}

/** Where the lines stand that look like a directive and do not count, because SQL comes before them. */
export function misplacedDirectives(sql: string): number[] {
  const behind = headerOf(sql).length;
  return [...sql.matchAll(directive)].map(({ index }) => index).filter((index) => index >= behind);
}

function headerOf(sql: string): string {
  return header.exec(sql)?.[0] ?? "";
}
