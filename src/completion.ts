import { summaries } from "./help.ts";
import {
  type CommandName,
  commandNames,
  type Option,
  operands,
  options,
  optionsOf,
} from "./options.ts";
import type { Shell } from "./requests/completion.ts";
import { shells } from "./requests/completion.ts";

/** What to suggest after an option, or for what a command takes. */
type Suggestion = "file" | "folder" | "nothing" | readonly string[];

function suggestionOf({ choices, value = "", name }: Option): Suggestion {
  if (choices !== undefined) return choices;
  if (value === "DIR") return "folder";
  return value.includes("FILE") || name === "sets" ? "file" : "nothing";
}

const operandWords = (name: CommandName): readonly string[] =>
  operands[name] === "SHELL" ? shells : [];

/** The flags of a command; `help` belongs to all. */
const flagsOf = (name: CommandName): readonly string[] => [
  ...optionsOf(name).map((option) => `--${option.name}`),
  "--help",
];

const valued = options.filter(({ kind }) => kind !== "switch");

/** The script that makes a shell complete headgate's commands, options and values. */
export function completionScript(shell: Shell): string {
  return { bash, zsh, fish }[shell]();
}

function bash(): string {
  const suggest = (suggestion: Suggestion): string => {
    if (suggestion === "file") return 'COMPREPLY=($(compgen -f -- "$current"))';
    if (suggestion === "folder") return 'COMPREPLY=($(compgen -d -- "$current"))';
    if (suggestion === "nothing") return ":";
    return `COMPREPLY=($(compgen -W "${suggestion.join(" ")}" -- "$current"))`;
  };
  const cases = valued.map(
    (option) => `    --${option.name}) ${suggest(suggestionOf(option))}; return ;;`,
  );
  const words = commandNames.map((name) => {
    const all = [...operandWords(name), ...flagsOf(name)];
    return `    ${name}) words="${all.join(" ")}" ;;`;
  });
  return `# bash completion of headgate: source <(headgate completion bash)
_headgate() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command= words i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
    # What follows is the server's own.
    --) compopt -o default 2>/dev/null; return ;;
    ${valued.map(({ name }) => `--${name}`).join("|")}) ((i++)) ;;
    -*) ;;
    *) command=\${command:-\${COMP_WORDS[i]}} ;;
    esac
  done
  # bash takes the equals sign of --option=value for a word.
  if [[ $current == "=" ]]; then current=; elif [[ $previous == "=" ]]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  case $previous in
${cases.join("\n")}
  esac
  case \${command:-run} in
${words.join("\n")}
    *) words= ;;
  esac
  [[ -n $command ]] || words="${commandNames.join(" ")} help --version $words"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _headgate headgate
`;
}

/** In single quotes, as zsh and fish read them. */
const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

function zsh(): string {
  const action = (option: Option): string => {
    const suggestion = suggestionOf(option);
    if (suggestion === "file") return "_files";
    if (suggestion === "folder") return "_files -/";
    return suggestion === "nothing" ? " " : `(${suggestion.join(" ")})`;
  };
  // Colons and brackets have a meaning of their own there.
  const plain = (text: string): string => text.replace(/[[\]:\\]/g, String.raw`\$&`);
  const spec = (option: Option): string => {
    const { name, kind, help, value = "" } = option;
    const star = kind === "list" ? "*" : "";
    const argument = kind === "switch" ? "" : `:${plain(value)}:${action(option)}`;
    return quote(`${star}--${name}[${plain(help)}]${argument}`);
  };
  const cases = commandNames.map((name) => {
    const words = operandWords(name);
    const operand = words.length === 0 ? [] : [quote(`1:${operands[name]}:(${words.join(" ")})`)];
    const all = [...operand, ...optionsOf(name).map(spec), quote("--help[show help]")];
    return `    ${name}) _arguments ${all.join(" ")} ;;`;
  });
  return `#compdef headgate
# zsh completion of headgate: source <(headgate completion zsh)
_headgate() {
  local -a commands=(
${commandNames.map((name) => `    ${quote(`${name}:${plain(summaries[name])}`)}`).join("\n")}
  )
  local at=\${words[(I)--]}
  if (( at > 0 && at < CURRENT )); then
    shift at words; (( CURRENT -= at )); _normal; return
  fi
  local command=\${words[2]}
  if (( CURRENT == 2 )) && [[ $command != -* ]]; then _describe command commands; return; fi
  if (( \${+commands[(r)$command:*]} )) && [[ $command != -* ]]; then
    shift words; (( CURRENT-- ))
  else
    command=run
  fi
  case $command in
${cases.join("\n")}
  esac
}
(( $+functions[compdef] )) && compdef _headgate headgate
`;
}

function fish(): string {
  const begin = "complete -c headgate";
  const known = commandNames.join(" ");
  const lines = commandNames.flatMap((name) => {
    const isRun = name === "run";
    const condition = isRun
      ? `'not __fish_seen_subcommand_from ${commandNames.filter((other) => other !== "run").join(" ")}'`
      : `'__fish_seen_subcommand_from ${name}'`;
    const first = `${begin} -n 'not __fish_seen_subcommand_from ${known}' -f -a ${name} -d ${quote(summaries[name])}`;
    const words = operandWords(name);
    const operand =
      words.length === 0 ? [] : [`${begin} -n ${condition} -f -a '${words.join(" ")}'`];
    return [
      first,
      ...operand,
      ...optionsOf(name).map((option) => {
        const suggestion = suggestionOf(option);
        const value =
          option.kind === "switch"
            ? ""
            : suggestion === "file"
              ? " -r -F"
              : suggestion === "folder"
                ? " -x -a '(__fish_complete_directories)'"
                : suggestion === "nothing"
                  ? " -x"
                  : ` -x -a '${suggestion.join(" ")}'`;
        return `${begin} -n ${condition} -l ${option.name}${value} -d ${quote(option.help)}`;
      }),
    ];
  });
  return `# fish completion of headgate: headgate completion fish | source\n${begin} -f\n${lines.join("\n")}\n`;
}
