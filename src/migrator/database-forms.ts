import { driverOf } from "../postgres/connection-string.ts";
import { optionsOf } from "../postgres/settings.ts";
import { jdbcUrl, libpqUrl, nodeUrl, psycopgUrl, type Reached, tlsOf } from "./database-urls.ts";
import type { Form, Variable } from "./variables.ts";

type Environment = { readonly [name: string]: string };

/**
 * Sets variables to what headgate knows of the database.
 * @returns the environment with them; of what a program could read instead, such as NAME_FILE, nothing is left
 */
export function withDatabase(
  environment: Environment,
  variables: readonly Variable[],
  reached: Reached,
): Environment {
  const told = new Map<string, string | undefined>();
  const isApart = variables.some(({ form }) => form === "password");
  for (const { name, form } of variables) {
    if (form === "parts") for (const [part, value] of partsOf(name, reached)) told.set(part, value);
    else told.set(name, valueOf(form, reached, environment[name], isApart));
  }
  const kept = Object.entries(environment).filter(
    ([name]) => !told.has(name) && !told.has(name.replace(/_FILE$/, "")),
  );
  return Object.fromEntries([
    ...kept,
    ...[...told].filter((entry): entry is [string, string] => entry[1] !== undefined),
  ]);
}

/** @param own what the container has in the variable @param isApart the login is in variables of its own */
function valueOf(
  form: Exclude<Form, "parts">,
  reached: Reached,
  own: string | undefined,
  isApart: boolean,
): string | undefined {
  const { settings, endpoint } = reached;
  switch (form) {
    case "host":
      return endpoint.host;
    case "port":
      return String(endpoint.port);
    case "database":
      return settings.database;
    case "user":
      return settings.user;
    case "password":
      return settings.password;
    case "jdbc":
      return jdbcUrl(reached, isApart);
    case "psycopg":
      return psycopgUrl(reached, driverOf(own ?? "") ?? reached.url?.driver);
    case "pg":
      return nodeUrl(reached);
    case "url":
      return libpqUrl(reached);
  }
}

/** As libpq's variables when that is the name, else as those of deployment guides: DATABASE_HOST … */
function partsOf(name: string, reached: Reached): [string, string | undefined][] {
  const { settings, endpoint } = reached;
  const isLibpq = name === "PG";
  const parts: [string, string | undefined][] = [
    ["HOST", endpoint.host],
    ["PORT", String(endpoint.port)],
    [isLibpq ? "DATABASE" : "NAME", settings.database],
    ["USER", settings.user],
    ["PASSWORD", settings.password],
  ];
  if (!isLibpq) return parts.map(([part, value]) => [`${name}_${part}`, value]);
  const tls = Object.entries(tlsOf(reached)).map(([keyword, value]): [string, string] => [
    keyword.toUpperCase(),
    value,
  ]);
  return [...parts, ...tls, ["OPTIONS", optionsOf(settings)] as const].map(([part, value]) => [
    `PG${part}`,
    value,
  ]);
}
