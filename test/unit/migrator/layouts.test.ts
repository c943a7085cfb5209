import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { addMigrations, type MigrationFiles } from "../../helpers/migrations.ts";
import { readInputs, UnusableInputs } from "../../../src/migrator/inputs.ts";
import { layouts } from "../../../src/migrator/layouts.ts";
import { presets } from "../../../src/migrator/presets.ts";

/** What a preset finds in a folder with these files; a text is why it finds nothing. */
function find(
  preset: string,
  files: MigrationFiles,
  environment: Record<string, string> = {},
): readonly string[] | string {
  const directory = temporaryFolder("headgate-layout-");
  addMigrations(directory, files);
  const { command, inputs: patterns } = presets[preset] ?? assert.fail();
  try {
    return readInputs({ command, directory, patterns, preset, layout: preset, environment }).files;
  } catch (error) {
    if (error instanceof UnusableInputs) return error.message;
    throw error;
  }
}

/** A project's configuration, and a migration of it where that says. */
type Case = readonly [
  preset: string,
  configuration: MigrationFiles,
  migration: string,
  environment?: Record<string, string>,
];

const knexfile = (directory: string): MigrationFiles => ({
  "knexfile.js": `const path = require("path"); // migrations: { directory: "./wrong" }
module.exports = {
  production: {
    connection: "postgres://a:b@c/d", seeds: { directory: "./seeds" },
    migrations: { tableName: "x", directory: ${directory}, extension: "ts" },
  },
};`,
});
const dataSource = (migrations: string): MigrationFiles => ({
  "dist/data-source.js": `exports.default = new DataSource({ entities: [User], migrations: ${migrations}, logging: true });`,
});

