import { readIndexBuild } from "../sql/index-build.ts";
import { type Name, readStatement } from "../sql/reader.ts";
import type { Statement } from "../sql/statements.ts";
import { saferAction } from "./safer-action.ts";
import { ownFile, quote } from "./sql-words.ts";
import type { Weighed } from "./weigh.ts";

/**
 * The same with less harm, as SQL to paste, where there is such a form and the statement needs one. Pure.
 * @param serverVersion as in `server_version_num`
 * @param isPartitioned tells it of a table by its name as it stands in the statement
 */
export function saferForm(
  sql: string,
  statement: Statement,
  weighed: Weighed,
  serverVersion: number,
  isPartitioned: (relation: Name) => boolean,
): string | null {
  if (weighed.findings.every(({ name }) => name === "unknown")) return null;
  const form = formOf(sql, statement, weighed, serverVersion, isPartitioned);
  if (form !== undefined) return form;
  if (weighed.held.length === 0 || weighed.class === "instant") return null;
  return `-- in a file of its own, so that the locks of the statements before it are not held:\n${sql.slice(statement.start, statement.end)};`;
}

function formOf(
  sql: string,
  statement: Statement,
  weighed: Weighed,
  serverVersion: number,
  isPartitioned: (relation: Name) => boolean,
): string | undefined {
  const build = readIndexBuild(sql, statement);
  if (build !== undefined && !build.isConcurrent) {
    const { create, ifNotExists, name, table, definition } = build;
    const start = `${create} index`.toUpperCase();
    const subject = `${ifNotExists ? "IF NOT EXISTS " : ""}${name === undefined ? "" : `${quote([name])} `}ON`;
    if (!isPartitioned(table)) {
      return `${ownFile}${start} CONCURRENTLY ${subject} ${quote(table)} ${definition};`;
    }
    return `${start} ${subject} ONLY ${quote(table)} ${definition};
-- then for each partition, in a file of its own with "-- headgate: no-transaction":
-- ${start} CONCURRENTLY … ON partition ${definition};
-- and last ALTER INDEX ${name === undefined ? "…" : quote([name])} ATTACH PARTITION …; for each`;
  }
  const reader = readStatement(sql, statement.start, statement.end);
  const rest = (): string => sql.slice(reader.offset(), statement.end);
  if (reader.take("DROP INDEX")) {
    const names = rest();
    const isOne = !reader.skipPast(",") && !/\bcascade\b/i.test(names);
    return isOne ? `${ownFile}DROP INDEX CONCURRENTLY ${names};` : undefined;
  }
  if (reader.take("REINDEX")) {
    reader.options();
    const kind = ["INDEX", "TABLE", "SCHEMA", "DATABASE"].find(reader.take);
    return kind === undefined ? undefined : `${ownFile}REINDEX ${kind} CONCURRENTLY ${rest()};`;
  }
  if (reader.take("REFRESH MATERIALIZED VIEW") && !reader.take("CONCURRENTLY")) {
    const view = reader.name();
    if (view === undefined || !reader.isAtEnd()) return undefined;
    return `-- needs a unique index on columns of ${quote(view)}:\nREFRESH MATERIALIZED VIEW CONCURRENTLY ${quote(view)};`;
  }
  if (reader.take("CREATE TABLE")) {
    reader.take("IF NOT EXISTS");
    const table = reader.name();
    if (table === undefined || !reader.take("PARTITION OF")) return undefined;
    const parent = reader.name();
    if (parent === undefined) return undefined;
    return `CREATE TABLE ${quote(table)} (LIKE ${quote(parent)} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES);
ALTER TABLE ${quote(parent)} ATTACH PARTITION ${quote(table)} ${rest()};`;
  }
  if (reader.take("ALTER TABLE")) {
    reader.take("IF EXISTS");
    const table = reader.table();
    if (table === undefined) return undefined;
    const actions: string[] = [];
    while (!reader.isAtEnd()) actions.push(reader.text(","));
    const place = { table, serverVersion };
    const forms = actions.map((action) => saferAction(action, place, weighed));
    if (forms.every((form) => form === undefined)) return undefined;
    return forms
      .map((form, index) => form ?? `ALTER TABLE ${quote(table)} ${actions[index]};`)
      .join("\n");
  }
  return undefined;
}
