/** A log line for people: `12:00:01.250 applied migration=1_init.sql ms=12`, and the parts of a failure on lines of their own. */
export function formatText(record: Record<string, unknown>): string {
  const { level, time, msg, problems, fix, excerpt, ...facts } = record;
  const clock = String(time).slice(11, 23);
  const mark = level === "info" ? "" : `${String(level).toUpperCase()} `;
  const lines = [`${clock} headgate: ${mark}${String(msg)}${formatFacts(facts)}`];
  if (Array.isArray(problems)) lines.push(...problems.map((problem) => `  - ${String(problem)}`));
  if (typeof excerpt === "string") lines.push(...excerpt.split("\n").map((line) => `  ${line}`));
  if (typeof fix === "string") lines.push(`  to do: ${fix}`);
  return `${lines.join("\n")}\n`;
}

/** ` migration=1_init.sql ms=12` */
export function formatFacts(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .map(([key, value]) => ` ${key}=${formatValue(value)}`)
    .join("");
}

function formatValue(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return typeof value === "string" && /[\s="]|^$/.test(text) ? JSON.stringify(text) : text;
}