const cases: readonly Case[] = [
  [
    "alembic",
    { "alembic.ini": "[alembic]\nscript_location = src/migrations\n" },
    "src/migrations/versions/a.py",
  ],
  [
    "alembic",
    { "alembic.ini": "# a\n[alembic]\nscript_location=%(here)s/db\n\n[loggers]\nkeys = root" },
    "db/versions/2026/a.py",
  ],
  [
    "alembic",
    {
      "alembic.ini":
        "[alembic]\nscript_location = db\nversion_locations = %(here)s/a/versions b/versions\n",
    },
    "b/versions/a.py",
  ],
  [
    "alembic",
    {
      "alembic.ini":
        "[alembic]\nscript_location = db\nversion_path_separator = os\nversion_locations = x:%(here)s/b\n",
    },
    "b/a.py",
  ],
  [
    "alembic",
    { "alembic.ini": "[alembic]\nscript_location = db\nversion_locations =\n    one\n    two\n" },
    "two/a.py",
  ],
  [
    "alembic",
    { "alembic.ini": "[alembic]\nroot = back\nscript_location = %(root)s/db\n" },
    "back/db/versions/a.py",
  ],
  [
    "alembic",
    { "alembic.ini": "[alembic]\nprepend_sys_path = . src\nscript_location = app.db:migrations\n" },
    "src/app/db/migrations/versions/a.py",
  ],
  [
    "alembic",
    { "conf/db.ini": "[alembic]\nscript_location = %(here)s/db\n" },
    "conf/db/versions/a.py",
    { ALEMBIC_CONFIG: "conf/db.ini" },
  ],
  [
    "alembic",
    { "pyproject.toml": '[tool.alembic]\nscript_location = "%(here)s/db"\n\n[tool.other]\n' },
    "./db/versions/a.py",
  ],
  ["alembic", { "alembic.ini": "[alembic]\n" }, "alembic/versions/a.py"],
  [
    "knex",
    knexfile('"./apps/api/src/database/migrations"'),
    "apps/api/src/database/migrations/1_a.js",
  ],
  ["knex", knexfile("`./db`"), "db/1_a.ts"],
  ["knex", knexfile('path.join(__dirname, "src", "db")'), "src/db/1_a.cjs"],
  ["knex", knexfile("__dirname + '/db'"), "db/1_a.mjs"],
  ["knex", knexfile('fileURLToPath(new URL("./db", import.meta.url))'), "db/1_a.mts"],
  ["knex", knexfile('["./a", "./b"]'), "b/1_a.js"],
  [
    "knex",
    { "knexfile.ts": 'const config: Knex.Config = { client: "pg" };\nexport default config;' },
    "migrations/1_a.ts",
  ],
  [
    "prisma",
    { "package.json": '{"prisma": {"schema": "db/schema.prisma"}}' },
    "db/migrations/1_a/migration.sql",
  ],
  [
    "prisma",
    { "prisma.config.ts": 'export default defineConfig({ schema: path.join("db", "schema") })' },
    "db/schema/migrations/1_a/migration.sql",
  ],
  [
    "prisma",
    { "prisma.config.ts": 'export default { schema: "a/b.prisma", migrations: { path: "c/d" } }' },
    "c/d/1_a/migration.sql",
  ],
  ["django", { "manage.py": "" }, "a/b/c/d/e/migrations/0001_a.py"],
  [
    "django",
    {
      "manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')",
      "site/settings.py": "MIGRATION_MODULES = {\n 'a': 'db.of_a',\n 'b': None,\n}",
      "a/migrations/0001_a.py": "",
    },
    "db/of_a/0001_a.py",
  ],
  [
    "django",
    { "manage.py": "", "site/settings/test.py": "MIGRATION_MODULES = Disable()" },
    "a/migrations/0001_a.py",
  ],
  [
    "django",
    {
      "manage.py": "",
      "a/migrations/0001_a.py": "",
      "env/lib/python3.12/site-packages/x/settings.py": "MIGRATION_MODULES = f()",
    },
    "env/lib/python3.12/site-packages/x/migrations/0001_x.py",
    { VIRTUAL_ENV: "env" },
  ],
  [
    "rails",
    { "config/database.yml": "production:\n  animals:\n    migrations_paths: db/animals\n" },
    "db/animals/1_a.rb",
  ],
  [
    "rails",
    { "config/database.yml": "a:\n  migrations_paths:\n    - db/one\n    - db/two # here\n" },
    "db/two/1_a.rb",
  ],
  [
    "rails",
    { "config/application.rb": 'config.paths["db/migrate"] << "engines/db/migrate"' },
    "engines/db/migrate/1_a.rb",
  ],
  ["rails", {}, "db/migrate/2026/1_a.rb"],
  [
    "flyway",
    { "flyway.conf": "# x\nflyway.locations=filesystem:db/a,filesystem:db/b\n" },
    "db/b/V1__a.sql",
  ],
  [
    "flyway",
    { "flyway.toml": '[flyway]\nlocations = [\n  "filesystem:db/a",\n]\n' },
    "db/a/V1__a.sql",
  ],
  ["flyway", {}, "db/V1__a.sql", { FLYWAY_LOCATIONS: "filesystem:db" }],
  [
    "liquibase",
    {
      "liquibase.properties": "changeLogFile: db/main.xml\n",
      "db/main.xml": '<include file="steps/all.yaml" relativeToChangelogFile="true"/>',
      "db/steps/all.yaml": "- includeAll:\n    path: other/sql\n",
    },
    "other/sql/1.sql",
  ],
  [
    "liquibase",
    { "src/main.sql": "--liquibase formatted sql" },
    "src/main.sql",
    { LIQUIBASE_COMMAND_CHANGELOG_FILE: "main.sql", LIQUIBASE_SEARCH_PATH: "src" },
  ],
  ["dbmate", {}, "sql/1_a.sql", { DBMATE_MIGRATIONS_DIR: "./sql" }],
  ["dbmate", { ".env": 'A=1\nexport DBMATE_MIGRATIONS_DIR="a,b"\n' }, "b/1_a.sql"],
  [
    "node-pg-migrate",
    { "config/default.json": '{"db": {"migrations-dir": "db/steps"}}' },
    "db/steps/1_a.js",
  ],
  [
    "node-pg-migrate",
    { "config/default.yaml": "db:\n  migrations-dir: db/steps\n  x: 1\n" },
    "db/steps/1_a.sql",
  ],
  [
    "sqitch",
    { "sqitch.conf": "[core]\n\tengine = pg\n\ttop_dir = db\n", "db/sqitch.plan": "" },
    "db/deploy/a.sql",
  ],
  [
    "sqitch",
    {
      "sqitch.conf": "[core]\n\tdeploy_dir = up\n\tplan_file = plans/a.plan\n",
      "plans/a.plan": "",
    },
    "up/a.sql",
  ],
  ["typeorm", dataSource('["dist/db/*{.ts,.js}"]'), "dist/db/1-a.js"],
  ["typeorm", dataSource('[path_1.default.join(__dirname, "db", "*.js")]'), "dist/db/1-a.js"],
  ["typeorm", dataSource('[(0, node_path_1.join)(__dirname, "db/*.js")]'), "dist/db/1-a.js"],
  ["typeorm", dataSource('[__dirname + "/db/**/*.js"]'), "dist/db/x/1-a.js"],
  [
    "drizzle",
    {
      "drizzle.config.ts":
        'export default defineConfig({ schema: "./s.ts", out: "./db/out", dialect: "postgresql" });',
    },
    "db/out/0000_a.sql",
  ],
  ["golang-migrate", {}, "migrations/1_a.up.sql"],
];

const plain = (path: string): string => path.replace(/^\.?\/+/, "").replaceAll(/\/+(\.\/+)*/g, "/");

