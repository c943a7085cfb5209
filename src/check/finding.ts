import { lineAndColumn } from "../apply/sql-failure.ts";
import type { Allowed } from "../migrations/allowances.ts";
import { type RuleName, rules, type Severity } from "./rules.ts";

/** Something that `headgate check` has to say about a file. */
export type Finding = {
  readonly rule: RuleName;
  readonly severity: Severity;
  /** The path as the folder was given. */
  readonly file: string;
  /** Both from 1; the column in characters. */
  readonly line: number;
  readonly column: number;
  readonly what: string;
  readonly why: string;
  readonly fix: string;
  /** Why the author of the file means it; then it is no longer held against the file. */
  readonly allowed?: string;
};

/** A file in which something is found. */
export type Place = {
  readonly path: string;
  readonly sql?: string;
  readonly directives?: { readonly allows?: readonly Allowed[] };
};

/**
 * Makes a finding of what is wrong in a place.
 * @param offset UTF-16 offset in the place's SQL
 * @param fix left out: the rule's own
 */
export function toFinding(
  rule: RuleName,
  { path, sql = "", directives }: Place,
  offset: number,
  what: string,
  fix: string = rules[rule].fix ?? "",
): Finding {
  const { severity, why } = rules[rule];
  const allowed = directives?.allows?.find(({ finding }) => finding === rule);
  return {
    ...{ rule, severity, file: path, ...lineAndColumn(sql, offset), what, why, fix },
    ...(allowed === undefined ? {} : { allowed: allowed.reason }),
  };
}

/** The order of the files, and within each that of its lines. */
export function sortFindings(findings: readonly Finding[]): readonly Finding[] {
  const byNumber = new Intl.Collator("en", { numeric: true });
  return findings.toSorted(
    (a, b) => byNumber.compare(a.file, b.file) || a.line - b.line || a.column - b.column,
  );
}
