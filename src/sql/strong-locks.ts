import {
  alterIndex,
  alterSequence,
  alterTable,
  partitionedTable,
  referencesIn,
} from "./alter-table.ts";
import { type Name, readStatement, type Reader } from "./reader.ts";
import type { Statement } from "./statements.ts";

/** The lock modes behind which reads or writes queue up, as pg_locks names them. */
export type LockMode =
  "ShareLock" | "ShareRowExclusiveLock" | "ExclusiveLock" | "AccessExclusiveLock";

/** A strong lock on something that may exist already. */
export type StrongLock = {
  readonly relation: Name;
  readonly mode: LockMode;
  readonly reach: readonly Reach[];
};

/**
 * What is locked with it:
 * `parts`: its partitions and children, and theirs;
 * `whole`: the table of which it is a partition, with that one's default partition;
 * `default`: its default partition;
 * `links`: the tables on the other end of its foreign keys;
 * `references`: the tables with a foreign key to it, and those with one to them.
 */
export type Reach = "parts" | "whole" | "default" | "links" | "references";

/** What a statement wants to lock: `relations` may be empty although `isStrong`, when its text does not tell which. */
export type Wanted = { readonly isStrong: boolean; readonly relations: readonly StrongLock[] };

const nothing: Wanted = { isStrong: false, relations: [] };
const somewhere: Wanted = { isStrong: true, relations: [] };

const mayBeStrong =
  /^(ALTER|CALL|CLUSTER|CREATE|DO|DROP|LOCK|REASSIGN|REFRESH|REINDEX|TRUNCATE|VACUUM)\b/;
/** In the body of a DO block: it is not analysed further, but a plain loop of UPDATEs is none of these. */
const changesSchema =
  /\b(alter|call|cluster|drop|execute|lock|reassign|references|refresh|reindex|truncate|partition\s+of)\b|\bcreate\s+(or\s+replace\s+)?(unique\s+index|index|constraint\s+trigger|trigger|policy|rule|view)\b/i;
const lockModes: readonly (readonly [words: string, mode: LockMode | undefined])[] = [
  ["ACCESS SHARE", undefined],
  ["ROW SHARE", undefined],
  ["ROW EXCLUSIVE", undefined],
  ["SHARE UPDATE EXCLUSIVE", undefined],
  ["SHARE", "ShareLock"],
  ["SHARE ROW EXCLUSIVE", "ShareRowExclusiveLock"],
  ["EXCLUSIVE", "ExclusiveLock"],
];

/**
 * Tells from a statement's text which relations it locks against reads or writes. Measured on PostgreSQL 13 to 18 for
 * each kind of statement; what it cannot know (a function that runs DDL) it does not find.
 */
export function strongLocksOf(sql: string, statement: Statement): Wanted {
  const { start, end, opening } = statement;
  if (!mayBeStrong.test(opening)) return nothing;
  const reader = readStatement(sql, start, end);
  const text = sql.slice(start, end);

  if (reader.take("DO")) return changesSchema.test(text) ? somewhere : nothing;
  if (reader.take("CALL") || reader.take("REASSIGN")) return somewhere;
  if (reader.take("ALTER")) return alter(reader);
  if (reader.take("DROP")) return drop(reader);
  if (reader.take("CREATE")) return create(reader, text);
  if (reader.take("TRUNCATE")) {
    reader.take("TABLE");
    const tables = readTables(reader);
    const reach: Reach[] = reader.skipPast("CASCADE") ? ["parts", "references"] : ["parts"];
    return onEach(tables, "AccessExclusiveLock", reach);
  }
  if (reader.take("REINDEX")) {
    if (reader.options().get("concurrently")) return nothing;
    // On the table it is SHARE only, but every query plan for it looks at its indexes.
    const isOne = reader.take("INDEX") || reader.take("TABLE");
    if (reader.take("CONCURRENTLY")) return nothing;
    return isOne ? onEach(readTables(reader), "AccessExclusiveLock") : somewhere;
  }
  if (reader.take("CLUSTER")) {
    reader.options();
    reader.take("VERBOSE");
    return onEach(readTables(reader), "AccessExclusiveLock");
  }
  if (reader.take("VACUUM")) {
    const isFull = reader.options().get("full") || reader.take("FULL");
    if (!isFull) return nothing;
    while (["FREEZE", "VERBOSE", "ANALYZE", "ANALYSE"].some(reader.take));
    return onEach(readTables(reader), "AccessExclusiveLock");
  }
  if (reader.take("REFRESH MATERIALIZED VIEW")) {
    const mode = reader.take("CONCURRENTLY") ? "ExclusiveLock" : "AccessExclusiveLock";
    return onEach(readTables(reader), mode);
  }
  if (reader.take("LOCK")) {
    reader.take("TABLE");
    const tables = readTables(reader);
    const asked = lockModes.find(([words]) => reader.take(`IN ${words} MODE`));
    if (asked !== undefined && asked[1] === undefined) return nothing;
    return onEach(tables, asked?.[1] ?? "AccessExclusiveLock");
  }
  return nothing;
}