test("M7 the migrations of a preset are found where the tool's own configuration says they are", () => {
  for (const [preset, configuration, migration, environment] of cases) {
    const title = `${preset}: ${migration} ${JSON.stringify(configuration)}`;
    const missing = find(preset, configuration, environment);
    if (!(migration in configuration) && !/Django|django/.test(preset))
      assert.match(
        String(missing),
        /^none of the migrations of .* is there: |which is not there$/,
        title,
      );
    const found = find(preset, { ...configuration, [migration]: "-- " }, environment);
    assert.ok(Array.isArray(found), `${title}\n${String(found)}`);
    const files = (found as string[]).map(plain);
    assert.ok(files.includes(plain(migration)), `${title}\n${files.join("\n")}`);
    for (const name of Object.keys(configuration).filter((each) =>
      /sqitch|\.ini|knexfile/.test(each),
    ))
      assert.ok(files.includes(name), `${title}: ${name} is an input, too`);
  }
  assert.deepEqual(Object.keys(layouts).toSorted(), Object.keys(presets).toSorted());
});

test("M7 a configuration that says it in another way is refused, not guessed at", () => {
  const manage = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')";
  for (const [preset, files, environment] of [
    ["alembic", { "alembic.ini": "[alembic]\nscript_location = %(elsewhere)s/db\n" }],
    ["knex", knexfile("dirs.migrations")],
    ["knex", knexfile('process.env.DIR ?? "./migrations"')],
    ["knex", knexfile('production ? "./a" : "./b"')],
    ["knex", knexfile("`./${folder}`")],
    ["knex", { "knexfile.js": "module.exports = { migrations: common }" }],
    [
      "knex",
      { "knexfile.js": "module.exports = { migrations: { migrationSource: new Source() } }" },
    ],
    ["prisma", { "prisma.config.ts": "export default { schema: paths.schema }" }],
    ["django", { "manage.py": manage, "site/settings.py": "MIGRATION_MODULES = modules()" }],
    [
      "django",
      { "site/settings.py": "MIGRATION_MODULES = {'a': NAME}" },
      { DJANGO_SETTINGS_MODULE: "site.settings" },
    ],
    ["rails", { "config/application.rb": 'config.paths["db/migrate"] = folders' }],
    ["flyway", { "flyway.conf": "flyway.locations=classpath:db/migration" }],
    ["flyway", { "flyway.conf": "flyway.locations=s3:bucket" }],
    [
      "node-pg-migrate",
      { "config/default.js": 'module.exports = { db: { "migrations-dir": dir } }' },
    ],
    ["typeorm", dataSource("[_1_init_1.Init1]")],
    ["drizzle", { "drizzle.config.ts": "export default { out: folder }" }],
  ] as readonly (readonly [string, MigrationFiles, Record<string, string>?])[]) {
    // Whatever lies where the preset looks by default.
    const defaults = Object.fromEntries(
      [
        "migrations/1_a.js",
        "migrations/a.sql",
        "alembic/versions/a.py",
        "a/migrations/0001_a.py",
        "db/migrate/1.rb",
        "prisma/migrations/a/m.sql",
        "dist/migrations/1.js",
        "drizzle/0000.sql",
      ].map((path) => [path, ""]),
    );
    const found = find(preset, { ...defaults, ...files }, environment);
    assert.match(
      String(found),
      /^where the migrations of .* are is not known: /,
      JSON.stringify(files),
    );
  }
});

test("M7 patterns that are named are taken as they are, whatever the tool's configuration says", () => {
  const directory = temporaryFolder("headgate-layout-");
  addMigrations(directory, knexfile("dirs.migrations"));
  const wanted = { command: ["knex"], directory, patterns: ["knexfile.js"], environment: {} };
  assert.deepEqual(readInputs({ ...wanted, preset: "knex" }).files, ["knexfile.js"]);
  assert.throws(
    () => readInputs({ ...wanted, patterns: ["no/*"] }),
    /none of the migrator's files/,
  );
});

test("M7 the migrations of two images are the same when revisions or names are, and the command is", () => {
  const versions = (preset: string, files: MigrationFiles, command = ["x"]): string | undefined => {
    const directory = temporaryFolder("headgate-layout-");
    addMigrations(directory, files);
    const patterns = ["**/*"];
    return readInputs({ command, directory, patterns, preset, environment: {} }).versions;
  };
  const revision = (id: string, comment: string): string =>
    `"""${comment}\n\nRevises: \n"""\nrevision: str = '${id}'\ndown_revision: Union[str, None] = None\n`;
  const one = versions("alembic", { "a.py": revision("1f", "one"), "env.py": "1" });
  assert.equal(typeof one, "string");
  assert.equal(versions("alembic", { "b.py": revision("1f", "other"), "env.py": "2" }), one);
  assert.notEqual(versions("alembic", { "a.py": revision("2f", "one"), "env.py": "1" }), one);
  assert.notEqual(versions("alembic", { "a.py": revision("1f", "one") }, ["y"]), one);

  const names = versions("knex", { "1_a.js": "1" });
  assert.equal(versions("knex", { "1_a.js": "2" }), names);
  assert.notEqual(versions("knex", { "1_b.js": "1" }), names);
  assert.equal(
    versions("dbmate", { "1_a.sql": "1" }),
    undefined,
    "it does not fail ahead: it is run",
  );
});
