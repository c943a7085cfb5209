import { parseArgs } from "node:util";
import { nearest } from "./nearest.ts";
import { type CommandName, commandNames, operands, options, optionsOf } from "./options.ts";

/** What was typed, before any value is understood: texts by option name, and the server after `--`. */
export type Command = {
  readonly verb: CommandName | "version" | "help";
  /** `headgate migrate --help` asks for the help of one command. */
  readonly helpOf?: CommandName;
  /** What the command is about, where it takes such a thing: the STEP of `headgate resolve`. */
  readonly operand?: string;
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly server: readonly string[];
  /** Every mistake in the arguments, each a whole sentence. */
  readonly mistakes: readonly string[];
};

const switches = { help: "h", version: "V" } as const;

/**
 * Reads the arguments. Pure: nothing is looked up, nothing thrown; mistakes are collected.
 * @param argv the arguments after the program's own name; everything after the first `--` is the server command
 */
export function readArguments(argv: readonly string[]): Command {
  const end = argv.indexOf("--");
  const own = end < 0 ? argv : argv.slice(0, end);
  const server = end < 0 ? [] : argv.slice(end + 1);
  const mistakes: string[] = [];
  const flags = new Map<string, string[]>();

  // Not strict, because strict parsing throws at the first mistake and headgate lists them all.
  const { tokens, values } = parseArgs({
    args: [...own],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: {
      ...Object.fromEntries(
        options.map((option) => [
          option.name,
          option.kind === "switch" ? { type: "boolean" } : { type: "string", multiple: true },
        ]),
      ),
      help: { type: "boolean", short: switches.help },
      version: { type: "boolean", short: switches.version },
    },
  });

  const isUnknown = (name: string): boolean =>
    !(name in switches) && !options.some((option) => option.name === name);
  const positionals = tokens.flatMap((token, index) => {
    if (token.kind !== "positional") return [];
    const before = tokens[index - 1];
    // What follows a misspelt flag is its value, and no second mistake; it may be a secret, too.
    const isValue = before?.kind === "option" && isUnknown(before.name) && !isCommand(token.value);
    return isValue ? [] : [token.value];
  });
  const [typed, ...others] = positionals;
  if (values["version"] === true) return { verb: "version", flags, server, mistakes };
  const verb =
    commandNames.find((name) => name === typed) ?? (typed === undefined ? "run" : undefined);
  if (values["help"] === true || typed === "help") {
    const helpOf = commandNames.find((name) => positionals.includes(name));
    return { verb: "help", ...(helpOf === undefined ? {} : { helpOf }), flags, server, mistakes };
  }

  const takesOperand = verb !== undefined && operands[verb] !== undefined;
  const [operand, rest] = takesOperand ? [others[0], others.slice(1)] : [undefined, others];
  const mayLack = verb !== undefined && operands[verb]?.startsWith("[") === true;
  if (takesOperand && !mayLack && operand === undefined) {
    mistakes.push(
      `\`headgate ${verb}\` needs its ${operands[verb]}: see \`headgate ${verb} --help\``,
    );
  }
  if (verb === undefined) mistakes.push(unknownCommand(String(typed)));
  else if (rest.length > 0) {
    mistakes.push(
      isUrl(rest[0])
        ? "unexpected argument (a URL); the database goes into DATABASE_URL, or after --database-url"
        : `unexpected argument "${rest[0]}"; the server command goes after --, as in \`headgate -- ${rest[0]} …\``,
    );
  }
  const command = verb ?? "run";
  const allowed = optionsOf(command).map((option) => option.name);
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const option = options.find((known) => known.name === token.name);
    if (option === undefined) {
      const guess = nearest(token.name, allowed);
      mistakes.push(
        `unknown option ${token.rawName}${guess === undefined ? "" : `; did you mean --${guess}?`}`,
      );
    } else if (verb !== undefined && !allowed.includes(option.name)) {
      mistakes.push(
        `--${option.name} is not an option of \`headgate ${command}\` (it belongs to: ${option.commands?.join(", ")})`,
      );
    } else if (option.kind === "switch") {
      if (token.value !== undefined) mistakes.push(`--${option.name} takes no value`);
      flags.set(option.name, ["true"]);
    } else if (token.value === undefined || token.value === "") {
      mistakes.push(`--${option.name} needs a value: --${option.name} ${option.value}`);
    } else {
      if (option.kind !== "list" && flags.has(option.name))
        mistakes.push(`--${option.name} is given twice`);
      flags.set(option.name, [...(flags.get(option.name) ?? []), token.value]);
    }
  }
  if (verb !== undefined && verb !== "run" && end >= 0) {
    mistakes.push(
      `\`headgate ${verb}\` starts no server: leave out \`-- ${server[0] ?? ""} …\`, or use \`headgate -- …\``,
    );
  }
  if (verb === "run" && server.length === 0) {
    mistakes.push(
      "no server command: write it after --, as in `headgate -- node server.js`, or use `headgate migrate`",
    );
  }
  return { verb: command, ...(operand === undefined ? {} : { operand }), flags, server, mistakes };
}

const isCommand = (word: string): boolean => commandNames.some((name) => name === word);

// Only the first word of what was typed is repeated in a mistake, and no URL: the rest may hold secrets.
const isUrl = (typed: string | undefined): boolean => typed?.includes("://") === true;

function unknownCommand(typed: string): string {
  if (isUrl(typed)) {
    return "a URL is not a command; the database goes into DATABASE_URL, or after --database-url";
  }
  const guess = nearest(typed, commandNames);
  const remedy =
    guess === undefined
      ? `a server command goes after --, as in \`headgate -- ${typed} …\`; commands are ${commandNames.join(", ")}`
      : `did you mean \`headgate ${guess}\`?`;
  return `unknown command "${typed}"; ${remedy}`;
}
