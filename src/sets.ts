import { readFileSync } from "node:fs";
import { errorCode } from "./errors.ts";
import { presets } from "./migrator/presets.ts";
import { readVariables, type Variable, variablesOf } from "./migrator/variables.ts";
import { splitCommand } from "./migrator/words.ts";
import { nearest } from "./nearest.ts";
import type { Given } from "./requests/given.ts";

/** SQL files that headgate applies itself. */
export type SqlSet = {
  readonly kind: "sql";
  /** Absent when there is only one set. */
  readonly name?: string;
  readonly migrationsDir: string;
  /** One or two names: table, or schema and table. */
  readonly historyTable: readonly string[];
};

/** What a migrator applies. */
export type MigratorSet = {
  readonly kind: "migrator";
  readonly name?: string;
  readonly preset?: string;
  readonly command: readonly string[];
  readonly directory: string;
  readonly inputs: readonly string[];
  /** The tool whose layout they are; absent where they are named. */
  readonly layout?: string;
  readonly state: readonly (readonly string[])[];
  /** The variables by which it is told the database. */
  readonly variables: readonly Variable[];
  /** Where headgate records its runs. */
  readonly historyTable: readonly string[];
};

export type MigrationSet = SqlSet | MigratorSet;

/** The texts that describe one set, by the names of the options. */
type SetTexts = {
  readonly name?: string;
  readonly migrations?: string;
  readonly "history-table"?: string;
  readonly migrator?: string;
  readonly "migrator-inputs"?: readonly string[];
  readonly "migrator-state"?: readonly string[];
  readonly "migrator-dir"?: string;
  readonly "migrator-env"?: readonly string[];
};

const keys = [
  "name",
  "migrations",
  "history-table",
  "migrator",
  "migrator-inputs",
  "migrator-state",
  "migrator-dir",
  "migrator-env",
] as const;

/** Where runs of migrators are recorded unless --history-table says otherwise. */
export const runsTable = "headgate_runs";

const lists = ["migrator-inputs", "migrator-state", "migrator-env"] as const;

/**
 * The sets that --sets lists, or the one that the other options describe.
 * @param given what was given for an option, if anything
 * @param mistakes receives what is wrong
 */
export function setsOf(given: Given["given"], mistakes: string[]): readonly MigrationSet[] {
  const list = given("sets");
  const own = keys.flatMap((key) => {
    const found = key === "name" ? undefined : given(key);
    return found === undefined ? [] : [{ key, ...found }];
  });
  if (list !== undefined) {
    for (const { from } of own)
      mistakes.push(`${from} is given beside --sets; write it into a set`);
    return readSets(list.texts[0] ?? "", list.from, mistakes);
  }
  const [migrator, migrations] = [given("migrator"), given("migrations")];
  if (migrator !== undefined && migrations !== undefined) {
    mistakes.push(
      `${migrations.from} and ${migrator.from} are both given; choose one, or list both in --sets`,
    );
  }
  const texts: SetTexts = Object.fromEntries(
    own.map(({ key, texts: values }) => [
      key,
      lists.some((name) => name === key) ? values : values[0],
    ]),
  );
  return [readSet(texts, (option) => given(option)?.from ?? `--${option}`, mistakes)];
}

/**
 * Reads one set.
 * @param label how to call an option of it in a mistake
 * @param mistakes receives what is wrong
 */
function readSet(
  texts: SetTexts,
  label: (option: string) => string,
  mistakes: string[],
): MigrationSet {
  const name = texts.name === undefined ? {} : { name: texts.name };
  const table = (option: string, text: string): readonly string[] => {
    const names = parseTableName(text);
    if (names === undefined) {
      mistakes.push(`${label(option)}: "${text}" is not a table name; write table or schema.table`);
    }
    return names ?? [];
  };
  const { migrator } = texts;
  if (migrator === undefined) {
    for (const key of lists) {
      if ((texts[key] ?? []).length > 0)
        mistakes.push(`${label(key)} is given without ${label("migrator")}`);
    }
    return {
      ...{ kind: "sql", ...name, migrationsDir: texts.migrations ?? "migrations" },
      historyTable: table("history-table", texts["history-table"] ?? "migrations"),
    };
  }
  const preset = presets[migrator];
  const command = preset?.command ?? splitCommand(migrator);
  if (typeof command === "string") mistakes.push(`${label("migrator")}: ${command}`);
  const inputs = texts["migrator-inputs"] ?? [];
  const state = texts["migrator-state"] ?? [];
  const variables = readVariables(texts["migrator-env"] ?? [], label("migrator-env"), mistakes);
  return {
    ...{ kind: "migrator", ...name },
    ...(preset === undefined ? {} : { preset: migrator }),
    command: typeof command === "string" ? [] : command,
    directory: texts["migrator-dir"] ?? ".",
    inputs: inputs.length === 0 ? (preset?.inputs ?? []) : inputs,
    ...(inputs.length === 0 && preset !== undefined ? { layout: migrator } : {}),
    state: (state.length === 0 ? (preset?.state ?? []) : state).map((text) =>
      table("migrator-state", text),
    ),
    variables: texts["migrator-env"] === undefined ? variablesOf(preset && migrator) : variables,
    historyTable: table("history-table", texts["history-table"] ?? runsTable),
  };
}

