import { dirname } from "node:path/posix";
import type { Located, ProjectFiles } from "./layouts.ts";
import { pathsIn, unreadable, valuesOf, withoutComments } from "./script-literals.ts";

const kinds = "{js,cjs,mjs,ts,cts,mts,sql}";
const notPlain = (file: string): string =>
  `${file} says where they are in a way that cannot be read without running it`;

/** `migrations.directory` of each environment of the knexfile. */
export function knex({ read, find }: ProjectFiles): Located | string | undefined {
  const folders: string[] = [];
  let isElsewhere = false;
  for (const file of find(["knexfile.{js,cjs,mjs,ts}"])) {
    const script = withoutComments(read(file) ?? "");
    if (valuesOf(script, "migrationSource").length > 0) return notPlain(file);
    for (const settings of valuesOf(script, "migrations")) {
      if (!settings.startsWith("{")) return notPlain(file);
      for (const value of valuesOf(settings, "directory")) {
        const paths = pathsIn(value, ".");
        if (paths === unreadable) return notPlain(file);
        isElsewhere = true;
        folders.push(...paths);
      }
    }
  }
  if (!isElsewhere) return undefined;
  return { migrations: folders.map((folder) => `${folder}/**/*.${kinds}`) };
}

/** The schema that package.json or prisma.config names, and the folder of migrations beside it. */
export function prisma({ read, find }: ProjectFiles): Located | string | undefined {
  const schemas: string[] = [];
  const folders: string[] = [];
  const configs = find(["{prisma.config,.config/prisma}.{js,mjs,cjs,ts,mts,cts}"]);
  const sources: readonly (readonly [file: string, script: string])[] = [
    ["package.json", valuesOf(read("package.json") ?? "", "prisma").join()],
    ...configs.map((file) => [file, withoutComments(read(file) ?? "")] as const),
  ];
  for (const [file, script] of sources) {
    for (const value of valuesOf(script, "schema")) {
      const paths = pathsIn(value, dirname(file));
      if (paths === unreadable) return notPlain(file);
      schemas.push(...paths);
    }
    const settings = valuesOf(script, "migrations").filter((value) => value.startsWith("{"));
    for (const value of settings.flatMap((text) => valuesOf(text, "path"))) {
      const paths = pathsIn(value, dirname(file));
      if (paths === unreadable) return notPlain(file);
      folders.push(...paths);
    }
  }
  if (schemas.length + folders.length === 0) return undefined;
  // A schema may be a folder of files, too.
  const beside = schemas.flatMap((schema) => [dirname(schema), schema]);
  const homes = folders.length > 0 ? folders : beside.map((folder) => `${folder}/migrations`);
  return {
    migrations: homes.map((folder) => `${folder}/**/*.sql`),
    others: [...configs, ...schemas],
  };
}

/** `migrations-dir` in the section of package `config`. */
export function nodePgMigrate({ read, find }: ProjectFiles): Located | string | undefined {
  const folders: string[] = [];
  const files = find(["config/*.{json,json5,js,cjs,mjs,ts,yaml,yml,toml}"]);
  for (const file of files) {
    const script = withoutComments(read(file) ?? "");
    for (const value of valuesOf(script, "migrations-dir")) {
      // A YAML value ends with its line, and needs no quotes.
      const [line = ""] = value.split("\n").map((each) => each.trim());
      const isBare = /\.ya?ml$/.test(file) && /^[\w./-]+$/.test(line);
      const text = isBare ? JSON.stringify(line) : value;
      const paths = pathsIn(text, ".");
      if (paths === unreadable) return notPlain(file);
      folders.push(...paths);
    }
  }
  if (folders.length === 0) return undefined;
  return { migrations: folders.map((folder) => `${folder}/**/*.${kinds}`), others: files };
}

/** `migrations` of the compiled data source: patterns of files. */
export function typeorm({ read }: ProjectFiles): Located | string | undefined {
  const file = "dist/data-source.js";
  const [value] = valuesOf(withoutComments(read(file) ?? ""), "migrations");
  if (value === undefined) return undefined;
  const paths = pathsIn(value, dirname(file));
  return paths === unreadable ? notPlain(file) : { migrations: paths };
}

/** `out`, the folder that drizzle-kit writes to. */
export function drizzle({ read, find }: ProjectFiles): Located | string | undefined {
  const folders: string[] = [];
  const files = find(["drizzle.config.{js,cjs,mjs,ts,json}"]);
  for (const file of files) {
    for (const value of valuesOf(withoutComments(read(file) ?? ""), "out")) {
      const paths = pathsIn(value, ".");
      if (paths === unreadable) return notPlain(file);
      folders.push(...paths);
    }
  }
  if (folders.length === 0) return undefined;
  return { migrations: folders.map((folder) => `${folder}/**/*.{sql,json}`), others: files };
}