function alter(reader: Reader): Wanted {
  if (["TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"].some(reader.take)) {
    return toWanted(alterTable(reader));
  }
  if (reader.take("INDEX")) return toWanted(alterIndex(reader));
  if (reader.take("SEQUENCE")) return toWanted(alterSequence(reader));
  if (reader.take("POLICY") || reader.take("RULE"))
    return onTable(reader, "AccessExclusiveLock", []);
  if (reader.take("TRIGGER")) {
    const wanted = onTable(reader, "AccessExclusiveLock");
    return reader.take("RENAME") ? wanted : nothing;
  }
  // Every table with a column of the domain is searched for values that do not fit.
  if (reader.take("DOMAIN")) {
    reader.name();
    const isSearched = ["SET NOT NULL", "VALIDATE", "ADD"].some(reader.take);
    return isSearched && !reader.skipPast("NOT VALID") ? somewhere : nothing;
  }
  // The tables made OF the type.
  if (reader.take("TYPE")) return reader.skipPast("CASCADE") ? somewhere : nothing;
  return nothing;
}

function drop(reader: Reader): Wanted {
  if (reader.take("INDEX CONCURRENTLY")) return nothing;
  const isTable = reader.take("TABLE") || reader.take("FOREIGN TABLE");
  if (isTable || ["VIEW", "MATERIALIZED VIEW", "INDEX", "SEQUENCE"].some(reader.take)) {
    const reach: Reach[] = isTable ? ["parts", "whole", "links"] : ["parts"];
    return onEach(readTables(reader), "AccessExclusiveLock", reach);
  }
  if (reader.take("TRIGGER")) return onTable(reader, "AccessExclusiveLock");
  if (reader.take("POLICY") || reader.take("RULE"))
    return onTable(reader, "AccessExclusiveLock", []);
  // With its tables; and CASCADE takes columns, constraints, defaults and triggers along.
  const isWide = reader.take("OWNED") || reader.take("EXTENSION") || reader.skipPast("CASCADE");
  return isWide ? somewhere : nothing;
}

function create(reader: Reader, text: string): Wanted {
  const replaces = reader.take("OR REPLACE");
  if (reader.take("RECURSIVE VIEW") || reader.take("VIEW")) {
    return replaces ? readOne(reader, "AccessExclusiveLock") : nothing;
  }
  if (reader.take("RULE")) {
    return reader.skipPast("TO") ? readOne(reader, "AccessExclusiveLock", []) : somewhere;
  }
  reader.take("CONSTRAINT");
  if (reader.take("TRIGGER")) return onTable(reader, "ShareRowExclusiveLock");
  if (reader.take("POLICY")) return onTable(reader, "AccessExclusiveLock", []);
  reader.take("UNIQUE");
  if (reader.take("INDEX")) {
    return reader.take("CONCURRENTLY") ? nothing : onTable(reader, "ShareLock");
  }
  if (reader.take("SCHEMA")) return toWanted(referencesIn(text));
  if (!reader.take("LOCAL")) reader.take("GLOBAL");
  ["TEMP", "TEMPORARY", "UNLOGGED", "FOREIGN"].some(reader.take);
  if (!reader.take("TABLE")) return nothing;
  reader.take("IF NOT EXISTS");
  const table = reader.name()?.join(".");
  if (reader.take("PARTITION OF")) {
    const parent = reader.name();
    return toWanted(parent === undefined ? undefined : partitionedTable(parent));
  }
  return toWanted(referencesIn(text).filter(({ relation }) => relation.join(".") !== table));
}

function toWanted(relations: readonly StrongLock[] | undefined): Wanted {
  return relations === undefined ? somewhere : { isStrong: relations.length > 0, relations };
}

/** Also when there is none: then it is every table, or one whose name cannot be read. */
function onEach(
  tables: readonly Name[],
  mode: LockMode,
  reach: readonly Reach[] = ["parts"],
): Wanted {
  const relations = tables.map((relation) => ({ relation, mode, reach }));
  return { isStrong: true, relations };
}

function readOne(reader: Reader, mode: LockMode, reach?: readonly Reach[]): Wanted {
  const table = reader.table();
  return onEach(table === undefined ? [] : [table], mode, reach);
}

function onTable(reader: Reader, mode: LockMode, reach?: readonly Reach[]): Wanted {
  return reader.skipPast("ON") ? readOne(reader, mode, reach) : somewhere;
}

/** `[IF EXISTS] a, ONLY b.c, "D" *`. */
function readTables(reader: Reader): readonly Name[] {
  const tables: Name[] = [];
  reader.take("IF EXISTS");
  do {
    const table = reader.table();
    if (table === undefined) break;
    tables.push(table);
  } while (reader.take(","));
  return tables;
}

/** The table that a statement makes, if it fails where there is one already. */
export function createdTable(sql: string, { start, end, opening }: Statement): Name | undefined {
  if (!/^CREATE (UNLOGGED )?TABLE\b/.test(opening)) return undefined;
  const reader = readStatement(sql, start, end);
  reader.take("CREATE");
  reader.take("UNLOGGED");
  reader.take("TABLE");
  return reader.take("IF NOT EXISTS") ? undefined : reader.name();
}
