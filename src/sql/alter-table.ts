import { type Name, type Reader, readStatement } from "./reader.ts";
import type { LockMode, Reach, StrongLock } from "./strong-locks.ts";

/** Storage parameters that are set while reads and writes go on (src/backend/access/common/reloptions.c). */
const gentleParameter =
  /^(autovacuum_\w+|vacuum_\w+|log_autovacuum_\w+|fillfactor|toast_tuple_target|parallel_workers|deduplicate_items)$/;

/** What is done to a table and not to its partitions and children. */
const ofTableAlone = [
  ...["RENAME TO", "OWNER TO", "SET SCHEMA", "REPLICA IDENTITY", "FORCE", "NO FORCE"],
  ...["ENABLE ROW", "DISABLE ROW", "ENABLE RULE", "DISABLE RULE"],
];

/**
 * The locks of ALTER TABLE, and of ALTER VIEW and others like it, read behind these words.
 * @returns undefined when the text does not tell which relations it is about
 */
export function alterTable(reader: Reader): readonly StrongLock[] | undefined {
  reader.take("IF EXISTS");
  if (reader.take("ALL IN TABLESPACE")) return undefined;
  const table = reader.table();
  if (table === undefined) return undefined;
  const locks: StrongLock[] = [];
  while (!reader.isAtEnd()) {
    const action = reader.text(",");
    const own = locksOf(table, action);
    if (own === undefined) return undefined;
    locks.push(...referencesIn(action), ...own);
  }
  return locks;
}

/** The same for ALTER INDEX. */
export function alterIndex(reader: Reader): readonly StrongLock[] | undefined {
  reader.take("IF EXISTS");
  if (reader.take("ALL IN TABLESPACE")) return undefined;
  const index = reader.name();
  if (index === undefined) return undefined;
  // Of an index, unlike of a table, these are done beside reads and writes.
  const isGentle = reader.take("RENAME") || reader.take("ALTER");
  return isGentle ? [] : locksOf(index, reader.text(";"));
}

/** The same for ALTER SEQUENCE. */
export function alterSequence(reader: Reader): readonly StrongLock[] | undefined {
  reader.take("IF EXISTS");
  const sequence = reader.name();
  if (sequence === undefined) return undefined;
  const isWhole = ["RENAME", "OWNER TO", "SET"].some(reader.take);
  return lock(sequence, isWhole ? "AccessExclusiveLock" : "ShareRowExclusiveLock");
}

/** The tables that foreign keys in a text point to. REFERENCES is a reserved word. */
export function referencesIn(text: string): readonly StrongLock[] {
  const reader = readStatement(text, 0, text.length);
  const locks: StrongLock[] = [];
  while (reader.search("REFERENCES")) {
    const table = reader.name();
    locks.push(...(lock(table, "ShareRowExclusiveLock") ?? []));
  }
  return locks;
}

/** When a partition comes or goes, its foreign keys do too: they belong to the whole, and lock their other ends less. */
export function partitionedTable(relation: Name): readonly StrongLock[] {
  return [
    { relation, mode: "AccessExclusiveLock", reach: ["default"] },
    { relation, mode: "ShareRowExclusiveLock", reach: ["links"] },
  ];
}

function locksOf(table: Name, text: string): readonly StrongLock[] | undefined {
  const action = readStatement(text, 0, text.length);
  if (["VALIDATE CONSTRAINT", "CLUSTER ON", "SET WITHOUT CLUSTER"].some(action.take)) return [];
  if (action.take("ATTACH PARTITION")) return lock(action.name(), "AccessExclusiveLock");
  if (action.take("DETACH PARTITION")) {
    const partition = action.name();
    // It waits for all old transactions before it locks the partition alone, and must not be cut short in between.
    if (action.take("CONCURRENTLY")) return [];
    if (action.take("FINALIZE")) return lock(partition, "AccessExclusiveLock");
    if (partition === undefined) return undefined;
    return [
      ...partitionedTable(table),
      { relation: partition, mode: "AccessExclusiveLock", reach: ["parts"] },
    ];
  }
  if (ofTableAlone.some(action.take)) return lock(table, "AccessExclusiveLock", []);
  if (action.take("SET") || action.take("RESET")) {
    const names = [...action.options().keys()];
    const isGentle = names.length > 0 && names.every((name) => gentleParameter.test(name));
    return isGentle ? [] : lock(table, "AccessExclusiveLock");
  }
  if (action.take("ADD")) {
    if (action.take("CONSTRAINT")) action.name();
    const isForeignKey = action.take("FOREIGN KEY");
    return lock(table, isForeignKey ? "ShareRowExclusiveLock" : "AccessExclusiveLock");
  }
  if (action.take("ENABLE") || action.take("DISABLE")) {
    if (!action.take("ALWAYS")) action.take("REPLICA");
    return lock(table, action.take("TRIGGER") ? "ShareRowExclusiveLock" : "AccessExclusiveLock");
  }
  // Foreign keys go with the column or the constraint, and are made anew for another type.
  if (action.take("DROP")) return lock(table, "AccessExclusiveLock", ["parts", "links"]);
  if (action.take("ALTER") && !action.take("CONSTRAINT")) {
    action.take("COLUMN");
    action.name();
    if (["SET STATISTICS", "SET (", "RESET ("].some(action.take)) return [];
    const isRebuilt = action.take("TYPE") || action.take("SET DATA TYPE");
    return lock(table, "AccessExclusiveLock", isRebuilt ? ["parts", "links"] : ["parts"]);
  }
  return lock(table, "AccessExclusiveLock");
}

function lock(
  relation: Name | undefined,
  mode: LockMode,
  reach: readonly Reach[] = ["parts"],
): readonly StrongLock[] | undefined {
  return relation === undefined ? undefined : [{ relation, mode, reach }];
}
