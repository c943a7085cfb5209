import type { Config } from "./config.ts";
import type { MigrationSet } from "./sets.ts";

/** Where every value came from, without secrets: the log's first line. */
export function describeConfig(config: Config): object {
  return {
    ...(config.isOffline ? {} : describeDatabase(config)),
    ...(config.sets.length === 1 ? describeSet(config.sets[0]) : {}),
    ...(config.sets.length > 1 ? { sets: config.sets.map(describeSet) } : {}),
    ...(Object.keys(config.from).length === 0 ? {} : { optionsFrom: config.from }),
    ...(config.runtimeVariables.length === 0 ? {} : { runtimeVariables: config.runtimeVariables }),
  };
}

function describeDatabase({ database }: Config): object {
  const { endpoints, database: name, user, sslMode, searchPath } = database.settings;
  return {
    host: endpoints.map(({ host, port }) => `${host}:${port}`).join(","),
    ...{ database: name, user, sslmode: sslMode },
    ...(searchPath === undefined ? {} : { searchPath }),
    databaseFrom: condense(database.from),
  };
}

function describeSet(set: MigrationSet | undefined): object {
  if (set === undefined) return {};
  const name = set.name === undefined ? {} : { set: set.name };
  const historyTable = set.historyTable.join(".");
  if (set.kind === "sql") return { ...name, migrations: set.migrationsDir, historyTable };
  return { ...name, migrator: set.command.join(" "), historyTable };
}

/** One name instead of a table of equal names. */
function condense(
  from: Readonly<Record<string, string>>,
): string | Readonly<Record<string, string>> {
  const names = new Set(Object.values(from));
  return names.size === 1 ? [...names].join("") : from;
}
