import { dirname, join } from "node:path/posix";
import { tomlTexts, valuesInLines } from "./config-text.ts";
import type { Located, ProjectFiles } from "./layouts.ts";

/** `DBMATE_MIGRATIONS_DIR`, in the environment or the .env that dbmate reads. */
export function dbmate({ read, environment }: ProjectFiles): Located | undefined {
  const name = "DBMATE_MIGRATIONS_DIR";
  const [line] = valuesInLines(read(".env") ?? "", `(?:export )?${name}`);
  const value = environment[name] ?? line?.replace(/^(["'])(.*)\1$/, "$2");
  if (value === undefined || value === "") return undefined;
  return { migrations: value.split(",").map((folder) => `${folder.trim()}/*.sql`) };
}

/** `migrations_paths` in database.yml and the configuration, and `paths["db/migrate"]`. */
export function rails({ read, find }: ProjectFiles): Located | string | undefined {
  const folders: string[] = [];
  const yaml = read("config/database.yml") ?? "";
  for (const [, list = ""] of yaml.matchAll(/^\s*migrations_paths:((?:.*)(?:\n\s*-.*)*)/gm)) {
    if (list.includes("<%")) return "config/database.yml says where they are with a template";
    folders.push(...(list.replace(/#.*/g, "").match(/[\w./-]*\/[\w./-]+|\w+/g) ?? []));
  }
  const files = find(["config/{application,environments/*,initializers/*}.rb"]);
  for (const file of files) {
    const text = (read(file) ?? "").replace(/^\s*#.*/gm, "");
    for (const [, value = ""] of text.matchAll(
      /(?:paths\[["']db\/migrate["']\]|migrations_paths)\s*(?:<<|\+?=|\.(?:concat|push|unshift))(.*)/g,
    )) {
      const literals = [...value.matchAll(/["']([^"'#]+)["']/g)].map(([, path = ""]) => path);
      if (literals.length === 0) return `${file} says where they are in a way that is not plain`;
      folders.push(...literals);
    }
  }
  if (folders.length === 0) return undefined;
  return { migrations: ["db/migrate", ...folders].map((folder) => `${folder}/**/*.rb`) };
}

/** `flyway.locations`, in the environment or one of the configuration files. */
export function flyway({ read, find, environment }: ProjectFiles): Located | string | undefined {
  const named = environment["FLYWAY_CONFIG_FILES"]?.split(",").map((file) => file.trim());
  const files = named ?? find(["{flyway.toml,flyway.conf,conf/flyway.*}"]);
  const fromFiles = files.flatMap((file) => {
    const text = read(file) ?? "";
    return tomlTexts(text, "flyway", "locations") ?? valuesInLines(text, "flyway\\.locations");
  });
  const given = environment["FLYWAY_LOCATIONS"]?.split(",") ?? fromFiles;
  const locations = given.flatMap((value) => value.split(",")).map((value) => value.trim());
  if (locations.length === 0) return undefined;
  const elsewhere = locations.find((location) => /^(?!filesystem:)\w+:|\$\{/.test(location));
  if (elsewhere !== undefined) return `flyway.locations has ${elsewhere}, which is no folder`;
  return {
    migrations: locations.map((place) => `${place.replace("filesystem:", "")}/**/*.{sql,conf}`),
    others: files,
  };
}

/** The changelog that liquibase.properties or the environment names, and all that it includes. */
export function liquibase({ read, find, environment }: ProjectFiles): Located | string | undefined {
  const file = environment["LIQUIBASE_DEFAULTS_FILE"] ?? "liquibase.properties";
  const text = read(file) ?? "";
  const key = "(?:liquibase\\.command\\.)?change-?log-?file";
  const root = environment["LIQUIBASE_COMMAND_CHANGELOG_FILE"] ?? valuesInLines(text, key).at(-1);
  if (root === undefined) return undefined;
  const search =
    environment["LIQUIBASE_SEARCH_PATH"] ??
    valuesInLines(text, "(?:liquibase\\.)?search-?path").at(-1) ??
    ".";
  const homes = search.split(",").map((home) => home.trim());
  const found = new Set<string>();
  const lost: string[] = [];
  const visit = (path: string, from: string): void => {
    const places = [from, ...homes].map((home) => join(home, path.replace("classpath:", "")));
    const known = places.filter((place) => find([changesAt(place)]).length > 0);
    if (known.length === 0) lost.push(path);
    for (const place of known) {
      if (found.has(place)) continue;
      found.add(place);
      for (const name of mentionedIn(read(place) ?? "")) visit(name, dirname(place));
    }
  };
  visit(root, ".");
  if (lost.length > 0) return `the changelog names ${lost.join(", ")}, which is not there`;
  return { migrations: [...found].map(changesAt), others: [file] };
}

const changesAt = (path: string): string =>
  /\.\w+$/.test(path) ? path : `${path}/**/*.{xml,yaml,yml,json,sql}`;

/** The files and folders that a changelog includes, in any of its languages. */
const mentionedIn = (changelog: string): readonly string[] =>
  [...changelog.matchAll(/\b(?:file|path)["']?\s*[=:]\s*["']?([^"'\s,}>]+)/gi)].map(
    ([, name = ""]) => name,
  );

/** `top_dir`, `deploy_dir` and `plan_file` of sqitch.conf. */
export function sqitch({ read, environment }: ProjectFiles): Located | undefined {
  const file = environment["SQITCH_CONFIG"] ?? "sqitch.conf";
  const text = read(file) ?? "";
  const values = (key: string): readonly string[] =>
    valuesInLines(text, key).map((value) => value.replace(/^"(.*)"$/, "$1"));
  const [tops, deploys, plans] = [values("top_dir"), values("deploy_dir"), values("plan_file")];
  if (tops.length + deploys.length + plans.length === 0) return undefined;
  const homes = tops.length === 0 ? ["."] : tops;
  const folders = deploys.length === 0 ? homes.map((home) => `${home}/deploy`) : deploys;
  return {
    migrations: folders.map((folder) => `${folder}/**/*.sql`),
    others: [file, ...(plans.length === 0 ? homes.map((home) => `${home}/sqitch.plan`) : plans)],
  };
}
