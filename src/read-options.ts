import type { Command } from "./cli.ts";
import { parseDuration } from "./duration.ts";
import { type Option, options, optionsOf, variableOf } from "./options.ts";
import type { Given } from "./requests/given.ts";

type Environment = { readonly [name: string]: string | undefined };

/** Reads options by name: a flag beats the environment, the environment beats the default. */
export type Options = Given & {
  /** Which flag or variable each value that is not a default came from. Filled as options are read. */
  readonly from: Readonly<Record<string, string>>;
  readonly list: (name: string) => readonly string[];
  /** In milliseconds, Infinity = no limit. */
  readonly duration: (name: string) => number;
};

/**
 * @param command what was typed
 * @param env the environment
 * @param mistakes receives what is wrong with a value that is read
 */
export function readOptions(command: Command, env: Environment, mistakes: string[]): Options {
  const from: Record<string, string> = {};
  const allowed =
    command.verb === "version" || command.verb === "help" ? [] : optionsOf(command.verb);
  const named = (name: string): Option => options.find((option) => option.name === name) as Option;
  const list = (name: string): readonly string[] => {
    const option = named(name);
    const typed = command.flags.get(name);
    if (typed !== undefined) {
      from[name] = `--${name}`;
      return typed;
    }
    const variable = variableOf(name);
    const value = env[variable];
    if (value === undefined || value === "" || !allowed.includes(option)) {
      return option.default === undefined ? [] : [option.default];
    }
    from[name] = variable;
    return option.kind === "list" ? value.split(",").map((item) => item.trim()) : [value];
  };
  const nameOf = (name: string): string => from[name] ?? `--${name}`;
  const text = (name: string): string | undefined => list(name)[0];

  return {
    ...{ from, text, list, nameOf },
    duration: (name) => {
      const value = text(name) ?? "0";
      const ms = parseDuration(value);
      if (ms === undefined) {
        mistakes.push(
          `${nameOf(name)}: "${value}" is not a duration; write 500ms, 30s, 10m, 1h, or 0 for no limit`,
        );
      }
      return ms ?? 0;
    },
    isOn: (name) => {
      const value = text(name) ?? "false";
      if (/^(true|1|yes|on)$/i.test(value)) return true;
      if (!/^(false|0|no|off)$/i.test(value)) {
        mistakes.push(`${nameOf(name)}: "${value}" is neither true nor false`);
      }
      return false;
    },
    choice: (name) => {
      const value = text(name);
      const choices = named(name).choices ?? [];
      if (value === undefined || choices.includes(value)) return value;
      mistakes.push(`${nameOf(name)}: "${value}" is not one of ${choices.join(", ")}`);
      return choices[0];
    },
    given: (name) => {
      const texts = list(name);
      return from[name] === undefined ? undefined : { texts, from: from[name] };
    },
  };
}
