import { type Name, readStatement, type Reader } from "./reader.ts";
import type { Statement } from "./statements.ts";

/** The lock modes behind which reads or writes queue up, as pg_locks names them. */
export type LockMode =
  "ShareLock" | "ShareRowExclusiveLock" | "ExclusiveLock" | "AccessExclusiveLock";

/** A strong lock on something that may exist already. */
export type StrongLock = {
  readonly relation: Name;
  readonly mode: LockMode;
  /** Whether the tables on the other end of its foreign keys are locked as well. */
  readonly withLinked: boolean;
};

/** What a statement wants to lock: `relations` may be empty although `isStrong`, when its text does not tell which. */
export type Wanted = { readonly isStrong: boolean; readonly relations: readonly StrongLock[] };

const nothing: Wanted = { isStrong: false, relations: [] };
const somewhere: Wanted = { isStrong: true, relations: [] };

const mayBeStrong = /^(ALTER|CALL|CLUSTER|CREATE|DO|DROP|LOCK|REFRESH|REINDEX|TRUNCATE|VACUUM)\b/;
/** In the body of a DO block: it is not analysed further, but a plain loop of UPDATEs is none of these. */
const changesSchema =
  /\b(alter|drop|truncate|lock|reindex|cluster|refresh|execute)\b|\bcreate\s+(unique\s+index|index|trigger|policy|rule)\b/i;
const modes = [
  [/\bACCESS EXCLUSIVE\b/i, "AccessExclusiveLock"],
  [/\bSHARE ROW EXCLUSIVE\b/i, "ShareRowExclusiveLock"],
  [/\b(SHARE UPDATE EXCLUSIVE|ROW EXCLUSIVE|ROW SHARE|ACCESS SHARE)\b/i, undefined],
  [/\bEXCLUSIVE\b/i, "ExclusiveLock"],
  [/\bSHARE\b/i, "ShareLock"],
] as const;

/**
 * Tells from a statement's text which relations it locks against reads or writes. Measured on PostgreSQL 12 to 18 for
 * each kind of statement; what it cannot know (a function that runs DDL) it does not find.
 */
export function strongLocksOf(sql: string, statement: Statement): Wanted {
  const { start, end, opening } = statement;
  if (!mayBeStrong.test(opening)) return nothing;
  const reader = readStatement(sql, start, end);
  const text = sql.slice(start, end);
  const all = (mode: LockMode, withLinked = false): Wanted => ({
    isStrong: true,
    relations: readNames(reader).map((relation) => ({ relation, mode, withLinked })),
  });

  if (reader.take("DO")) return changesSchema.test(text) ? somewhere : nothing;
  if (reader.take("CALL")) return somewhere;
  if (reader.take("ALTER TABLE")) return alterTable(reader);
  if (reader.take("ALTER VIEW") || reader.take("ALTER MATERIALIZED VIEW")) {
    return all("AccessExclusiveLock");
  }
  if (reader.take("ALTER SEQUENCE") || reader.take("ALTER FOREIGN TABLE")) {
    return all("AccessExclusiveLock");
  }
  if (reader.take("ALTER POLICY")) return onTable(reader, "AccessExclusiveLock");
  if (reader.take("DROP")) return drop(reader);
  if (reader.take("TRUNCATE")) {
    reader.take("TABLE");
    return all("AccessExclusiveLock", /\bcascade\b/i.test(text));
  }
  if (reader.take("CREATE")) return create(reader, text);
  if (reader.take("REINDEX")) {
    if (/\bconcurrently\b/i.test(text)) return nothing;
    if (reader.take("(")) reader.skipPast(")");
    const isOne = reader.take("INDEX") || reader.take("TABLE");
    return isOne ? all("AccessExclusiveLock") : somewhere;
  }
  if (reader.take("CLUSTER")) {
    if (reader.take("(")) reader.skipPast(")");
    reader.take("VERBOSE");
    return all("AccessExclusiveLock");
  }
  if (reader.take("VACUUM")) {
    const isFull = /^vacuum\s*(\([^)]*\bfull\b|(freeze\s+|verbose\s+)*full\b)/i.test(text);
    if (!isFull) return nothing;
    if (reader.take("(")) reader.skipPast(")");
    while (reader.take("FULL") || reader.take("FREEZE") || reader.take("VERBOSE"));
    reader.take("ANALYZE");
    return all("AccessExclusiveLock");
  }
  if (reader.take("REFRESH MATERIALIZED VIEW")) {
    return all(reader.take("CONCURRENTLY") ? "ExclusiveLock" : "AccessExclusiveLock");
  }
  if (reader.take("LOCK")) {
    reader.take("TABLE");
    const names = readNames(reader);
    const asked = modes.find(([words]) => words.test(sql.slice(reader.offset(), end)));
    if (asked !== undefined && asked[1] === undefined) return nothing;
    const mode = asked?.[1] ?? "AccessExclusiveLock";
    return {
      isStrong: true,
      relations: names.map((relation) => ({ relation, mode, withLinked: false })),
    };
  }
  return nothing;
}

