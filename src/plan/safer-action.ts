import { type Name, type Reader, readStatement } from "../sql/reader.ts";
import { readToken, upperCase } from "../sql/tokens.ts";
import { ownFile, quote } from "./sql-words.ts";
import type { Weighed } from "./weigh.ts";

/** The table that an action is about. */
type Place = {
  readonly table: Name;
  /** As in `server_version_num`. */
  readonly serverVersion: number;
};

const later = "-- in a later file, so that the lock of the first is not held:\n";
/** What may follow the type of a new column. */
const clauses = [
  ...["DEFAULT", "CHECK", "UNIQUE", "PRIMARY", "REFERENCES", "NOT", "NULL", "CONSTRAINT"],
  ...["GENERATED", "COLLATE", "STORAGE", "COMPRESSION"],
];

const builtInType =
  /^(small|big)?int(eger|[248])?\b|^(bool|boolean|bytea|citext|date|decimal|double|float[48]?|inet|interval|jsonb?|numeric|real|text|time|timestamp|uuid|xml|(var)?char|character)\b|^(time|timestamp)tz\b/i;

/** The safer form of one action of ALTER TABLE; undefined when there is none, or none is needed. */
export function saferAction(action: string, place: Place, weighed: Weighed): string | undefined {
  const reader = readStatement(action, 0, action.length);
  const alter = `ALTER TABLE ${quote(place.table)}`;
  if (reader.take("DETACH PARTITION")) {
    const partition = reader.name();
    const isPlain = partition !== undefined && reader.isAtEnd() && place.serverVersion >= 140_000;
    return isPlain
      ? `${ownFile}-- (not while there is a default partition)\n${alter} DETACH PARTITION ${quote(partition)} CONCURRENTLY;`
      : undefined;
  }
  if (weighed.class === "instant" || weighed.class === "unknown") return undefined;
  if (reader.take("ATTACH PARTITION")) {
    const partition = reader.name();
    if (partition === undefined) return undefined;
    return `-- first a constraint that says what the bounds say, so that no row has to be read:
ALTER TABLE ${quote(partition)} ADD CONSTRAINT ${named(partition, "bounds")} CHECK (… IS NOT NULL AND …) NOT VALID;
${later}ALTER TABLE ${quote(partition)} VALIDATE CONSTRAINT ${named(partition, "bounds")};
${alter} ${action};`;
  }
  if (reader.take("ADD")) return saferAddition(action, reader, alter, place, weighed);
  if (!reader.take("ALTER")) return undefined;
  reader.take("COLUMN");
  const column = reader.name();
  if (column === undefined) return undefined;
  if (reader.take("SET NOT NULL")) return notNull(alter, place, column);
  if (reader.take("TYPE") || reader.take("SET DATA TYPE")) {
    const type = action.slice(reader.offset());
    const fresh = quote([`${column[0]}_new`]);
    return `${alter} ADD COLUMN ${fresh} ${type.replace(/\busing\b[^]*$/i, "").trim()};
-- write both columns from now on; fill the new one in batches; read it; then
${alter} DROP COLUMN ${quote(column)};`;
  }
  return undefined;
}

function saferAddition(
  action: string,
  reader: Reader,
  alter: string,
  place: Place,
  weighed: Weighed,
): string | undefined {
  const given = reader.take("CONSTRAINT") ? reader.name() : undefined;
  const at = reader.offset();
  const definition = action.slice(at);
  const constraint = (kind: string): string =>
    given === undefined ? named(place.table, kind) : quote(given);
  const isCheck = reader.take("CHECK");
  if (isCheck || reader.take("FOREIGN KEY")) {
    if (/\bnot\s+valid\s*$/i.test(definition)) return undefined;
    return notValid(alter, constraint(isCheck ? "check" : "fkey"), definition);
  }
  const isPrimary = reader.take("PRIMARY KEY");
  if (isPrimary || reader.take("UNIQUE")) {
    const kind = isPrimary ? "PRIMARY KEY" : "UNIQUE";
    const columns = action.slice(reader.offset());
    const name = constraint(isPrimary ? "pkey" : "key");
    // USING INDEX, of columns that may be NULL: these are read through.
    if (!columns.startsWith("(")) return reader.take("USING INDEX") ? checkedFirst : undefined;
    const note = isPrimary ? `${checkedFirst}\n` : "";
    return `${note}${ownFile}CREATE UNIQUE INDEX CONCURRENTLY ${name} ON ${quote(place.table)} ${columns};
${alter} ADD CONSTRAINT ${name} ${kind} USING INDEX ${name};`;
  }
  if (given !== undefined || reader.take("EXCLUDE")) return undefined;
  reader.take("COLUMN");
  const condition = reader.take("IF NOT EXISTS") ? "IF NOT EXISTS " : "";
  const column = reader.name();
  return column === undefined
    ? undefined
    : saferColumn(action, reader, `${alter} ADD COLUMN ${condition}${quote(column)}`, alter, {
        ...place,
        column,
        isRewrite: weighed.class === "rewrite",
      });
}

