import {
  type CommandName,
  commandNames,
  operands,
  type Option,
  options,
  optionsOf,
  variableOf,
} from "./options.ts";

export const summaries: { readonly [name in CommandName]: string } = {
  run: "wait, migrate if anything is pending, then become SERVER (exec)",
  migrate: "wait, migrate if anything is pending, exit (Job, compose service, release phase)",
  wait: "wait for Postgres and other dependencies, exit",
  verify: "exit 0 if every migration of this image is applied; --wait blocks until it is",
  status: "show what is applied, pending, in doubt, changed, missing or ahead",
  check: "look for mistakes in the files, before they meet a database that matters",
  plan: "show what migrate would do: locks, rewrites, scans, sizes, safer forms",
  resolve:
    "settle a step in doubt of a file without a transaction: it is done, or to be done again",
  stamp: "record files as applied that the database has already; adopt another tool's history",
  repair: "accept applied files as they are now, or forget the newest row of the history",
  new: "write the next migration file and the one that undoes it",
  completion: "print a script that completes commands, options and values in bash, zsh or fish",
  rollback: "undo the last migration, --steps N of them, or all after --to ID, from undo files",
};

const examples: { readonly [name in CommandName]: readonly string[] } = {
  run: [
    "headgate -- node server.js",
    "headgate --unset-env HEADGATE_DATABASE_URL -- uvicorn app:app",
  ],
  migrate: [
    "headgate migrate",
    "headgate migrate --lock-wait 30m --history-table billing.migrations",
  ],
  wait: ["headgate wait", "headgate wait --wait-for tcp:redis:6379 --wait-timeout 2m"],
  verify: ["headgate verify", "headgate verify --wait --lock-wait 10m"],
  status: ["headgate status", "headgate status --json --exit-code", "headgate status --drift"],
  plan: [
    "headgate plan --scratch-create --fail-on rewrite",
    "headgate plan --scratch-url postgres://ci@scratch/empty --out plan.json",
  ],
  check: [
    "headgate check --base origin/main",
    "headgate check --roundtrip --scratch-url postgres://localhost/scratch",
  ],
  resolve: ["headgate resolve 7:2 --done", "headgate resolve 7:2 --redo"],
  stamp: ["headgate stamp 12", "headgate stamp --from knex --yes"],
  repair: [
    'headgate repair 3,5 --accept --reason "a formatter ran"',
    'headgate repair 7 --forget --reason "it was applied empty" --yes',
  ],
  new: ["headgate new add-author", "headgate new add-author --migrations db/migrations"],
  completion: ["headgate completion bash", "headgate completion fish"],
  rollback: ["headgate rollback", "headgate rollback --to 4"],
};

/** `headgate --help`: one screen. */
export function helpText(): string {
  return `headgate waits until Postgres is really ready, lets exactly one replica migrate it,
and then becomes your server.

usage:
${commandNames.map((name) => `  ${usageOf(name).padEnd(28)} ${summaries[name]}`).join("\n")}

options:
${options
  .filter(({ isSpecial }) => isSpecial !== true)
  .map(optionLine)
  .join("\n")}

and, described by \`headgate COMMAND --help\`:
${wrap(options.filter(({ isSpecial }) => isSpecial === true).map(({ name }) => `--${name}`))}

Every option is also a variable: --lock-wait is HEADGATE_LOCK_WAIT. A flag beats the variable.
Durations: 500ms, 30s, 10m, 1h, 0 = no limit.
`;
}

/** Words in lines as long as the longest above. */
function wrap(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length > 110) lines.push(`  ${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join("\n");
}

/** `headgate COMMAND --help`. */
export function commandHelp(name: CommandName): string {
  const lines = optionsOf(name).map(
    (option) =>
      `${optionLine(option)}\n${"".padEnd(26)} ${variableOf(option.name)}${defaultOf(option)}\n`,
  );
  return `usage: ${usageOf(name)}${lines.length === 0 ? "" : " [options]"}

${summaries[name]}
${lines.length === 0 ? "" : `\noptions:\n${lines.join("")}`}
examples:
${examples[name].map((line) => `  ${line}`).join("\n")}
`;
}

/** The README's table of options. */
export function optionsTable(): string {
  const rows = options.map((option) => {
    const fallback =
      option.default ?? option.defaultNote ?? (option.kind === "switch" ? "off" : "none");
    return `| ${flagOf(option).replaceAll("|", "\\|")} | \`${variableOf(option.name)}\` | ${fallback.replaceAll("*", "\\*")} | ${option.help} |`;
  });
  return ["| flag | variable | default | meaning |", "| --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
}

const usageOf = (name: CommandName): string =>
  name === "run"
    ? "headgate -- SERVER…"
    : `headgate ${name}${operands[name] === undefined ? "" : ` ${operands[name]}`}`;
const flagOf = ({ name, value }: Option): string =>
  `\`--${name}${value === undefined ? "" : ` ${value}`}\``;
const optionLine = ({ name, value, help }: Option): string =>
  `  ${`--${name}${value === undefined ? "" : ` ${value}`}`.padEnd(24)} ${help}`;

function defaultOf(option: Option): string {
  const fallback = option.default ?? option.defaultNote;
  return fallback === undefined ? "" : `, default ${fallback}`;
}
