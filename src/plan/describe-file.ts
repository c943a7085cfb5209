import type { Readable } from "../apply/refuse.ts";
import { hideSecrets, lineAndColumn } from "../apply/sql-failure.ts";
import type { Name } from "../sql/reader.ts";
import type { FilePlan } from "./report.ts";
import { saferForm } from "./safer.ts";
import type { Sized } from "./sizes.ts";
import { quote } from "./sql-words.ts";
import type { Traced } from "./trace.ts";
import { type Names, weigh } from "./weigh.ts";

/** Finds what is known of the target's relations. */
export type Finder = {
  /** By the number that the locks of a trace have. */
  readonly names: Names;
  /** By schema and name; what is not known has no size. */
  readonly nameOf: (relation: Pick<Sized, "schema" | "name" | "kind">) => ReturnType<Names>;
  readonly sizes: readonly Sized[];
  /** As in `server_version_num`. */
  readonly serverVersion: number;
};

/** @param sizes the target's relations; in `names` their number is their index */
export function finderOf(sizes: readonly Sized[], serverVersion: number): Finder {
  const known = new Map(sizes.map((each) => [JSON.stringify([each.schema, each.name]), each]));
  const nameOf: Finder["nameOf"] = ({ schema, name, kind }) => {
    const sized = known.get(JSON.stringify([schema, name]));
    const ident = quote(schema === "public" || schema === "" ? [name] : [schema, name]);
    return {
      ...{ schema, name, kind, ident },
      rows: sized?.rows ?? null,
      bytes: sized?.bytes ?? null,
    };
  };
  const names: Names = (index) => nameOf(sizes[index] ?? { schema: "", name: "?", kind: "r" });
  return { names, nameOf, sizes, serverVersion };
}

/** Says of each statement of a file what it would do. */
export function describeFile(
  { migration }: Readable,
  traced: readonly Traced[],
  { names, sizes, serverVersion }: Finder,
): FilePlan {
  const { id, name, checksum, path, sql, directives } = migration;
  const isPartitioned = (relation: Name): boolean =>
    sizes.some(
      (each) =>
        each.kind === "p" &&
        each.name === relation.at(-1) &&
        (relation.length === 1 || each.schema === relation.at(-2)),
    );
  return {
    ...{ id, name, checksum, path },
    transactional: directives.isTransactional,
    statements: traced.map((each) => {
      const { start, end } = each.statement;
      const weighed = weigh(migration, each, names);
      const safer = saferForm(sql, each.statement, weighed, serverVersion, isPartitioned);
      return {
        line: lineAndColumn(sql, start).line,
        sql: hideSecrets(sql.slice(start, end)),
        ...weighed,
        safer: safer === null ? null : hideSecrets(safer),
      };
    }),
  };
}
