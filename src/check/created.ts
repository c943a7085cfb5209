import { type Name, readStatement } from "../sql/reader.ts";
import type { Statement } from "../sql/statements.ts";

/** What a CREATE makes. */
export type Created = {
  readonly name: Name;
  /** It leaves alone, or replaces, what is there already. */
  readonly mayExist: boolean;
};

const adjectives = [
  ...["LOCAL", "GLOBAL", "TEMP", "TEMPORARY", "UNLOGGED", "FOREIGN"],
  ...["MATERIALIZED", "RECURSIVE"],
];
const kinds = [
  ...["TABLE", "VIEW", "SEQUENCE", "TYPE", "DOMAIN", "SCHEMA"],
  ...["FUNCTION", "PROCEDURE", "AGGREGATE"],
];

/** @returns undefined for statements that create nothing, or nothing that a program uses by its name */
export function readCreated(sql: string, { start, end, opening }: Statement): Created | undefined {
  if (!opening.startsWith("CREATE ")) return undefined;
  const reader = readStatement(sql, start, end);
  reader.take("CREATE");
  const replaces = reader.take("OR REPLACE");
  while (adjectives.some(reader.take));
  if (!kinds.some(reader.take)) return undefined;
  const mayExist = reader.take("IF NOT EXISTS") || replaces;
  const name = reader.name();
  return name === undefined ? undefined : { name, mayExist };
}
