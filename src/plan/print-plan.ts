import { escape, fence } from "../report/summary-text.ts";
import {
  type FilePlan,
  type LockPlan,
  type MigratorPlan,
  type PlanReport,
  type StatementPlan,
  whatIsDue,
} from "./report.ts";

/** A statement and where it stands. */
type Line = { readonly file: FilePlan; readonly statement: StatementPlan };

const longestStatement = 72;
const weights = ["unknown", "rewrite", "index-build", "scan", "data-change", "lock"];

/** All statements, the riskiest first: by their worst finding that counts, then by size. */
function byRisk({ sets }: PlanReport): readonly Line[] {
  const lines = sets.flatMap(({ pending }) =>
    pending.flatMap((file) => file.statements.map((statement) => ({ file, statement }))),
  );
  return lines.toSorted(
    (a, b) =>
      weightOf(a.statement) - weightOf(b.statement) ||
      (b.statement.bytes ?? 0) - (a.statement.bytes ?? 0),
  );
}

function weightOf({ findings }: StatementPlan): number {
  const counted = findings.filter(({ allowed }) => allowed === null);
  return Math.min(weights.length, ...counted.map(({ name }) => weights.indexOf(name)));
}

/** The migrators that would be run. */
const dueOf = ({ sets }: PlanReport): readonly MigratorPlan[] =>
  sets.flatMap(({ migrator }) => (migrator === null || migrator.due === null ? [] : [migrator]));

/** For people, at a terminal. @param hasColour whether it may hold escape sequences */
export function toText(report: PlanReport, hasColour: boolean): string {
  const lines = byRisk(report);
  const rows = [
    ["class", "place", "lock", "size", "statement"],
    ...lines.map(({ file, statement }) => [
      statement.class,
      placeOf(file, statement),
      lockOf(statement),
      sizeOf(statement),
      firstWords(statement.sql),
    ]),
  ];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const table = rows.map((row, index) => {
    const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
    const line = lines[index - 1];
    if (hasColour && line !== undefined) cells[0] = paint(cells[0] ?? "", line.statement);
    return cells.join("  ").trimEnd();
  });
  const details = lines.filter(({ statement }) => statement.findings.length > 0).map(detailOf);
  return [
    `${summaryOf(report)}\n`,
    ...(lines.length === 0 ? [] : [`\n${table.join("\n")}\n`]),
    ...dueOf(report).map(
      (migrator) => `\n${migrator.command}\n  unknown: ${whatIsDue(migrator)}\n`,
    ),
    ...details.map((text) => `\n${text}\n`),
    ...(report.notes.length === 0
      ? []
      : [`\n${report.notes.map((note) => `note: ${note}`).join("\n")}\n`]),
  ].join("");
}

/** For a comment on a pull request. */
export function toMarkdown(report: PlanReport): string {
  const lines = byRisk(report);
  // Inside backquotes nothing can be escaped; but a table ends its cells before it looks for them.
  const code = (text: string): string => `\`${text.replaceAll("`", "'").replaceAll("\n", " ")}\``;
  const codeCell = (text: string): string => code(text).replaceAll("|", String.raw`\|`);
  const rows = lines.map(
    ({ file, statement }) =>
      `| ${statement.class} | ${escape(placeOf(file, statement))} | ${escape(lockOf(statement))} | ${sizeOf(statement)} | ${codeCell(firstWords(statement.sql))} |`,
  );
  const details = lines
    .filter(({ statement }) => statement.findings.length > 0)
    .map(({ file, statement }) => {
      const findings = statement.findings.map(
        ({ name, text, allowed }) =>
          `- **${name}**: ${escape(text)}${allowed === null ? "" : ` (allowed: ${escape(allowed)})`}`,
      );
      const safer = statement.safer === null ? "" : `\n\n${fence(statement.safer, "sql")}`;
      return `\n**${escape(placeOf(file, statement))}** ${code(firstWords(statement.sql))}\n\n${findings.join("\n")}${safer}\n`;
    });
  return [
    `### headgate: ${escape(summaryOf(report))}\n`,
    ...(rows.length === 0
      ? []
      : [
          `\n| class | place | lock | size | statement |\n| --- | --- | --- | --- | --- |\n${rows.join("\n")}\n`,
        ]),
    ...dueOf(report).map(
      (migrator) =>
        `\n${code(migrator.command)}\n\n- **unknown**: ${escape(whatIsDue(migrator))}\n`,
    ),
    ...details,
    ...(report.notes.length === 0
      ? []
      : [`\n${report.notes.map((note) => `> ${escape(note)}\n`).join(">\n")}`]),
  ].join("");
}

