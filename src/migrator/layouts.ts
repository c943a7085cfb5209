import { alembic, django } from "./layouts-python.ts";
import { drizzle, knex, nodePgMigrate, prisma, typeorm } from "./layouts-node.ts";
import { dbmate, flyway, liquibase, rails, sqitch } from "./layouts-text.ts";

/** What a project's files and environment say. */
export type ProjectFiles = {
  /** The text of a file in the migrator's directory; undefined when it is not there or may not be read. */
  readonly read: (path: string) => string | undefined;
  /** As `findFiles` does it, in the migrator's directory. */
  readonly find: (patterns: readonly string[]) => readonly string[];
  readonly environment: Readonly<Record<string, string>>;
};

/** Where a project has its migrations. */
export type Located = {
  /** Patterns of which at least one has to match. */
  readonly migrations: readonly string[];
  /** Further patterns, which may match nothing. */
  readonly others?: readonly string[];
};

/** What a preset knows of a tool's layout, beside its patterns. */
export type Layout = {
  /** Those of the preset's patterns that name configuration. The others name migrations. */
  readonly configuration: readonly string[];
  /**
   * Reads the tool's own configuration.
   * @returns undefined where it says nothing, so that the preset's patterns hold; a sentence where it cannot be read
   */
  readonly locate?: (project: ProjectFiles) => Located | string | undefined;
  /** Whether it fails where its table has a migration that it has no file of, and calls them as the files are called. */
  readonly knowsItsFiles?: true;
};

export const layouts: { readonly [preset: string]: Layout } = {
  alembic: {
    configuration: ["alembic.ini", "{alembic,migrations}/env.py"],
    locate: alembic,
  },
  knex: { configuration: ["knexfile.{js,cjs,mjs,ts}"], locate: knex, knowsItsFiles: true },
  prisma: {
    configuration: ["prisma.config.{js,mjs,ts}", "prisma/schema.prisma"],
    locate: prisma,
  },
  django: { configuration: ["manage.py"], locate: django },
  rails: { configuration: ["Gemfile.lock"], locate: rails },
  flyway: { configuration: ["{flyway.toml,flyway.conf,conf/flyway.*}"], locate: flyway },
  liquibase: { configuration: ["liquibase.properties"], locate: liquibase },
  dbmate: { configuration: [], locate: dbmate },
  "golang-migrate": { configuration: [], knowsItsFiles: true },
  "node-pg-migrate": { configuration: [], locate: nodePgMigrate },
  sqitch: { configuration: ["sqitch.{plan,conf}"], locate: sqitch, knowsItsFiles: true },
  typeorm: { configuration: ["dist/data-source.js"], locate: typeorm },
  drizzle: { configuration: ["drizzle.config.{js,mjs,ts}"], locate: drizzle },
};