const checkedFirst =
  "-- the columns have to be NOT NULL already: ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID, VALIDATE, SET NOT NULL first";

function notValid(alter: string, name: string, definition: string): string {
  return `${alter} ADD CONSTRAINT ${name} ${definition} NOT VALID;
${later}${alter} VALIDATE CONSTRAINT ${name};`;
}

function notNull(alter: string, { table, serverVersion }: Place, column: Name): string {
  const name = named([...table, ...column], "not_null");
  if (serverVersion >= 180_000) {
    return `${alter} ADD CONSTRAINT ${name} NOT NULL ${quote(column)} NOT VALID;
${later}${alter} VALIDATE CONSTRAINT ${name};`;
  }
  // In one ALTER TABLE the constraint would be dropped first, and all rows read in spite of it.
  return `${notValid(alter, name, `CHECK (${quote(column)} IS NOT NULL)`)}
${later}${alter} ALTER COLUMN ${quote(column)} SET NOT NULL;
${alter} DROP CONSTRAINT ${name};`;
}

/** A column, and then what it is to have, each on its own. */
function saferColumn(
  action: string,
  reader: Reader,
  add: string,
  alter: string,
  {
    table,
    column,
    serverVersion,
    isRewrite,
  }: Place & { readonly column: Name; readonly isRewrite: boolean },
): string | undefined {
  const parts = splitClauses(action.slice(reader.offset()));
  const [type = ""] = parts;
  const isSerial = /^(small|big)?serial$/i.test(type);
  if (isSerial || parts.some((part) => /^(generated|primary)\b/i.test(part))) return undefined;
  // Of these the default may be what rewrites; of others it is their own check, as of a domain.
  const isByDefault = builtInType.test(type) && parts.some((part) => /^default\b/i.test(part));
  if (isRewrite && !isByDefault) return undefined;
  const lines: string[] = [];
  const afterwards: string[] = [];
  let isRequired = false;
  for (const part of parts.slice(1)) {
    const name = (kind: string): string => named([...table, ...column], kind);
    if (/^not\s+null$/i.test(part)) isRequired = true;
    else if (/^default\b/i.test(part)) {
      lines.push(`${alter} ALTER COLUMN ${quote(column)} SET ${part};`);
      afterwards.push(
        `-- fill the rows that are there in batches: UPDATE … SET … WHERE ${quote(column)} IS NULL`,
      );
    } else if (/^check\b/i.test(part)) afterwards.push(notValid(alter, name("check"), part));
    else if (/^references\b/i.test(part)) {
      afterwards.push(notValid(alter, name("fkey"), `FOREIGN KEY (${quote(column)}) ${part}`));
    } else if (/^unique$/i.test(part)) {
      afterwards.push(`${ownFile}CREATE UNIQUE INDEX CONCURRENTLY ${name("key")} ON ${quote(table)} (${quote(column)});
${alter} ADD CONSTRAINT ${name("key")} UNIQUE USING INDEX ${name("key")};`);
    } else if (/^collate\b/i.test(part)) lines.unshift(part);
    else if (!/^null$/i.test(part)) return undefined;
  }
  const collate = lines[0]?.startsWith("ALTER") === false ? ` ${lines.shift()}` : "";
  if (isRequired) afterwards.push(notNull(alter, { table, serverVersion }, column));
  return [`${add} ${type}${collate};`, ...lines, ...afterwards].join("\n");
}

/** `int DEFAULT f() NOT NULL` → `int`, `DEFAULT f()`, `NOT NULL`; words in parentheses do not count. */
function splitClauses(text: string): string[] {
  const starts = [0];
  let depth = 0;
  let previous = "";
  for (let at = 0; at < text.length;) {
    const token = readToken(text, at);
    const word = token.kind === "word" ? upperCase(token.text) : token.text;
    if (word === "(") depth++;
    if (word === ")") depth--;
    const isClause = depth === 0 && token.kind === "word" && clauses.includes(word);
    if (isClause && at > 0 && !(word === "NULL" && previous === "NOT")) starts.push(at);
    if (token.kind !== "blank") previous = word;
    at = token.end;
  }
  return starts.map((start, index) => text.slice(start, starts[index + 1]).trim());
}

/** A name for what the server would name itself; short enough for it. */
function named(words: Name, kind: string): string {
  return quote([
    `${words.at(-1) === undefined ? "" : words.slice(-2).join("_")}_${kind}`.slice(-63),
  ]);
}
