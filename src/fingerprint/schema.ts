import { hash } from "node:crypto";
import type { Session } from "../postgres/session.ts";
import { beforeCatalogQuery, catalogQuery } from "./catalog.ts";

/** A table, column, index, function … with what defines it. */
export type SchemaObject = {
  readonly kind: string;
  readonly name: string;
  readonly definition: string;
};

/** An object that two schemas do not have alike; without `before` it is new, without `after` it is gone. */
export type Difference = {
  readonly kind: string;
  readonly name: string;
  readonly before?: string;
  readonly after?: string;
};

/** Some definitions need a lock that a migration which is running elsewhere may keep for hours. */
const longestLockMs = 10_000;

/**
 * Reads what the database's schema consists of, in one round trip. Reads catalogs only, and needs no rights on tables.
 * @param ownTables tables that do not count, with all that belongs to them
 * @throws pg's DatabaseError, also when an object is dropped at this very moment, or a table stays locked (55P03)
 */
export async function readSchema(
  session: Session,
  ownTables: readonly (readonly string[])[],
  signal: AbortSignal,
): Promise<readonly SchemaObject[]> {
  const text = `begin read only; set local lock_timeout = ${longestLockMs}; ${beforeCatalogQuery(ownTables)}; ${catalogQuery}; commit`;
  try {
    const results = await session.query(text, signal);
    return toObjects(results[4]?.rows[0]?.["objects"]);
  } catch (error) {
    if (session.failed()) await session.afterwards("rollback");
    throw error;
  }
}

/** Reads the JSON value of `catalogQuery`. */
export function toObjects(rows: unknown): readonly SchemaObject[] {
  return (rows as [string, string, string][]).map(([kind, name, definition]) => ({
    ...{ kind, name, definition },
  }));
}

/** One text that is the same for two schemas exactly when they consist of the same; comparable within a major version. */
export function fingerprintOf(objects: readonly SchemaObject[]): string {
  const lines = objects.map(({ kind, name, definition }) =>
    JSON.stringify([kind, name, definition]),
  );
  return hash("sha256", lines.toSorted().join("\n"));
}

/** What is new, gone or different, sorted by kind and name. */
export function compareSchemas(
  before: readonly SchemaObject[],
  after: readonly SchemaObject[],
): readonly Difference[] {
  const keyOf = ({ kind, name }: SchemaObject): string => JSON.stringify([kind, name]);
  const old = new Map(before.map((object) => [keyOf(object), object]));
  const now = new Map(after.map((object) => [keyOf(object), object]));
  const gone = before.filter((object) => !now.has(keyOf(object)));
  const differing = after.flatMap((object): Difference[] => {
    const { kind, name, definition } = object;
    const was = old.get(keyOf(object))?.definition;
    if (was === definition) return [];
    return [{ kind, name, ...(was === undefined ? {} : { before: was }), after: definition }];
  });
  return [
    ...gone.map(({ kind, name, definition }) => ({ kind, name, before: definition })),
    ...differing,
  ].toSorted((a, b) => compare(a.kind, b.kind) || compare(a.name, b.name));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** `column public.users.email was "text", is "text not null"`. A long definition is shown from its first difference. */
export function describeDifference({ kind, name, before, after }: Difference): string {
  if (before === undefined)
    return `${kind} ${name} is new${after === "" ? "" : `: ${brief(after)}`}`;
  if (after === undefined) return `${kind} ${name} is gone`;
  let same = 0;
  while (same < before.length && before[same] === after[same]) same++;
  return `${kind} ${name} was "${brief(before, same)}", is "${brief(after, same)}"`;
}

/** For a line of a log. */
const longest = 120;

/** A definition as it fits into a line. @param from where it gets interesting */
export function brief(definition: string = "", from = 0): string {
  if (definition.length <= longest) return definition.replaceAll(/\s+/g, " ");
  const start = Math.max(0, from - 30);
  const part = definition.slice(start, start + longest).replaceAll(/\s+/g, " ");
  return `${start > 0 ? "…" : ""}${part}${start + longest < definition.length ? "…" : ""}`;
}
