import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { HeadgateError } from "../errors.ts";
import { elfObstacle, hasForeignBinaries, isElf, isExecutableFile } from "./elf.ts";
import { readEnv } from "./env.ts";

/** What execve will be given: the file, and the whole argument vector with argv[0] as it was typed. */
export type Server = { readonly file: string; readonly argv: readonly string[] };

/** execvp's fall-back when PATH is unset (glibc, confstr(_CS_PATH)). */
const defaultPath = "/bin:/usr/bin";
const shell = "/bin/sh";

/** A program on its way to the kernel. */
type Candidate = {
  readonly file: string;
  /** Without argv[0]. */
  readonly args: readonly string[];
  /** For a refusal. */
  readonly name: string;
  /** The PATH variable it is started with. */
  readonly path: string | undefined;
  /** How many `env` have led to it. */
  readonly hops: number;
};

/**
 * Finds the server command as execvp would, and makes sure before the database is touched that execve will succeed:
 * a failed execve aborts Node 22 and 24 with exit code 134 (https://github.com/nodejs/node/pull/62878). Of `env`, in a
 * script's first line too, also that it will find its program.
 * @param command as typed after `--`
 * @param path the PATH variable the server will have
 * @param what how to call it in a refusal
 * @throws HeadgateError not_found (127) or not_executable (126)
 */
export function resolveServer(
  command: readonly string[],
  path: string | undefined,
  what = "server command",
): Server {
  const [typed = "", ...args] = command;
  return find(typed, args, { name: `${what} "${typed}"`, path, hops: 0 });
}

function find(
  typed: string,
  args: readonly string[],
  way: Pick<Candidate, "name" | "path" | "hops">,
): Server {
  const { name, path } = way;
  const file = typed.includes("/")
    ? checkFile(typed, name)
    : search(typed, name, path ?? defaultPath);
  if (isRunnable({ ...way, file, args }, 0)) return { file, argv: [typed, ...args] };
  // A script without #!: execvp has the shell read it.
  if (!isExecutableFile(shell)) {
    throw notExecutable(name, `${file} has no #! line and there is no ${shell} to read it`);
  }
  return { file: shell, argv: [shell, file, ...args] };
}

function search(typed: string, name: string, path: string): string {
  let refused: HeadgateError | undefined;
  for (const folder of typed === "" ? [] : path.split(delimiter)) {
    const file = join(folder === "" ? "." : folder, typed);
    if (!existsSync(file)) continue;
    try {
      return checkFile(file, name);
    } catch (error) {
      // As execvp: go on looking, but remember that there was one.
      refused ??= error as HeadgateError;
    }
  }
  throw refused ?? new HeadgateError("not_found", `the ${name} is not in PATH (${path})`);
}

function checkFile(file: string, name: string): string {
  if (!existsSync(file)) throw new HeadgateError("not_found", `the ${name} does not exist`);
  if (statSync(file).isDirectory()) throw notExecutable(name, `${file} is a directory`);
  if (!isExecutableFile(file))
    throw notExecutable(name, `${file} has no execute permission for this user`);
  // execve treats a bare name as a path relative to the working directory.
  return file.includes("/") ? file : `./${file}`;
}

/** The kernel follows an interpreter that is itself a script this deep (fs/exec.c, BINPRM_MAX_RECURSION). */
const deepestScript = 5;

/** Whether execve takes the file itself; false for a script without #!. Throws when it can be run by nothing. */
function isRunnable(candidate: Candidate, depth: number): boolean {
  const { file, args, name } = candidate;
  const head = readStart(file, name);
  if (head === undefined) return true;
  if (isElf(head)) {
    const obstacle = elfObstacle(file, head);
    if (obstacle !== undefined) throw notExecutable(name, obstacle);
    if (file === "/usr/bin/env" || file === "/bin/env") checkEnv(candidate);
    return true;
  }
  const line = head.subarray(0, 256);
  const end = line.indexOf("\n");
  const first = line.subarray(0, end < 0 ? line.length : end);
  if (first.subarray(0, 2).toString("latin1") === "#!") {
    // As the kernel reads it: only spaces and tabs separate, so a carriage return is part of the name, and all that
    // follows the interpreter is one argument.
    const [, interpreter = "", argument = ""] =
      /^#![ \t]*([^ \t]*)[ \t]*([^]*?)[ \t]*$/.exec(first.toString()) ?? [];
    if (!isExecutableFile(interpreter) || depth >= deepestScript) {
      throw notExecutable(
        name,
        `its interpreter "${interpreter.trimEnd()}" does not exist or is not executable${first.at(-1) === 13 ? " (the line ends with a carriage return)" : ""}`,
      );
    }
    const next = [...(argument === "" ? [] : [argument]), file, ...args];
    if (!isRunnable({ ...candidate, file: interpreter, args: next }, depth + 1))
      throw notExecutable(name, `its interpreter "${interpreter}" is not a program`);
    return true;
  }
  if (first.includes(0) && !hasForeignBinaries())
    throw notExecutable(name, `${file} is neither a program nor a script`);
  return first.includes(0);
}

/** More would be scripts that lead to each other in a circle. */
const mostHops = 5;

/** Whether `env` will find what it is to run. */
function checkEnv({ args, path, name, hops }: Candidate): void {
  const found = readEnv(args, path);
  if (found === undefined || hops === mostHops) return;
  const [typed = "", ...rest] = found.command;
  const shown = JSON.stringify(typed).slice(1, -1);
  find(typed, rest, {
    name: `program "${shown}" that env runs for the ${name}`,
    path: found.path,
    hops: hops + 1,
  });
}

/** Enough for an ELF header and its program headers, which follow it in every file seen. */
const startBytes = 4096;

/** The file's first bytes; undefined when it may be run but not read, which the kernel allows. */
function readStart(file: string, name: string): Buffer | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch {
    return undefined;
  }
  try {
    const buffer = Buffer.alloc(startBytes);
    return buffer.subarray(0, readSync(descriptor, buffer, 0, startBytes, 0));
  } catch {
    throw notExecutable(name, `${file} cannot be read`);
  } finally {
    closeSync(descriptor);
  }
}

function notExecutable(name: string, why: string): HeadgateError {
  return new HeadgateError("not_executable", `the ${name} cannot be executed: ${why}`);
}
