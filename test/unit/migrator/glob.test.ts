import assert from "node:assert/strict";
import { globSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { findFiles } from "../../../src/migrator/glob.ts";
import { presets } from "../../../src/migrator/presets.ts";
import { temporaryFolder } from "../../helpers/cleanup.ts";

function makeTree(
  files: readonly string[],
  links: { readonly [name: string]: string } = {},
): string {
  const folder = temporaryFolder("headgate-glob-");
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), "");
  }
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(folder, name));
  return folder;
}

test("M7 a pattern finds files by *, ?, [] and {} within a name, and by ** in any folder", () => {
  const folder = makeTree([
    ...[
      "a.sql",
      "b.SQL",
      "ab.sql",
      "m/1.sql",
      "m/x/2.sql",
      "m/x/y/3.sql",
      "m/x/3.js",
      "m/(1)+.sql",
    ],
    ...["m/ä.sql", "m/😀.sql"],
  ]);
  const find = (...patterns: string[]) => findFiles(patterns, folder);
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["a.sql", ["a.sql"]],
    ["./a.sql", ["a.sql"]],
    ["*.sql", ["a.sql", "ab.sql"]],
    ["?.sql", ["a.sql"]],
    ["m/?.sql", ["m/1.sql", "m/ä.sql", "m/😀.sql"]],
    ["[!b]*.sql", ["a.sql", "ab.sql"]],
    ["[b-z].*", ["b.SQL"]],
    ["{a,b}.{sql,SQL}", ["a.sql", "b.SQL"]],
    ["m/{1,x/{2,y/3}}.sql", ["m/1.sql", "m/x/2.sql", "m/x/y/3.sql"]],
    ["{,m/}?.sql", ["a.sql", "m/1.sql", "m/ä.sql", "m/😀.sql"]],
    ["m/(1)+.sql", ["m/(1)+.sql"]],
    ["m/(1)*", ["m/(1)+.sql"]],
    ["m/**/*.sql", ["m/(1)+.sql", "m/1.sql", "m/x/2.sql", "m/x/y/3.sql", "m/ä.sql", "m/😀.sql"]],
    ["**/3.*", ["m/x/3.js", "m/x/y/3.sql"]],
    ["**/**/y/*", ["m/x/y/3.sql"]],
    ["m/x/**", ["m/x/2.sql", "m/x/3.js", "m/x/y/3.sql"]],
    ["m/*/*.sql", ["m/x/2.sql"]],
    ["m", []],
    ["m/*/y", []],
    ["nowhere/**/*.sql", []],
    ["a.sql/*", []],
    ["{a}.sql", []],
  ];
  for (const [pattern, wanted] of cases) assert.deepEqual(find(pattern), wanted, pattern);
  assert.deepEqual(find("a*.sql", "{a,ab}.sql"), ["a.sql", "ab.sql"], "each once");
});

test("M7 a pattern finds hidden files only by name, and files that are symbolic links, as Kubernetes mounts them", () => {
  const folder = makeTree(["..data/1.sql", ".env", "m/.hidden/2.sql", "m/3.sql"], {
    "1.sql": "..data/1.sql",
    "gone.sql": "nowhere",
    "m/round": "..",
    linked: "m",
    self: "self",
  });
  const find = (...patterns: string[]) => findFiles(patterns, folder);
  assert.deepEqual(find("*"), ["1.sql"]);
  assert.deepEqual(find(".*"), [".env"]);
  assert.deepEqual(find("**/*.sql"), ["1.sql", "m/3.sql"]);
  assert.deepEqual(find("m/.hidden/*"), ["m/.hidden/2.sql"]);
  assert.deepEqual(find("*/3.sql", "self/*"), ["linked/3.sql", "m/3.sql"]);
});

test("M7 an absolute pattern is one, and a pattern that means nothing is refused", () => {
  const folder = makeTree(["a.sql"]);
  assert.deepEqual(findFiles([`${folder}/*.sql`], "/nowhere"), [`${folder}/a.sql`]);
  assert.throws(() => findFiles(["[z-a]"], folder), SyntaxError);
});

test("M7 the patterns of the presets find what Node's own find", () => {
  const files = [
    ...[
      "alembic.ini",
      "alembic/env.py",
      "migrations/env.py",
      "alembic/versions/a/b.py",
      "manage.py",
    ],
    ...[
      "knexfile.cjs",
      "migrations/1.js",
      "migrations/1.up.sql",
      "migrations/a/2.mjs",
      "a/b/c/migrations/1.py",
    ],
    ...[
      "prisma.config.ts",
      "prisma/schema.prisma",
      "prisma/migrations/1/migration.sql",
      "db/migrate/1.rb",
    ],
    ...[
      "Gemfile.lock",
      "flyway.toml",
      "conf/flyway.conf",
      "sql/a/V1__a.sql",
      "sql/a/V1__a.sql.conf",
    ],
    ...[
      "liquibase.properties",
      "db/changelog/a/b.xml",
      "db/migrations/1.sql",
      "sqitch.plan",
      "sqitch.conf",
    ],
    ...["deploy/a/b.sql", "dist/data-source.js", "dist/migrations/a/1.js", "drizzle.config.ts"],
    ...[
      "drizzle/1.sql",
      "drizzle/meta/_journal.json",
      ".venv/lib/python3.13/site-packages/x/migrations/1.py",
    ],
    ...["a/migrations/1.py", "a/b/migrations/2.py", "node_modules/.bin/typeorm", "bin/rails"],
  ];
  const folder = makeTree(files);
  for (const [name, { inputs, marks }] of Object.entries(presets)) {
    for (const pattern of [...inputs, ...marks].filter((text) => !text.startsWith("/"))) {
      const wanted = globSync(pattern, { cwd: folder }).filter((file) =>
        statSync(join(folder, file)).isFile(),
      );
      assert.deepEqual(findFiles([pattern], folder), wanted.toSorted(), `${name}: ${pattern}`);
    }
    assert.ok(findFiles(inputs, folder).length > 0, name);
  }
});