/**
 * What has to be added to a command that works on one folder, so that it means this set: nothing where variables tell
 * it the same, else the options with a space before them.
 */
export function placeFlags(config: {
  readonly sets: readonly MigrationSet[];
  readonly from: Readonly<Record<string, string>>;
  readonly migrationsDir: string;
  readonly historyTable: readonly string[];
}): string {
  const { sets, from, migrationsDir, historyTable } = config;
  const isTyped = ["migrations", "history-table"].some((name) => from[name] === `--${name}`);
  if (!isTyped && sets.every(({ name }) => name === undefined)) return "";
  const table = historyTable
    .map((name) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`))
    .join(".");
  return ` --migrations ${quoteWord(migrationsDir)} --history-table ${quoteWord(table)}`;
}

/** As a shell reads it. */
const quoteWord = (word: string): string =>
  /^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

/**
 * Reads the list of sets.
 * @param text JSON, or the name of a file that holds it
 * @param from the flag or variable
 * @param mistakes receives what is wrong
 */
function readSets(text: string, from: string, mistakes: string[]): readonly MigrationSet[] {
  const list = parseList(text, from, mistakes);
  const sets = list.flatMap((entry, index) => {
    const own = readTexts(entry, `${from}: entry ${index + 1}`, mistakes);
    if (own === undefined) return [];
    return [readSet(own, (option) => `set "${own.name}", ${option}`, mistakes)];
  });
  const twin = sets.find((set, index) => sets.findIndex(({ name }) => name === set.name) < index);
  if (twin !== undefined) mistakes.push(`two sets are called "${twin.name}"`);
  const tables = sets.flatMap((set) => (set.kind === "sql" ? [set.historyTable.join(".")] : []));
  const shared = tables.find((table, index) => tables.indexOf(table) < index);
  if (shared !== undefined) {
    mistakes.push(`two sets of SQL files share the history table ${shared}; give each its own`);
  }
  return sets;
}

function parseList(text: string, from: string, mistakes: string[]): readonly unknown[] {
  let json = text;
  if (!text.trimStart().startsWith("[")) {
    try {
      json = readFileSync(text, "utf8");
    } catch (error) {
      mistakes.push(`${from}: the file ${text} cannot be read (${errorCode(error)})`);
      return [];
    }
  }
  try {
    const value: unknown = JSON.parse(json);
    if (Array.isArray(value) && value.length > 0) return value;
    mistakes.push(`${from}: it is not a list with at least one set`);
  } catch (error) {
    mistakes.push(`${from}: it is not JSON (${error instanceof Error ? error.message : ""})`);
  }
  return [];
}

function readTexts(
  entry: unknown,
  which: string,
  mistakes: string[],
): (SetTexts & { readonly name: string }) | undefined {
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) {
    mistakes.push(`${which} is not an object such as {"name": "billing", "migrations": "billing"}`);
    return undefined;
  }
  const texts: { [key: string]: string | readonly string[] } = {};
  for (const [key, value] of Object.entries(entry) as [string, unknown][]) {
    const isList = lists.some((name) => name === key);
    const items = Array.isArray(value) ? (value as unknown[]) : [value];
    if (!keys.some((known) => known === key)) {
      const guess = nearest(key, keys);
      mistakes.push(
        `${which}: unknown key "${key}"${guess === undefined ? "" : `; did you mean "${guess}"?`}`,
      );
    } else if (key === "migrator" && Array.isArray(value)) texts[key] = JSON.stringify(value);
    else if (
      !items.every((item) => typeof item === "string") ||
      (!isList && Array.isArray(value))
    ) {
      mistakes.push(`${which}: "${key}" is not a text${isList ? ", nor a list of texts" : ""}`);
    } else texts[key] = isList ? items : (value as string);
  }
  if (typeof texts["name"] !== "string" || texts["name"] === "") {
    mistakes.push(`${which} has no "name"`);
    return undefined;
  }
  return { ...texts, name: texts["name"] };
}

/** `table`, `schema.table`, either part in double quotes; folded to lower case as Postgres does without quotes. */
function parseTableName(text: string): readonly string[] | undefined {
  const part = `(?:"(?:[^"]|"")+"|[\\p{L}_][\\p{L}\\p{N}_$]*)`;
  if (!new RegExp(`^${part}(?:\\.${part})?$`, "u").test(text)) return undefined;
  return (text.match(new RegExp(part, "gu")) ?? []).map((name) =>
    name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase(),
  );
}
