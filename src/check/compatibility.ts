import type { Readable } from "../apply/refuse.ts";
import { type Name, readStatement, type Reader } from "../sql/reader.ts";
import { type Created, readCreated } from "./created.ts";
import { type Finding, toFinding } from "./finding.ts";
import type { RuleName } from "./rules.ts";

/** A change that replicas of the release before meet while they still run. */
type Change = {
  readonly rule: RuleName;
  readonly offset: number;
  readonly what: string;
  /** What it is done to, and the column of it. */
  readonly object: Name;
  readonly column?: string;
};

type Column = { readonly table: Name; readonly column: string };

/** What the files before have made themselves, which no replica of the release before can know. */
export type Made = { readonly objects: Name[]; readonly columns: Column[] };

const relations = ["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW"];
const others = [
  ...["SEQUENCE", "TYPE", "DOMAIN", "SCHEMA"],
  ...["FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE"],
];
/** What may follow ADD and is no column. */
const constraints = ["CONSTRAINT", "CHECK (", "UNIQUE", "PRIMARY KEY", "FOREIGN KEY", "EXCLUDE"];
const serial = /^(small|big)?serial[248]?$/;

/**
 * Finds the statements of a file that replicas of the release before cannot live with, as they still run during a
 * rolling deployment. Only what the text says: SQL inside functions and DO blocks is not looked at.
 * @param made receives what the file makes
 */
export function findIncompatibilities(
  { migration, statements }: Readable,
  made: Made,
): readonly Finding[] {
  const { sql, directives } = migration;
  const created = statements.map((statement) => readCreated(sql, statement));
  return statements.flatMap((statement, index) => {
    const reader = readStatement(sql, statement.start, statement.end);
    const later = directives.isTransactional ? created.slice(index + 1) : [];
    const changes = readChanges(reader, statement.start, made).filter(
      (change) => !isHarmless(change, made, later),
    );
    const own = created[index];
    if (own !== undefined && !own.mayExist) made.objects.push(own.name);
    return changes.map(({ rule, offset, what }) => toFinding(rule, migration, offset, what));
  });
}

function isHarmless(
  { rule, object, column }: Change,
  made: Made,
  later: readonly (Created | undefined)[],
): boolean {
  if (made.objects.some((name) => isSame(name, object))) return true;
  // Dropped and created again, or renamed with a view in its place, in one transaction.
  if (rule === "drop-object" || rule === "rename-table" || rule === "rename-object") {
    return later.some((created) => created !== undefined && isSame(created.name, object));
  }
  const isOfColumn = ["drop-column", "rename-column", "change-type"].includes(rule);
  return (
    isOfColumn && made.columns.some((one) => one.column === column && isSame(one.table, object))
  );
}

/** One of them may be without its schema. */
function isSame(one: Name, other: Name): boolean {
  const isQualified = one.length > 1 && other.length > 1;
  return isQualified ? one.join("\0") === other.join("\0") : one.at(-1) === other.at(-1);
}

function readChanges(reader: Reader, offset: number, made: Made): readonly Change[] {
  if (reader.take("DROP")) return readDrop(reader, offset);
  if (!reader.take("ALTER")) return [];
  if (relations.some(reader.take)) return readAlterRelation(reader, made);
  const kind = others.find(reader.take);
  return kind === undefined ? [] : readAlterOther(reader, kind.toLowerCase(), offset);
}

function readDrop(reader: Reader, offset: number): readonly Change[] {
  const kind = [...relations, ...others].find(reader.take);
  if (kind === undefined) return [];
  const rule = kind.endsWith("TABLE") ? "drop-table" : "drop-object";
  const changes: Change[] = [];
  reader.take("IF EXISTS");
  while (!reader.isAtEnd()) {
    const object = reader.name();
    if (object === undefined) break;
    const what = `drops the ${kind.toLowerCase()} ${object.join(".")}`;
    changes.push({ rule, offset, what, object });
    reader.text(",");
  }
  return changes;
}

