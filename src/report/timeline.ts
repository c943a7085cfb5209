import type { Collected, Happening } from "./summary.ts";

/** A stretch of a run; times in milliseconds since 1970. */
type Stretch = {
  readonly section: string;
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly hasFailed?: boolean;
};

/** Below, a run is told by milliseconds. */
const shortRunMs = 20_000;

/**
 * When a run did what, as a Gantt chart of Mermaid (https://mermaid.js.org/syntax/gantt.html), which GitHub draws.
 * Empty when nothing took time.
 */
export function timeline({ startedAt, happenings }: Collected): string {
  const stretches = [
    ...happenings.flatMap((happening) => stretchOf(happening) ?? []),
    ...lockWait(happenings),
  ];
  const failed = happenings.findLast(({ level }) => level === "error");
  const migration = failed?.facts["migration"];
  if (failed !== undefined && typeof migration === "string") {
    const from = Math.max(startedAt, ...stretches.map(({ to }) => to));
    stretches.push({
      ...{ section: "files", name: migration, from, to: failed.at, hasFailed: true },
    });
  }
  if (stretches.length === 0) return "";
  const sections = Map.groupBy(
    stretches.toSorted((a, b) => a.from - b.from),
    ({ section }) => section,
  );
  const length = Math.max(...stretches.map(({ to }) => to)) - startedAt;
  return [
    "```mermaid",
    "gantt",
    "  dateFormat x",
    `  axisFormat ${length < shortRunMs ? "%S.%L s" : "%H:%M:%S"}`,
    ...[...sections].flatMap(([section, own]) => [`  section ${section}`, ...own.map(line)]),
    "```",
  ].join("\n");
}

/** The event tells the end of what it is about, and `ms` how long that took. */
function stretchOf({ at, facts, event }: Happening): Stretch | undefined {
  const { ms, phase, migration } = facts;
  if (typeof ms !== "number") return undefined;
  const stretch = (section: string, name: string): Stretch => ({
    ...{ section, name, from: Math.round(at - ms), to: at },
  });
  if (event === "ready") return stretch("wait", phase === "wait-for" ? "dependencies" : "Postgres");
  if (event === "applied") return stretch("files", String(migration));
  if (event === "undone") return stretch("undo files", String(migration));
  if (event === "succeeded") return stretch("hooks", `--${String(phase)}`);
  if (event === "migrated" && phase === "migrator") return stretch("migrator", "migrator");
  return undefined;
}

/** From the first line that says so to the first that comes from behind the lock. */
function lockWait(happenings: readonly Happening[]): Stretch[] {
  const first = happenings.find(({ event }) => event === "waiting for the lock");
  if (first === undefined) return [];
  const end = happenings.find(
    ({ at, event }) => at >= first.at && (event === "locked" || event === "found nothing pending"),
  );
  const from = first.at - Number(first.facts["ms"]);
  return [
    { section: "wait", name: "migration lock", from, to: (end ?? happenings.at(-1) ?? first).at },
  ];
}

function line({ name, from, to, hasFailed }: Stretch): string {
  // A colon ends a name, a hash or semicolon begins something else.
  const shown = name.replaceAll(/[:;#,\r\n]/g, " ");
  return `  ${shown} :${hasFailed === true ? "crit, " : ""}${from}, ${Math.max(to, from + 1)}`;
}