function drop(reader: Reader): Wanted {
  if (reader.take("INDEX CONCURRENTLY")) return nothing;
  const isTable = reader.take("TABLE");
  const isRelation =
    isTable ||
    ["VIEW", "MATERIALIZED VIEW", "INDEX", "SEQUENCE", "FOREIGN TABLE"].some(reader.take);
  if (isRelation) {
    const relations = readNames(reader);
    const mode = "AccessExclusiveLock";
    return {
      isStrong: true,
      relations: relations.map((relation) => ({ relation, mode, withLinked: isTable })),
    };
  }
  if (["TRIGGER", "POLICY", "RULE"].some(reader.take)) {
    return onTable(reader, "AccessExclusiveLock");
  }
  // With its tables, its columns, its constraints.
  return ["SCHEMA", "TYPE", "DOMAIN", "EXTENSION", "OWNED"].some(reader.take) ? somewhere : nothing;
}

function create(reader: Reader, text: string): Wanted {
  const replaces = reader.take("OR REPLACE");
  reader.take("RECURSIVE");
  if (reader.take("VIEW")) {
    const relation = replaces ? reader.name() : undefined;
    return relation === undefined ? nothing : strong(relation, "AccessExclusiveLock");
  }
  if (reader.take("RULE")) {
    return reader.skipPast("TO") ? readOne(reader, "AccessExclusiveLock") : somewhere;
  }
  reader.take("CONSTRAINT");
  if (reader.take("TRIGGER")) return onTable(reader, "ShareRowExclusiveLock");
  if (reader.take("POLICY")) return onTable(reader, "AccessExclusiveLock");
  reader.take("UNIQUE");
  if (reader.take("INDEX")) {
    return reader.take("CONCURRENTLY") ? nothing : onTable(reader, "ShareLock");
  }
  ["TEMP", "TEMPORARY", "UNLOGGED"].some(reader.take);
  if (!reader.take("TABLE")) return nothing;
  reader.take("IF NOT EXISTS");
  reader.name();
  if (reader.take("PARTITION OF")) return readOne(reader, "AccessExclusiveLock");
  return referencesIn(text);
}

/** The tables that foreign keys of a new table or column point to. */
function referencesIn(text: string): Wanted {
  const found = [...text.matchAll(/\breferences\s+((?:"(?:[^"]|"")+"|[\w$\u0080-\uffff.])+)/gi)];
  const relations = found.flatMap(({ 1: name = "" }): StrongLock[] => {
    const relation = readStatement(name, 0, name.length).name();
    return relation === undefined
      ? []
      : [{ relation, mode: "ShareRowExclusiveLock", withLinked: false }];
  });
  return { isStrong: relations.length > 0, relations };
}

/** Actions that let reads and writes go on (SHARE UPDATE EXCLUSIVE), and those that stop writes only. */
const gentle =
  /^(VALIDATE CONSTRAINT|ALTER (COLUMN )?\S+ (SET STATISTICS|SET \(|RESET \()|SET \(|RESET \(|CLUSTER ON|SET WITHOUT CLUSTER|ATTACH PARTITION)/i;
const stopsWrites =
  /^(ADD (CONSTRAINT \S+ )?FOREIGN KEY|(ENABLE|DISABLE) (ALWAYS |REPLICA )?TRIGGER)/i;

function alterTable(reader: Reader): Wanted {
  if (reader.take("ALL IN TABLESPACE")) return somewhere;
  const [table] = readNames(reader);
  if (table === undefined) return somewhere;
  const locks: StrongLock[] = [];
  while (!reader.isAtEnd()) {
    const action = reader.text(",");
    const words = action.replace(/\s+/g, " ");
    locks.push(...referencesIn(action).relations);
    const attached = /^ATTACH PARTITION (\S+)/i.exec(words)?.[1];
    if (attached !== undefined) {
      const child = readStatement(attached, 0, attached.length).name();
      if (child !== undefined) locks.push(...strong(child, "AccessExclusiveLock").relations);
    }
    if (gentle.test(words)) continue;
    if (/^DETACH PARTITION \S+ (CONCURRENTLY|FINALIZE)/i.test(words)) continue;
    const mode = stopsWrites.test(words) ? "ShareRowExclusiveLock" : "AccessExclusiveLock";
    locks.push({ relation: table, mode, withLinked: /^DROP CONSTRAINT/i.test(words) });
  }
  return { isStrong: locks.length > 0, relations: locks };
}

function strong(relation: Name, mode: LockMode): Wanted {
  return { isStrong: true, relations: [{ relation, mode, withLinked: false }] };
}

function readOne(reader: Reader, mode: LockMode): Wanted {
  const relation = reader.name();
  return relation === undefined ? somewhere : strong(relation, mode);
}

function onTable(reader: Reader, mode: LockMode): Wanted {
  if (!reader.skipPast("ON")) return somewhere;
  reader.take("ONLY");
  return readOne(reader, mode);
}

/** `[IF EXISTS] [ONLY] a, b.c *, "D"`. */
function readNames(reader: Reader): Name[] {
  const names: Name[] = [];
  reader.take("IF EXISTS");
  do {
    reader.take("ONLY");
    const name = reader.name();
    if (name === undefined) break;
    names.push(name);
    reader.take("*");
  } while (reader.take(","));
  return names;
}