function readAlterRelation(reader: Reader, made: Made): readonly Change[] {
  reader.take("IF EXISTS");
  const table = reader.table();
  if (table === undefined) return [];
  const changes: Change[] = [];
  while (!reader.isAtEnd()) {
    const offset = reader.offset();
    const text = reader.text(",");
    const action = readStatement(text, 0, text.length);
    const change = action.take("ADD")
      ? readAdd(action, table, made)
      : (readRename(action, table) ?? readColumnChange(action, table));
    if (change !== undefined) changes.push({ ...change, offset });
  }
  return changes;
}

type Unplaced = Omit<Change, "offset">;

function readRename(action: Reader, object: Name): Unplaced | undefined {
  const name = object.join(".");
  if (action.take("SET SCHEMA")) {
    return { rule: "rename-table", what: `moves ${name} to another schema`, object };
  }
  if (!action.take("RENAME") || action.take("CONSTRAINT")) return undefined;
  if (action.take("TO")) {
    const to = action.name()?.join(".");
    if (to === undefined) return undefined;
    return { rule: "rename-table", what: `renames ${name} to ${to}`, object };
  }
  action.take("COLUMN");
  const column = action.name()?.join(".");
  action.take("TO");
  const to = action.name()?.join(".");
  if (column === undefined || to === undefined) return undefined;
  const what = `renames the column ${name}.${column} to ${to}`;
  return { rule: "rename-column", what, object, column };
}

function readColumnChange(action: Reader, object: Name): Unplaced | undefined {
  const isDrop = action.take("DROP");
  if (!isDrop && !action.take("ALTER")) return undefined;
  if (action.take("CONSTRAINT")) return undefined;
  action.take("COLUMN");
  if (isDrop) action.take("IF EXISTS");
  const column = action.name()?.join(".");
  if (column === undefined) return undefined;
  const [own, of] = [{ object, column }, `${object.join(".")}.${column}`];
  if (isDrop) return { rule: "drop-column", what: `drops the column ${of}`, ...own };
  if (action.take("SET NOT NULL")) {
    return { rule: "set-not-null", what: `makes the column ${of} NOT NULL`, ...own };
  }
  if (action.take("DROP DEFAULT") || action.take("DROP IDENTITY")) {
    return { rule: "drop-default", what: `drops the default of the column ${of}`, ...own };
  }
  if (action.take("TYPE") || action.take("SET DATA TYPE")) {
    return { rule: "change-type", what: `changes the type of the column ${of}`, ...own };
  }
  return undefined;
}

function readAdd(action: Reader, object: Name, made: Made): Unplaced | undefined {
  if (constraints.some(action.take) || action.take("NOT NULL")) return undefined;
  action.take("COLUMN");
  const mayExist = action.take("IF NOT EXISTS");
  const column = action.name()?.join(".");
  if (column === undefined) return undefined;
  if (!mayExist) made.columns.push({ table: object, column });
  const definition = action.text(",");
  const has = (words: string): boolean =>
    readStatement(definition, 0, definition.length).skipPast(words);
  const type = readStatement(definition, 0, definition.length).name()?.at(-1) ?? "";
  const isRequired = has("NOT NULL") || has("PRIMARY KEY");
  if (!isRequired || has("DEFAULT") || has("GENERATED") || serial.test(type)) return undefined;
  const of = `${object.join(".")}.${column}`;
  const what = `adds the column ${of}, NOT NULL and without a default`;
  return { rule: "add-required-column", what, object, column };
}

function readAlterOther(reader: Reader, kind: string, offset: number): readonly Change[] {
  const object = reader.name();
  if (object === undefined) return [];
  const name = `the ${kind} ${object.join(".")}`;
  const rule = "rename-object";
  if (reader.skipPast("SET SCHEMA")) {
    return [{ rule, offset, what: `moves ${name} to another schema`, object }];
  }
  if (reader.skipPast("DROP ATTRIBUTE")) {
    return [{ rule: "drop-object", offset, what: `drops an attribute of ${name}`, object }];
  }
  if (!reader.skipPast("RENAME") || reader.take("CONSTRAINT")) return [];
  if (reader.take("VALUE") || reader.take("ATTRIBUTE")) {
    return [{ rule, offset, what: `renames a part of ${name}`, object }];
  }
  return [{ rule, offset, what: `renames ${name}`, object }];
}
