import { dirname } from "node:path/posix";
import { iniSection, tomlTexts } from "./config-text.ts";
import type { Located, ProjectFiles } from "./layouts.ts";

/** `script_location` and `version_locations` of alembic.ini, or of pyproject.toml. */
export function alembic({ read, environment }: ProjectFiles): Located | string | undefined {
  const file = environment["ALEMBIC_CONFIG"] ?? "alembic.ini";
  const values = iniSection(read(file) ?? "", "alembic");
  const project = read("pyproject.toml") ?? "";
  const given = (key: string): string | undefined =>
    values.get(key) ?? tomlTexts(project, "tool.alembic", key)?.join("\n");
  const expand = (text: string): string => expanded(text, dirname(file), values);

  const script = given("script_location");
  if (script === undefined) return undefined;
  const separator = given("path_separator") ?? given("version_path_separator") ?? "";
  const between = ["os", ":"].includes(separator) ? /[\s,:]+/ : /[\s,;]+/;
  const paths = (given("prepend_sys_path") ?? ".").split(/[\s,:;]+/).map(expand);
  const versions = (given("version_locations") ?? "").split(between).filter((each) => each !== "");
  const places = versions.length === 0 ? [`${script}/versions`] : versions;
  const folders = [script, ...places].map(expand);
  if (folders.some((each) => each.includes("%(")))
    return `${file} says where they are with an interpolation`;
  const [home = [], ...others] = folders.map((each) => asFolders(each, paths));
  const configuration = project.includes("[tool.alembic]") ? [file, "pyproject.toml"] : [file];
  return {
    migrations: others.flat().map((folder) => `${folder}/**/*.py`),
    others: [...configuration, ...home.map((folder) => `${folder}/env.py`)],
  };
}

/** What configparser does: `%(key)s` stands for another value of the section, `%(here)s` for the file's folder. */
function expanded(text: string, here: string, values: ReadonlyMap<string, string>): string {
  return text
    .replace(/%\((\w+)\)s/g, (whole, key: string) =>
      key === "here" ? here : (values.get(key) ?? whole),
    )
    .replaceAll("%%", "%");
}

/** `package:folder` is a folder of a package, which is where Python's path has it. */
function asFolders(place: string, paths: readonly string[]): readonly string[] {
  const [, name, folder = ""] = /^([\w.]+):(.*)$/.exec(place) ?? [];
  if (name === undefined) return [place];
  return paths.map((path) => `${path}/${name.replaceAll(".", "/")}/${folder}`);
}

/** Apps whose migrations `MIGRATION_MODULES` has elsewhere, and packages in a virtual environment that is elsewhere. */
export function django({ read, find, environment }: ProjectFiles): Located | string | undefined {
  const [, byDefault] =
    /DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)/.exec(read("manage.py") ?? "") ?? [];
  const active = (environment["DJANGO_SETTINGS_MODULE"] ?? byDefault ?? "").replaceAll(".", "/");
  const modules: string[] = [];
  for (const file of find([
    "{*,*/*,*/*/*}/settings.py",
    "{*,*/*,*/*/*}/settings/*.py",
    `${active}{.py,/__init__.py}`,
  ])) {
    if (file.includes("site-packages/")) continue;
    const text = (read(file) ?? "").replace(/#.*/g, "");
    const [, value] = /\bMIGRATION_MODULES\s*(?::[^=\n]+)?=\s*(\{[^{}]*\}|.*)/.exec(text) ?? [];
    if (value === undefined) continue;
    const entries = [...value.matchAll(/:\s*(?:["']([\w.]+)["']|None\b|([^,\s]+))/g)];
    if (value.startsWith("{") && entries.every(([, , other]) => other === undefined))
      modules.push(...entries.flatMap(([, name]) => (name === undefined ? [] : [name])));
    else if (new RegExp(`^${active}(?:/__init__)?\\.py$`).test(file))
      return `${file} sets MIGRATION_MODULES in a way that is not plain`;
    // Settings of tests often turn migrations off in a way of their own.
  }
  const home = environment["VIRTUAL_ENV"];
  const others = [
    ...modules.map((name) => `**/${name.replaceAll(".", "/")}/*.py`),
    ...(home === undefined ? [] : [`${home}/lib/python3*/site-packages/**/migrations/*.py`]),
  ];
  return others.length === 0 ? undefined : { migrations: [], others };
}
