import { hasStatement } from "../sql/statements.ts";
import type { Directives } from "./directives.ts";
import { isUnwritten } from "./new-file.ts";
import type { Problem } from "./problem.ts";

type File = {
  readonly name: string;
  readonly fileName: string;
  readonly sql: string;
  readonly directives: Directives;
};

/** By which tools tell the two files of a migration apart. They count between twins only: `5_scale-down.sql` is no undo. */
const downPart = /[._-](?:down|undo|rollback|revert)(?=[._-]|$)/i;
const upPart = /[._-](?:up|do|deploy|apply)(?=[._-]|$)/i;

const stemOf = (fileName: string): string => fileName.replace(/\.\w+$/, "");

/** The file of two with the same number that undoes the other: `1_a.down.sql` of `1_a.up.sql`; undefined if neither does. */
export function undoOfPair<Named extends { readonly fileName: string }>(
  ...pair: readonly [Named, Named]
): Named | undefined {
  const downs = pair.filter(({ fileName }) => downPart.test(stemOf(fileName)));
  const [down] = downs;
  if (down === undefined || downs.length === 2) return undefined;
  const [one, two] = pair.map(({ fileName }) =>
    stemOf(fileName).replace(downPart, "").replace(upPart, ""),
  );
  return one === two ? down : undefined;
}

/** What to do with a file that undoes another, and stands beside it. */
export const undoBeside: Pick<Problem, "rule" | "fix"> = {
  rule: "undo-beside",
  fix: "move it to undo/, with the name of the migration that it undoes; or let the tool whose files these are apply them (golang-migrate: --migrator golang-migrate)",
};

/** What makes a file impossible to apply as a migration. */
export function upProblems({ name, fileName, sql, directives }: File): Problem[] {
  const found: Problem[] = [];
  if (/\.(?:down|undo|rollback|revert)\.sql$|^\d+\.undo\./i.test(fileName)) {
    const what = "undoes a migration, as its name says, and would be run as one";
    found.push({ ...undoBeside, offset: 0, what });
  }
  if (isUnwritten(name, sql)) {
    found.push({
      ...{ rule: "not-written", offset: 0 },
      what: "is still as `headgate new` wrote it: there is no SQL in it yet",
      fix: "write it, or remove it and its undo file",
    });
  }
  if (directives.nothingToUndo !== undefined) {
    const what = "nothing-to-undo is for the undo file";
    found.push({ rule: "directive", offset: 0, what, fix: "write it into the file in undo/" });
  }
  return found;
}

/** What makes a file impossible to undo anything with. */
export function undoProblems({ sql, directives }: File): Problem[] {
  const isEmpty = !hasStatement(sql);
  const { nothingToUndo } = directives;
  if (isEmpty && nothingToUndo === undefined) {
    return [
      {
        ...{ rule: "empty-undo", offset: 0 },
        what: "counts as missing: it holds no statement, and would undo nothing",
        fix: 'write what undoes the migration, or, where that is nothing, `-- headgate: nothing-to-undo reason="…"`',
      },
    ];
  }
  if (isEmpty || nothingToUndo === undefined) return [];
  const what = "says nothing-to-undo, and holds statements";
  return [{ rule: "directive", offset: 0, what, fix: "remove the one or the other" }];
}
