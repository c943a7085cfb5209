import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { HeadgateError } from "../errors.ts";

/** What execve will be given: the file, and the whole argument vector with argv[0] as it was typed. */
export type Server = { readonly file: string; readonly argv: readonly string[] };

/** execvp's fall-back when PATH is unset (glibc, confstr(_CS_PATH)). */
const defaultPath = "/bin:/usr/bin";
const shell = "/bin/sh";

/**
 * Finds the server command as execvp would, and makes sure before the database is touched that execve will succeed:
 * a failed execve aborts Node 22 and 24 with exit code 134 (https://github.com/nodejs/node/pull/62878).
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
  const [typed = ""] = command;
  const name = `${what} "${typed}"`;
  const file = typed.includes("/")
    ? checkFile(typed, name)
    : search(typed, name, path ?? defaultPath);
  if (isRunnable(file, name, 0)) return { file, argv: command };
  // A script without #!: execvp has the shell read it.
  if (!isExecutableFile(shell)) {
    throw notExecutable(name, `${file} has no #! line and there is no ${shell} to read it`);
  }
  return { file: shell, argv: [shell, file, ...command.slice(1)] };
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

function isExecutableFile(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The kernel follows an interpreter that is itself a script this deep (fs/exec.c, BINPRM_MAX_RECURSION). */
const deepestScript = 5;

/** Whether execve takes the file itself; false for a script without #!. Throws when it can be run by nothing. */
function isRunnable(file: string, name: string, depth: number): boolean {
  const head = readStart(file, name);
  if (head === undefined) return true;
  if (head.subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1"))) {
    checkElf(file, name, head);
    return true;
  }
  const line = head.subarray(0, 256);
  const end = line.indexOf("\n");
  const first = line.subarray(0, end < 0 ? line.length : end);
  if (first.subarray(0, 2).toString("latin1") === "#!") {
    // As the kernel reads it: only spaces and tabs separate, so a carriage return is part of the name.
    const [, interpreter = ""] = /^#![ \t]*([^ \t]*)/.exec(first.toString()) ?? [];
    if (!isExecutableFile(interpreter) || depth >= deepestScript) {
      throw notExecutable(
        name,
        `its interpreter "${interpreter.trimEnd()}" does not exist or is not executable${first.at(-1) === 13 ? " (the line ends with a carriage return)" : ""}`,
      );
    }
    if (!isRunnable(interpreter, name, depth + 1))
      throw notExecutable(name, `its interpreter "${interpreter}" is not a program`);
    return true;
  }
  if (first.includes(0) && !hasForeignBinaries())
    throw notExecutable(name, `${file} is neither a program nor a script`);
  return first.includes(0);
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

/** Processor numbers of ELF (e_machine) that a processor runs by itself. */
const machines: { readonly [architecture: string]: readonly number[] } = {
  x64: [62, 3],
  arm64: [183, 40],
};

/** Another processor's program, or a missing dynamic loader (a glibc program on Alpine), fails in execve. */
function checkElf(file: string, name: string, head: Buffer): void {
  const is64 = head[4] === 2;
  const isLittle = head[5] === 1;
  if (head.length < 64) return;
  const known = machines[process.arch];
  const isOurs = isLittle && known?.includes(head.readUInt16LE(18));
  if (known !== undefined && !isOurs && !hasForeignBinaries()) {
    throw notExecutable(name, `${file} is for another processor than this ${process.arch}`);
  }
  if (!isLittle) return;
  const headers = is64 ? Number(head.readBigUInt64LE(32)) : head.readUInt32LE(28);
  const size = head.readUInt16LE(is64 ? 54 : 42);
  const count = head.readUInt16LE(is64 ? 56 : 44);
  for (let index = 0; index < count; index++) {
    const at = headers + index * size;
    if (at + size > head.length) return;
    if (head.readUInt32LE(at) !== 3) continue; // PT_INTERP
    const offset = is64 ? Number(head.readBigUInt64LE(at + 8)) : head.readUInt32LE(at + 4);
    const length = is64 ? Number(head.readBigUInt64LE(at + 32)) : head.readUInt32LE(at + 16);
    const loader = head.subarray(offset, offset + length - 1).toString();
    if (offset + length <= head.length && !isExecutableFile(loader)) {
      throw notExecutable(
        name,
        `${file} needs the loader ${loader}, which this image does not have (a glibc program on musl, or the reverse?)`,
      );
    }
    return;
  }
}

/** Whether the kernel has been taught other formats, such as other processors' programs through qemu. */
function hasForeignBinaries(): boolean {
  try {
    return readdirSync("/proc/sys/fs/binfmt_misc").some(
      (entry) => entry !== "register" && entry !== "status",
    );
  } catch {
    return false;
  }
}

function notExecutable(name: string, why: string): HeadgateError {
  return new HeadgateError("not_executable", `the ${name} cannot be executed: ${why}`);
}
