import { readStatements } from "../apply/refuse.ts";
import { readBase } from "../git/repository.ts";
import type { Context } from "../look.ts";
import { type Migration, surveyFolder } from "../migrations/folder.ts";
import type { Problem } from "../migrations/problem.ts";
import { listStrayUndoFiles, readUndoFiles, undoPathOf } from "../migrations/undo-files.ts";
import { compareWithBase, type Comparison } from "./base.ts";
import { findIncompatibilities, type Made } from "./compatibility.ts";
import { type Finding, toFinding } from "./finding.ts";
import type { RuleName } from "./rules.ts";

/** The migrations of a folder, each with what undoes it, and all that is found without a database. */
export type CheckedFolder = {
  readonly migrations: readonly Migration[];
  /** By the number of the migration. */
  readonly undoFiles: ReadonlyMap<number, Migration>;
  readonly findings: readonly Finding[];
};

/**
 * Checks a folder of migrations. With --base, only what this branch adds is asked whether old replicas can live with
 * it, and what one new file makes the others may take apart.
 * @throws HeadgateError usage (64) when the folder, or the commits of --base, cannot be read
 */
export async function checkFolder(context: Context, folder: string): Promise<CheckedFolder> {
  const { migrations, misfits } = await surveyFolder(folder);
  const undoFiles = readUndoFiles(folder, migrations);
  const compared = await compare(context, folder, migrations);
  const made: Made = { objects: [], columns: [] };
  const findings = [
    ...misfits.map((misfit) => fromProblem(misfit, misfit)),
    ...migrations.flatMap((migration) => checkFile(migration)),
    ...[...undoFiles.values()].flatMap((undo) => checkFile(undo)),
    ...migrations.flatMap((migration) => {
      if (compared === undefined)
        return findIncompatibilities(readStatements(migration), newMade());
      return compared.added.has(migration)
        ? findIncompatibilities(readStatements(migration), made)
        : [];
    }),
    ...checkUndoFiles(folder, migrations, undoFiles),
    ...(compared?.findings ?? []),
  ];
  return { migrations, undoFiles, findings };
}

const newMade = (): Made => ({ objects: [], columns: [] });

/** What would keep it from being applied. */
function checkFile(migration: Migration): readonly Finding[] {
  const { problems } = readStatements(migration);
  return [...migration.defects, ...problems].map((problem) => fromProblem(problem, migration));
}

function fromProblem(
  { rule, offset, what, fix }: Problem,
  place: { readonly path: string; readonly sql?: string },
): Finding {
  return toFinding(rule as RuleName, place, offset, what, fix);
}

/** A team that writes undo files wants one for each migration from its first on. */
function checkUndoFiles(
  folder: string,
  migrations: readonly Migration[],
  undoFiles: ReadonlyMap<number, Migration>,
): readonly Finding[] {
  const first = migrations.findIndex(({ id }) => undoFiles.has(id));
  const without =
    first === -1 ? [] : migrations.slice(first).filter(({ id }) => !undoFiles.has(id));
  return [
    ...listStrayUndoFiles(folder, migrations).map((path) =>
      toFinding(
        "undo-without-migration",
        { path },
        0,
        "there is no migration of this name",
        "rename or remove it",
      ),
    ),
    ...without.map((migration) =>
      toFinding(
        "no-undo",
        migration,
        0,
        "has no undo file",
        `write ${undoPathOf(migration)}, or allow it with a reason`,
      ),
    ),
  ];
}

async function compare(
  { config, environment, signal }: Context,
  folder: string,
  migrations: readonly Migration[],
): Promise<Comparison | undefined> {
  const ref = config.check?.base;
  if (ref === undefined) return undefined;
  const base = await readBase({ folder, environment: environment(), signal }, ref);
  return compareWithBase(folder, migrations, base, ref);
}
