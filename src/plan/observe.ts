import type { Relation, Snapshot } from "./snapshot.ts";

/** From weak to strong, as pg_locks names them. */
export const lockModes = [
  "AccessShareLock",
  "RowShareLock",
  "RowExclusiveLock",
  "ShareUpdateExclusiveLock",
  "ShareLock",
  "ShareRowExclusiveLock",
  "ExclusiveLock",
  "AccessExclusiveLock",
] as const;

/** The strongest lock on a relation that was there before the migrations. */
export type Lock = { readonly oid: number; readonly mode: string };

/** What a statement did on the copy, to relations that were there before the migrations; by their oids. */
export type Observation = {
  /** Taken by this statement. */
  readonly locks: readonly Lock[];
  /** Taken by earlier statements of the same transaction, and held while this one ran. */
  readonly held: readonly Lock[];
  readonly rewrites: readonly number[];
  readonly scans: readonly number[];
  /** Tables that an index was built for. */
  readonly builds: readonly number[];
};

/**
 * Compares what a session saw before and behind a statement.
 * @param base the relations that were there before the migrations; anything else nobody uses yet
 */
export function compare(
  base: ReadonlyMap<number, Relation>,
  before: Snapshot,
  after: Snapshot,
): Observation {
  const isHeap = ({ kind }: Relation): boolean => kind === "r" || kind === "m";
  const heaps = [...base.values()].filter(isHeap);
  const rewrites = heaps
    .filter(({ oid }) => {
      const file = after.relations.get(oid)?.file;
      return typeof file === "number" && file !== before.relations.get(oid)?.file;
    })
    .map(({ oid }) => oid);
  // An index that got a new oid and kept its file was not built.
  const files = new Set([...before.relations.values()].map(({ file }) => file));
  const builds = [...after.relations.values()]
    .filter(({ kind, file }) => kind === "i" && file !== null && !files.has(file))
    .flatMap(({ indexOf }) => (indexOf !== null && base.has(indexOf) ? [indexOf] : []))
    .filter((table) => !rewrites.includes(table));
  const scans = heaps
    .filter(({ oid }) => {
      const now = after.relations.get(oid)?.scans ?? 0;
      return now > (before.relations.get(oid)?.scans ?? 0) && !rewrites.includes(oid);
    })
    .map(({ oid }) => oid);
  return {
    locks: locksOf(base, after, (oid, mode) => before.locks.get(oid)?.has(mode) !== true),
    held: locksOf(base, before, () => true),
    rewrites,
    scans,
    builds: [...new Set(builds)],
  };
}

function locksOf(
  base: ReadonlyMap<number, Relation>,
  { locks }: Snapshot,
  counts: (oid: number, mode: string) => boolean,
): Lock[] {
  return [...locks].flatMap(([oid, modes]) => {
    if (!base.has(oid)) return [];
    const mode = lockModes.findLast((each) => modes.has(each) && counts(oid, each));
    return mode === undefined ? [] : [{ oid, mode }];
  });
}

/** What waits behind a lock. */
export type Blocks = "reads and writes" | "writes" | "nothing";

/** Tells it by the kind of relation: nobody writes to a view, and only its owner to a materialized view. */
export function blocks(kind: string, mode: string): Blocks {
  if (mode === "AccessExclusiveLock") return "reads and writes";
  const isStrong = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock"].includes(mode);
  return isStrong && ["r", "p", "f", "S"].includes(kind) && !(kind === "S" && mode === "ShareLock")
    ? "writes"
    : "nothing";
}
