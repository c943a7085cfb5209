import { nearest } from "../nearest.ts";

/** How a program wants to be told of the database. */
const forms = [
  "url",
  "psycopg",
  "pg",
  "jdbc",
  "parts",
  "host",
  "port",
  "database",
  "user",
  "password",
] as const;
export type Form = (typeof forms)[number];

/** A variable, or with `parts` the beginning of several, that is to hold what headgate knows of the database. */
export type Variable = { readonly name: string; readonly form: Form };

/**
 * Reads a list of `NAME` or `NAME=FORM`.
 * @param option what to call it in a mistake
 * @param mistakes receives what is wrong
 */
export function readVariables(
  texts: readonly string[],
  option: string,
  mistakes: string[],
): readonly Variable[] {
  return texts.flatMap((text) => {
    const found = readVariable(text);
    if (typeof found !== "string") return [found];
    mistakes.push(`${option}: ${found}`);
    return [];
  });
}

/** @returns a string that says what is wrong with it */
function readVariable(text: string): Variable | string {
  const [name = "", form = "url", ...rest] = text.split("=");
  if (!/^[A-Za-z_]\w*$/.test(name) || rest.length > 0)
    return `"${name}" is not the name of a variable; write NAME or NAME=FORM, with one of the forms ${forms.join(", ")}`;
  const known = forms.find((each) => each === form);
  if (known !== undefined) return { name, form: known };
  const guess = nearest(form, forms);
  return `${name}: "${form}" is not one of ${forms.join(", ")}${guess === undefined ? "" : `; is ${guess} meant?`}`;
}

const inForm = (form: Form): readonly Variable[] => [
  { name: "DATABASE_URL", form },
  { name: "DATABASE", form: "parts" },
  { name: "PG", form: "parts" },
];

/**
 * What each preset's tool is handed: under every name by which headgate itself is told, so that a tool's own
 * configuration may read whichever it likes, and none of them names another database or role.
 */
const ofPresets: { readonly [preset: string]: readonly Variable[] } = {
  alembic: inForm("psycopg"),
  knex: inForm("pg"),
  "node-pg-migrate": inForm("pg"),
  typeorm: inForm("pg"),
  drizzle: inForm("pg"),
  flyway: [
    { name: "FLYWAY_URL", form: "jdbc" },
    { name: "FLYWAY_USER", form: "user" },
    { name: "FLYWAY_PASSWORD", form: "password" },
  ],
  liquibase: [
    { name: "LIQUIBASE_COMMAND_URL", form: "jdbc" },
    { name: "LIQUIBASE_COMMAND_USERNAME", form: "user" },
    { name: "LIQUIBASE_COMMAND_PASSWORD", form: "password" },
  ],
};

/** @param preset absent for a command of the user's own, which gets nothing that was not asked for */
export const variablesOf = (preset: string | undefined): readonly Variable[] =>
  preset === undefined ? [] : (ofPresets[preset] ?? inForm("url"));
