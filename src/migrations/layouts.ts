import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";

/** The tool that a folder seems to belong to, in words. */
export type Guess = {
  readonly tool: string;
  /** headgate's presets for it; none where it has none. */
  readonly presets: readonly string[];
};

const guess = (tool: string, ...presets: string[]): Guess => ({ tool, presets });
const preset = (name: string): Guess => guess(name, name);

/** By the paths in the folder. The first that fits counts: several tools have files called up.sql or migration.sql. */
const byPath: readonly (readonly [path: RegExp, Guess])[] = [
  [/^meta\/_journal\.json$|^[^/]+\/snapshot\.json$/, preset("drizzle")],
  [/^migration_lock\.toml$|(^|\/)migration\.sql$/, preset("prisma")],
  [/diesel_initial_setup\//, guess("diesel")],
  [/^[^/]+\/[^/]+\/up\.(sql|yaml)$/, guess("Hasura")],
  [/^[^/]+\/up\.sql$/, guess("diesel or Hasura")],
  [/(^|\/)([VU]\d[\w.]*|R)__.*\.(sql|java|kt)$/, preset("flyway")],
  [/(^|\/)sqitch\.plan$/, preset("sqitch")],
  [/^atlas\.sum$/, guess("Atlas")],
  [/^committed\/\d+.*\.sql$/, guess("graphile-migrate")],
  [/^(versions\/.*\.py|script\.py\.mako|env\.py)$/, preset("alembic")],
  [/changelog[^/]*\.(xml|ya?ml|json|sql)$/i, preset("liquibase")],
  [/\.up\.sql$/, guess("golang-migrate or sqlx", "golang-migrate")],
];

/** By a word in the first file that holds code. */
const byWord: readonly (readonly [word: RegExp, Guess])[] = [
  [/\balembic\b|\bdown_revision\b/, preset("alembic")],
  [/\bdjango\b/, preset("django")],
  [/\byoyo\b/, guess("yoyo")],
  [/\bActiveRecord::Migration\b/, preset("rails")],
  [/\bSequel\.migration\b/, guess("Sequel")],
  [/\bMigrationInterface\b|\btypeorm\b/i, preset("typeorm")],
  [/\bqueryInterface\b|\bsequelize\b/i, guess("Sequelize")],
  [/\bMigrationBuilder\b|\bpgm\b|node-pg-migrate/, preset("node-pg-migrate")],
  [/mikro-orm/, guess("MikroORM")],
  [/\bkysely\b/i, guess("Kysely")],
  [/\bknex\b/i, preset("knex")],
  [/\bEcto\.Migration\b/, guess("Ecto")],
  [/\bIlluminate\b/, guess("Laravel")],
  [/\bDoctrine\b/, guess("Doctrine")],
  [/\bPhinx\b/, guess("Phinx")],
  [/\bdatabaseChangeLog\b/, preset("liquibase")],
  [/\bBaseJavaMigration\b/, preset("flyway")],
  [/\bgoose\b/, guess("goose")],
];

/** By the language alone. */
const byEnding: readonly (readonly [ending: RegExp, Guess])[] = [
  [/\.py$/, guess("Alembic or Django", "alembic", "django")],
  [/\.rb$/, preset("rails")],
  [/\.go$/, guess("goose")],
  [/\.[mc]?[jt]s$/, guess("Knex, TypeORM or their like", "knex", "typeorm", "node-pg-migrate")],
  [/\.php$/, guess("Laravel, Doctrine or Phinx")],
  [/\.exs$/, guess("Ecto")],
  [/\.(java|kt)$/, preset("flyway")],
  [/\.cs$/, guess("Entity Framework")],
  [/\.(xml|ya?ml)$/, preset("liquibase")],
];

/**
 * Guesses whose files a folder holds; nothing is ever done because of it but to say so.
 * @param paths what is in the folder, from there
 */
export function guessTool(folder: string, paths: readonly string[]): Guess | undefined {
  const known = byPath.find(([mark]) => paths.some((path) => mark.test(path)));
  if (known !== undefined) return known[1];
  for (const [ending, tool] of byEnding) {
    const first = paths.find((path) => ending.test(path));
    if (first === undefined) continue;
    const text = headOf(join(folder, first));
    return byWord.find(([word]) => word.test(text))?.[1] ?? tool;
  }
  return undefined;
}

/** What to do about a tool's files. */
export function useTool({ tool, presets }: Guess): string {
  const [first] = presets;
  const flags = presets.map((name) => `--migrator ${name}`).join(" or ");
  return first === undefined
    ? `this looks like ${tool}: let it apply its files, by --migrator with its command`
    : `this looks like ${tool}: is ${flags} meant?`;
}

/** The first 4 KB; "" of what cannot be read. */
function headOf(path: string): string {
  try {
    const file = openSync(path, "r");
    try {
      const bytes = Buffer.alloc(4096);
      return bytes.toString("utf8", 0, readSync(file, bytes));
    } finally {
      closeSync(file);
    }
  } catch {
    return "";
  }
}
