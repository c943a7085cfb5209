import { join } from "node:path";
import { readStatements } from "../apply/refuse.ts";
import { readBase } from "../git/repository.ts";
import type { Context } from "../look.ts";
import { type Migration, type Misfit, surveyFolder } from "../migrations/folder.ts";
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
  const { migrations, misfits, unread } = await surveyFolder(folder);
  const undoFiles = readUndoFiles(folder, migrations);
  const compared = await compare(context, folder, migrations);
  const files = migrations.map(readStatements);
  const areNew = migrations.map((migration) => compared?.added.has(migration) ?? true);
  const news = files.filter((_, index) => areNew[index]);
  const made: Made = { objects: [], columns: [] };
  const findings = [
    ...misfits
      .filter((misfit) => !isDefect(misfit, migrations))
      .map((misfit) => fromProblem(misfit, misfit)),
    ...[...files, ...[...undoFiles.values()].map(readStatements)].flatMap(whyNotApplicable),
    ...news.flatMap((file) =>
      // Without --base it is not known which files go into one deployment.
      findIncompatibilities(file, compared === undefined ? { objects: [], columns: [] } : made),
    ),
    ...findUnreadFiles(folder, unread),
    ...findStrayUndoFiles(folder, migrations),
    ...findWithoutUndo(migrations, undoFiles, context.config.check?.makesRoundTrip === true),
    ...(compared?.findings ?? []),
  ];
  return { migrations, undoFiles, findings };
}

/** What is found of a file by itself, and again in the company of others, is told once. */
const isDefect = ({ rule, path }: Misfit, migrations: readonly Migration[]): boolean =>
  migrations.some((each) => each.path === path && each.defects.some((own) => own.rule === rule));

function whyNotApplicable({
  migration,
  problems,
}: ReturnType<typeof readStatements>): readonly Finding[] {
  return [...migration.defects, ...problems].map((problem) => fromProblem(problem, migration));
}

function fromProblem(
  { rule, offset, what, fix }: Problem,
  place: { readonly path: string; readonly sql?: string },
): Finding {
  return toFinding(rule as RuleName, place, offset, what, fix);
}

function findUnreadFiles(folder: string, unread: readonly string[]): readonly Finding[] {
  const what = "may be meant as a migration, and is not read";
  return unread.map((path) => toFinding("unread", { path: join(folder, path) }, 0, what));
}

function findStrayUndoFiles(folder: string, migrations: readonly Migration[]): readonly Finding[] {
  const what = "there is no migration of this name";
  return listStrayUndoFiles(folder, migrations).map((path) =>
    toFinding("undo-without-migration", { path }, 0, what, "rename or remove it"),
  );
}

/**
 * A team that writes undo files wants one for each migration from its first on. A round trip needs at least one, and
 * one that is missing is in its way.
 */
function findWithoutUndo(
  migrations: readonly Migration[],
  undoFiles: ReadonlyMap<number, Migration>,
  makesRoundTrip: boolean,
): readonly Finding[] {
  const first = migrations.findIndex(({ id }) => undoFiles.has(id));
  const expected =
    first === -1 ? migrations.slice(makesRoundTrip ? -1 : Infinity) : migrations.slice(first);
  const what = first === -1 ? "has no undo file, and no other has" : "has no undo file";
  return expected
    .filter(({ id }) => !undoFiles.has(id))
    .map((migration) => {
      const fix = `write ${undoPathOf(migration)}, or allow it with a reason`;
      const finding = toFinding("no-undo", migration, 0, what, fix);
      return makesRoundTrip ? { ...finding, severity: "error" } : finding;
    });
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
