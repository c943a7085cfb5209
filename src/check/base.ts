import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Base, blobId, type Tree } from "../git/repository.ts";
import { checksumOf, isSameText, withoutByteOrderMark } from "../migrations/checksum.ts";
import { isMigrationFile, type Migration, numberOf } from "../migrations/folder.ts";
import { type Finding, toFinding } from "./finding.ts";

/** A migration as it is on disk. */
type Local = { readonly migration: Migration; readonly content: Uint8Array };

/** What a branch does to the migrations of the branch it is to be merged into. */
export type Comparison = {
  readonly findings: readonly Finding[];
  /** The migrations that this branch adds. */
  readonly added: ReadonlySet<Migration>;
};

/**
 * Compares the folder with another branch. What that branch has changed since this one left it is not held against
 * this one.
 * @param ref what the other branch is called
 */
export async function compareWithBase(
  folder: string,
  migrations: readonly Migration[],
  base: Base,
  ref: string,
): Promise<Comparison> {
  const locals = new Map(
    migrations.map((migration): [string, Local] => [
      migration.fileName,
      // To the byte, which of a .js file is not what it generates.
      { migration, content: readFileSync(migration.path) },
    ]),
  );
  const isIn = await comparer(locals, base);
  const findings: Finding[] = [];
  const renamed = new Set<Migration>();
  for (const [fileName, id] of onlyMigrations(base.fork)) {
    const local = locals.get(fileName);
    // It is there and cannot be read, which is told already.
    if (local === undefined && existsSync(join(folder, fileName))) continue;
    // The other branch has done the same.
    if (local === undefined ? !base.tip.has(fileName) : isIn(base.tip, fileName)) continue;
    if (local === undefined) {
      const heir = findHeir(fileName, id, locals, base.fork);
      if (heir === undefined) {
        const what = `is gone, and ${ref} has it`;
        findings.push(toFinding("removed", { path: join(folder, fileName) }, 0, what));
      } else {
        renamed.add(heir);
        findings.push(toFinding("renamed", heir, 0, `is called ${fileName} on ${ref}`));
      }
    } else if (!isIn(base.fork, fileName)) {
      const was = (await base.read([id])).get(id) ?? new Uint8Array();
      const place = { path: local.migration.path, sql: textOf(local.content) };
      const offset = differenceAt(place.sql, textOf(was));
      findings.push(toFinding("edited", place, offset, `differs here from ${ref}`));
    }
  }
  const added = migrations.filter(
    ({ fileName }) => !base.fork.has(fileName) && !isIn(base.tip, fileName),
  );
  const news = added.filter((migration) => !renamed.has(migration));
  findings.push(...news.flatMap((migration) => whyNotNext(migration, locals, base, ref)));
  return { findings, added: new Set(added) };
}

const onlyMigrations = (tree: Tree): readonly (readonly [string, string])[] =>
  [...tree].filter(([fileName]) => isMigrationFile(fileName));

/** Tells whether a local file is the same in a commit, by the rule of the checksums. Contents are read at once. */
async function comparer(
  locals: ReadonlyMap<string, Local>,
  base: Base,
): Promise<(tree: Tree, fileName: string) => boolean> {
  const differing = [base.fork, base.tip].flatMap((tree) =>
    [...locals].flatMap(([fileName, { content }]) => {
      const id = tree.get(fileName);
      return id === undefined || blobId(content, id) === id ? [] : [id];
    }),
  );
  const contents = await base.read([...new Set(differing)]);
  return (tree, fileName) => {
    const [id, local] = [tree.get(fileName), locals.get(fileName)];
    if (id === undefined || local === undefined) return false;
    const other = contents.get(id);
    const recorded = checksumOf(fileName, textOf(other ?? local.content));
    return isSameText(recorded, fileName, textOf(local.content));
  };
}

/** The file that a missing one was renamed to. */
function findHeir(
  fileName: string,
  id: string,
  locals: ReadonlyMap<string, Local>,
  fork: Tree,
): Migration | undefined {
  const news = [...locals.values()].filter(({ migration }) => !fork.has(migration.fileName));
  const heir =
    news.find(({ content }) => blobId(content, id) === id) ??
    news.find(({ migration }) => migration.id === numberOf(fileName));
  return heir?.migration;
}

function whyNotNext(
  migration: Migration,
  locals: ReadonlyMap<string, Local>,
  { tip }: Base,
  ref: string,
): readonly Finding[] {
  const theirs = onlyMigrations(tip).map(([fileName]) => fileName);
  const newest = Math.max(0, ...theirs.map((fileName) => numberOf(fileName) ?? 0));
  const fix = `give the new files of this branch the numbers from ${newest + 1} on`;
  const twin = theirs.find((fileName) => numberOf(fileName) === migration.id);
  if (twin !== undefined) {
    // Those that are here too are found without git.
    const isHere = twin !== migration.fileName && locals.has(twin);
    const what = `${ref} has this number for ${twin === migration.fileName ? "another text" : twin}`;
    return isHere ? [] : [toFinding("number-taken", migration, 0, what, fix)];
  }
  if (migration.id > newest) return [];
  const what = `is new, and ${ref} has files up to number ${newest}`;
  return [toFinding("below-base", migration, 0, what, fix)];
}

const textOf = (content: Uint8Array): string =>
  withoutByteOrderMark(Buffer.from(content).toString());

/** Where the first difference is that is not one of line ends. */
function differenceAt(now: string, was: string): number {
  let [at, before] = [0, 0];
  while (at < now.length && before < was.length) {
    if (now.startsWith("\r\n", at)) at++;
    if (was.startsWith("\r\n", before)) before++;
    if (now[at] !== was[before]) break;
    at++;
    before++;
  }
  return at;
}