function summaryOf(report: PlanReport): string {
  const { sets, database } = report;
  const files = sets.flatMap(({ pending }) => pending);
  const due = dueOf(report).length;
  const findings = files
    .flatMap(({ statements }) => statements)
    .flatMap((statement) => statement.findings);
  const allowed = findings.filter((finding) => finding.allowed !== null).length;
  const work = [
    ...(files.length === 0 && due > 0 ? [] : [`${count(files.length, "file")} to apply`]),
    ...(due === 0 ? [] : [`${count(due, "migrator")} to run`]),
  ];
  const counts = [
    `${work.join(" and ")} ${files.length === 0 ? "on" : "to"} ${database}`,
    count(findings.length - allowed + due, "finding"),
    ...(allowed === 0 ? [] : [`${allowed} allowed`]),
  ];
  return files.length + due === 0 ? `nothing to apply to ${database}` : counts.join(", ");
}

const count = (number: number, what: string): string =>
  `${number} ${what}${number === 1 ? "" : "s"}`;

function detailOf({ file, statement }: Line): string {
  const findings = statement.findings.map(({ name, text, allowed }) =>
    allowed === null ? `  ${name}: ${text}` : `  ${name}: ${text}\n    allowed: ${allowed}`,
  );
  const safer =
    statement.safer === null
      ? []
      : ["  safer:", ...statement.safer.split("\n").map((line) => `    ${line}`)];
  return [`${placeOf(file, statement)}  ${firstWords(statement.sql)}`, ...findings, ...safer].join(
    "\n",
  );
}

const placeOf = ({ path }: FilePlan, { line }: StatementPlan): string =>
  `${path.split("/").at(-1)}:${line}`;

/** The strongest; which others there are stands in --json. */
function lockOf({ locks, held, findings }: StatementPlan): string {
  const [first, ...others] = locks.filter(({ mode }) => mode !== "AccessShareLock");
  const [earlier] = findings.length > 0 ? held : [];
  if (first === undefined) return earlier === undefined ? "none" : `${nameOf(earlier)} (held)`;
  const more = others.filter((lock: LockPlan) => lock.blocks !== "nothing").length;
  return `${nameOf(first)}${more === 0 ? "" : ` and ${more} more`}`;
}

const nameOf = ({ mode, relation }: LockPlan): string => `${mode.replace(/Lock$/, "")} ${relation}`;

function sizeOf({ rows, bytes, locks }: StatementPlan): string {
  if (bytes === null && rows === null) {
    return locks.some(({ blocks }) => blocks !== "nothing") ? "unknown" : "";
  }
  const sizes = [
    ...(bytes === null ? [] : [formatBytes(bytes)]),
    ...(rows === null ? [] : [`${formatRows(rows)} rows`]),
  ];
  return sizes.join(", ");
}

function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value >= 10 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

function formatRows(rows: number): string {
  if (rows < 10_000) return String(rows);
  return rows < 1e7 ? `${Math.round(rows / 1000)}k` : `${Math.round(rows / 1e6)}M`;
}

function firstWords(sql: string): string {
  const words = sql.replace(/\s+/g, " ");
  return words.length > longestStatement ? `${words.slice(0, longestStatement - 2)} …` : words;
}

function paint(cell: string, statement: StatementPlan): string {
  const weight = weightOf(statement);
  if (weight === weights.length) return cell;
  return `\u001B[${weight < weights.indexOf("lock") ? 31 : 33}m${cell}\u001B[0m`;
}
