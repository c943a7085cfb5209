import { existsSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { Finding } from "./finding.ts";

/** What `headgate check` has found. */
export type Report = {
  readonly files: number;
  /** What the round trip did; absent when none was made. */
  readonly roundTrip?: { readonly up: number; readonly down: number };
  readonly findings: readonly Finding[];
};

const errorsOf = ({ findings }: Report): number =>
  findings.filter(({ severity, allowed }) => severity === "error" && allowed === undefined).length;
const warningsOf = ({ findings }: Report): number =>
  findings.filter(({ severity, allowed }) => severity === "warning" && allowed === undefined)
    .length;
const allowedOf = ({ findings }: Report): number =>
  findings.filter(({ allowed }) => allowed !== undefined).length;

/** `1 error, 2 warnings`; undefined when nothing is held against the files. */
export function objection(report: Report, isStrict: boolean): string | undefined {
  const [errors, warnings] = [errorsOf(report), warningsOf(report)];
  if (errors === 0 && !(isStrict && warnings > 0)) return undefined;
  return [count(errors, "error"), count(warnings, "warning")].filter(Boolean).join(" and ");
}

/** Lines for people, or for GitHub Actions: `https://docs.github.com/en/actions/reference/workflow-commands`. */
export function toText(report: Report, annotates: boolean): string {
  const lines = report.findings.map(annotates ? toAnnotation : toLines);
  return [...lines, summarize(report), ""].join("\n");
}

/** The version goes up when a field changes its meaning or goes away. */
export function toJson(report: Report): string {
  const { files, roundTrip, findings } = report;
  const counts = {
    errors: errorsOf(report),
    warnings: warningsOf(report),
    allowed: allowedOf(report),
  };
  return `${JSON.stringify({ version: 1, files, ...counts, ...(roundTrip === undefined ? {} : { roundTrip }), findings }, null, 2)}\n`;
}

function toLines({ file, line, column, ...finding }: Finding): string {
  const { severity, rule, what, why, fix, allowed } = finding;
  const head = `${file}:${line}:${column}: ${allowed === undefined ? severity : "allowed"}: ${rule}: ${what.replaceAll(/\s*\n\s*/g, " ")}`;
  return allowed === undefined
    ? `${head}\n  why: ${why}\n  to do: ${fix}`
    : `${head}\n  reason: ${allowed}`;
}

/** What is allowed is no annotation; the reason stands in the file. */
function toAnnotation(finding: Finding): string {
  const { severity, file, line, column, rule, what, why, fix, allowed } = finding;
  if (allowed !== undefined) return toLines(finding);
  const properties = {
    ...{ file: fromRepository(file), line, col: column },
    title: `headgate check: ${rule}`,
  };
  const list = Object.entries(properties).map(
    ([name, value]) => `${name}=${escapeProperty(String(value))}`,
  );
  return `::${severity} ${list.join(",")}::${escapeData(`${what}\nwhy: ${why}\nto do: ${fix}`)}`;
}

const escapeData = (text: string): string =>
  text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
const escapeProperty = (text: string): string =>
  escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");

/** GitHub knows files by their path in the repository, which is not always where headgate was started. */
function fromRepository(file: string): string {
  const path = resolve(file);
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (existsSync(join(folder, ".git"))) return relative(folder, path);
    if (folder === dirname(folder)) return file;
  }
}

function summarize(report: Report): string {
  const { files, roundTrip } = report;
  const counts = [
    count(errorsOf(report), "error"),
    count(warningsOf(report), "warning"),
    allowedOf(report) === 0 ? "" : `${allowedOf(report)} allowed`,
  ].filter(Boolean);
  const trip =
    roundTrip === undefined ? "" : `, ${roundTrip.up} up, ${roundTrip.down} down and up again`;
  return `checked ${count(files, "file") || "no files"}${trip}: ${counts.join(", ") || "nothing found"}`;
}

const count = (number: number, noun: string): string =>
  number === 0 ? "" : `${number} ${noun}${number === 1 ? "" : "s"}`;
