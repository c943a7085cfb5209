/** What headgate knows of a migrator's conventions; the words to type are its name. */
export type Preset = {
  readonly command: readonly string[];
  /** Glob patterns, of which some may match nothing. */
  readonly inputs: readonly string[];
  /** The tables in which it records what was applied. */
  readonly state: readonly string[];
  /** A file by which a folder shows that it uses the tool; glob patterns. */
  readonly marks: readonly string[];
};

/** Django's own apps and those of others bring migrations along, which change when a package does. */
const pythonPackages = [
  "/usr/local/lib/python3*/site-packages/**/migrations/*.py",
  "/usr/lib/python3/dist-packages/**/migrations/*.py",
  "{.venv,venv}/lib/python3*/site-packages/**/migrations/*.py",
  "/{,opt/,app/}{.venv,venv}/lib/python3*/site-packages/**/migrations/*.py",
];

/**
 * Each from the tool's own documentation of its default layout, and run against a real database where docs/migrators.md
 * says so. A command in node_modules is named by its path, because npm's scripts alone have it in PATH.
 */
export const presets: { readonly [name: string]: Preset } = {
  alembic: {
    command: ["alembic", "upgrade", "head"],
    inputs: ["alembic.ini", "{alembic,migrations}/env.py", "{alembic,migrations}/versions/**/*.py"],
    state: ["alembic_version"],
    marks: ["alembic.ini"],
  },
  knex: {
    command: ["node_modules/.bin/knex", "migrate:latest"],
    inputs: ["knexfile.{js,cjs,mjs,ts}", "migrations/**/*.{js,cjs,mjs,ts,sql}"],
    state: ["knex_migrations"],
    marks: ["knexfile.{js,cjs,mjs,ts}"],
  },
  prisma: {
    command: ["node_modules/.bin/prisma", "migrate", "deploy"],
    inputs: ["prisma.config.{js,mjs,ts}", "prisma/schema.prisma", "prisma/migrations/**/*.sql"],
    state: ["_prisma_migrations"],
    marks: ["prisma/schema.prisma"],
  },
  django: {
    command: ["python", "manage.py", "migrate", "--noinput"],
    inputs: ["manage.py", "**/migrations/*.py", ...pythonPackages],
    state: ["django_migrations"],
    marks: ["manage.py"],
  },
  rails: {
    command: ["bin/rails", "db:migrate"],
    inputs: ["db/migrate/**/*.rb", "Gemfile.lock"],
    state: ["schema_migrations"],
    marks: ["bin/rails"],
  },
  flyway: {
    command: ["flyway", "migrate"],
    inputs: ["{flyway.toml,flyway.conf,conf/flyway.*}", "{sql,migrations}/**/*.{sql,conf}"],
    state: ["flyway_schema_history"],
    marks: ["{flyway.toml,flyway.conf,conf/flyway.*}"],
  },
  liquibase: {
    command: ["liquibase", "update"],
    inputs: ["liquibase.properties", "{changelog,db/changelog}/**/*.{xml,yaml,yml,json,sql}"],
    state: ["databasechangelog"],
    marks: ["liquibase.properties"],
  },
  dbmate: {
    command: ["dbmate", "--no-dump-schema", "migrate"],
    inputs: ["db/migrations/*.sql"],
    state: ["schema_migrations"],
    marks: ["db/migrations/*.sql"],
  },
  "golang-migrate": {
    // It takes its database from an argument only.
    command: ["sh", "-c", 'exec migrate -path migrations -database "$DATABASE_URL" up'],
    inputs: ["migrations/*.up.*"],
    state: ["schema_migrations"],
    marks: ["migrations/*.up.sql"],
  },
  "node-pg-migrate": {
    command: ["node_modules/.bin/node-pg-migrate", "up"],
    inputs: ["migrations/**/*.{js,cjs,mjs,ts,sql}"],
    state: ["pgmigrations"],
    marks: ["node_modules/.bin/node-pg-migrate"],
  },
  sqitch: {
    command: ["sqitch", "deploy"],
    inputs: ["sqitch.{plan,conf}", "deploy/**/*.sql"],
    state: ["sqitch.changes"],
    marks: ["sqitch.plan"],
  },
  typeorm: {
    command: ["node_modules/.bin/typeorm", "migration:run", "-d", "dist/data-source.js"],
    inputs: ["dist/data-source.js", "dist/migrations/**/*.js"],
    state: ["migrations"],
    marks: ["node_modules/.bin/typeorm"],
  },
  drizzle: {
    command: ["node_modules/.bin/drizzle-kit", "migrate"],
    inputs: ["drizzle.config.{js,mjs,ts}", "drizzle/**/*.{sql,json}"],
    state: ["drizzle.__drizzle_migrations"],
    marks: ["drizzle.config.{js,mjs,ts}"],
  },
};
