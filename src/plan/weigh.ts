import type { PlanFinding } from "../migrations/allowances.ts";
import type { Migration } from "../migrations/folder.ts";
import type { Statement } from "../sql/statements.ts";
import { readStatement } from "../sql/reader.ts";
import { blocks, type Lock, lockModes } from "./observe.ts";
import type { Finding, LockPlan, StatementClass, StatementPlan } from "./report.ts";
import type { Sized } from "./sizes.ts";
import type { Traced } from "./trace.ts";

/** Changes rows, whatever locks it takes besides. */
const changesRows = /^(INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE)\b/;

/** Names and sizes by the copy's oids. */
export type Names = (oid: number) => Sized & {
  readonly ident: string;
  /** Of an index: the number of its table. */
  readonly table?: number;
};

/** What was observed, in the words of the report. */
export type Weighed = Omit<StatementPlan, "line" | "sql" | "safer">;

/**
 * Gives what was observed its class, and finds what would be felt by those who use the database. Pure.
 * @param names of the relations that were there before the migrations
 */
export function weigh(migration: Migration, traced: Traced, names: Names): Weighed {
  const { sql } = migration;
  const { statement } = traced;
  const toPlan = ({ oid, mode }: Lock): LockPlan => {
    const { ident, kind, rows, bytes } = names(oid);
    return { relation: ident, mode, blocks: blocks(kind, mode), rows, bytes };
  };
  const locks = onTables(traced.locks, names).map(toPlan).toSorted(byStrength);
  const held = onTables(traced.held, names)
    .map(toPlan)
    .filter((lock) => lock.blocks !== "nothing")
    .toSorted(byStrength);
  const emptied = empties(sql, statement);
  const rewrites = emptied ? [] : traced.rewrites;
  const builds = emptied ? [] : traced.builds;
  const isDataChange =
    changesRows.test(statement.opening) || locks.some(({ mode }) => mode === "RowExclusiveLock");
  // What only reads a table is no matter of locks; neither is what an UPDATE on empty tables says of scans.
  const locked = new Set(
    [...traced.locks, ...traced.held]
      .filter(({ mode }) => lockModes.indexOf(mode as never) >= 3)
      .map(({ oid }) => oid),
  );
  const scans = isDataChange ? [] : traced.scans.filter((oid) => locked.has(oid));
  const found: StatementClass =
    traced.unknown !== undefined
      ? "unknown"
      : rewrites.length > 0
        ? "rewrite"
        : builds.length > 0
          ? "index build"
          : scans.length > 0
            ? "scan"
            : isDataChange
              ? "data change"
              : "instant";
  const worked = [...rewrites, ...builds, ...scans];
  const changed = locks.filter(({ mode }) => mode === "RowExclusiveLock");
  const sizes =
    worked.length > 0
      ? worked.map(names)
      : changed.length > 0 && found === "data change"
        ? changed
        : locks.filter((lock) => lock.blocks !== "nothing");
  const weighed = {
    class: found,
    locksAre: traced.unknown === undefined ? traced.locksAre : ("unknown" as const),
    ...{ locks, held },
    rewrites: rewrites.map((oid) => names(oid).ident).toSorted(byName),
    scans: scans.map((oid) => names(oid).ident).toSorted(byName),
    indexBuilds: builds.map((oid) => names(oid).ident).toSorted(byName),
    rows: largest(sizes.map(({ rows }) => rows)),
    bytes: largest(sizes.map(({ bytes }) => bytes)),
  };
  return {
    ...weighed,
    findings: findings(migration, weighed, traced.unknown, isQuick(sql, statement)),
  };
}

/**
 * Leaves out the locks on indexes, which go with those on their tables. One alone that excludes everybody blocks reads of
 * the table, too: whoever plans a query opens all its indexes.
 */
function onTables(locks: readonly Lock[], names: Names): Lock[] {
  const isExclusive = ({ mode }: Lock): boolean => mode === "AccessExclusiveLock";
  return locks.filter((lock) => {
    const { kind, table } = names(lock.oid);
    if (kind !== "i" && kind !== "I") return true;
    return isExclusive(lock) && !locks.some((each) => each.oid === table && isExclusive(each));
  });
}

const byStrength = (a: LockPlan, b: LockPlan): number =>
  lockModes.indexOf(b.mode as never) - lockModes.indexOf(a.mode as never) ||
  (b.bytes ?? 0) - (a.bytes ?? 0) ||
  byName(a.relation, b.relation);

/** The server tells locks in the order of a hash, which is another at each run. */
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** INSERT … VALUES: as many rows as somebody has typed. */
function isQuick(sql: string, { start, end, opening }: Statement): boolean {
  return opening.startsWith("INSERT") && !readStatement(sql, start, end).search("SELECT");
}

/** Whether new files are empty ones. On the copy every file is. */
function empties(sql: string, { start, end, opening }: Statement): boolean {
  if (opening.startsWith("TRUNCATE")) return true;
  return (
    opening.startsWith("REFRESH MATERIALIZED VIEW") &&
    readStatement(sql, start, end).search("WITH NO DATA")
  );
}

function largest(numbers: readonly (number | null)[]): number | null {
  const known = numbers.filter((each) => each !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/** How each class of work reads when somebody waits for it. */
const works = {
  rewrite: ["rewrite", "writes every row anew"],
  "index build": ["index-build", "builds an index"],
  scan: ["scan", "reads the whole table"],
  "data change": ["data-change", "changes rows"],
} as const;

function findings(
  { directives }: Migration,
  weighed: Omit<Weighed, "findings">,
  unknown: string | undefined,
  isQuick: boolean,
): Finding[] {
  const found: Finding[] = [];
  const note = (name: PlanFinding, text: string): void => {
    const allowed = directives.allows?.find(({ finding }) => finding === name)?.reason ?? null;
    found.push({ name, text, allowed });
  };
  const blocking = weighed.locks.filter((lock) => lock.blocks !== "nothing");
  const work = isQuick
    ? undefined
    : (works[weighed.class as keyof typeof works] as (typeof works)["scan"] | undefined);
  if (unknown !== undefined) {
    note("unknown", `${unknown}; treat it as dangerous`);
  } else if (work !== undefined && blocking.length + weighed.held.length > 0) {
    const [name, what] = work;
    const subject = [...weighed.rewrites, ...weighed.indexBuilds, ...weighed.scans];
    const on = subject.length === 0 ? "" : ` (${list(subject)})`;
    const parts = [
      ...(blocking.length > 0 ? [`blocks ${describe(blocking)}`] : []),
      ...(weighed.held.length > 0
        ? [`still blocks ${describe(weighed.held)} by earlier statements of the file`]
        : []),
    ];
    note(name, `${what}${on}, and meanwhile ${parts.join(", and ")}`);
  } else if (blocking.length > 0) {
    note("lock", `blocks ${describe(blocking)} for a moment, and while it waits for its turn`);
  }
  return found;
}

function describe(locks: readonly LockPlan[]): string {
  const ways = (["reads and writes", "writes"] as const).flatMap((way) => {
    const relations = locks.filter((lock) => lock.blocks === way).map(({ relation }) => relation);
    return relations.length === 0 ? [] : [`${way} of ${list(relations)}`];
  });
  return ways.join(" and ");
}

/** In a sentence; a table may have a thousand partitions, and --json names each. */
const mostListed = 5;

function list(relations: readonly string[]): string {
  const names = [...new Set(relations)];
  const more = names.length - mostListed;
  return `${names.slice(0, mostListed).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
