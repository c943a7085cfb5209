import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { withTimeout } from "../deadline.ts";
import { resolveServer, type Server } from "../handover/resolve.ts";

/** A command to run beside headgate, and what it gets. */
export type Program = {
  /** As `resolveServer` found it. */
  readonly server: Server;
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** What it reads from its standard input; without it there is nothing to read. */
  readonly input?: string;
  /** Milliseconds, Infinity = no limit. */
  readonly timeoutMs: number;
  /** Milliseconds between being told to stop and being killed. */
  readonly graceMs: number;
  readonly onLine: (line: string, stream: "stdout" | "stderr") => void;
};

/** How it ended; both absent when it was stopped because its time was up. */
export type Ending = { readonly exitCode?: number; readonly signalName?: string };

/** A line without an end must not fill the memory; the rest of it is a line of its own. */
const longestLine = 16_384;
/** For how long a pipe may be silent after the program ended, when something else still has its other end. */
const drainMs = 500;

/**
 * Runs a program in a process group of its own and waits until all of it is gone. Its standard input is not
 * headgate's, which belongs to the server.
 * @param signal when it fires the group gets SIGTERM, after the grace period SIGKILL
 * @throws the signal's reason, but only after the program is gone
 */
export async function runChild(program: Program, signal: AbortSignal): Promise<Ending> {
  signal.throwIfAborted();
  const { execa } = await import("execa");
  const { file, argv } = tiedToUs(program.server, program.environment["PATH"]);
  const child = execa(file, argv.slice(1), {
    ...(argv[0] === undefined ? {} : { argv0: argv[0] }),
    cwd: program.directory,
    env: program.environment,
    extendEnv: false,
    detached: true, // a group of its own, so that a shell's children hear the signals too
    cleanup: false,
    reject: false,
    buffer: false,
    encoding: "buffer",
    ...(program.input === undefined ? { stdin: "ignore" } : { input: program.input }),
  });
  const group = child.pid;
  const tell = (name: "SIGTERM" | "SIGKILL"): void => {
    try {
      if (group !== undefined) process.kill(-group, name);
    } catch {
      // gone
    }
  };
  // A second signal to headgate ends it at once, by process.exit.
  const kill = (): void => tell("SIGKILL");
  process.on("exit", kill);

  let killer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    tell("SIGTERM");
    killer ??= setTimeout(kill, program.graceMs);
  };
  const limit = withTimeout(signal, program.timeoutMs, () => new TimeUp());
  limit.signal.addEventListener("abort", stop, { once: true });
  const read = Promise.all([
    readLines(child.stdout, (line) => program.onLine(line, "stdout")),
    readLines(child.stderr, (line) => program.onLine(line, "stderr")),
  ]);
  // What it leaves behind goes with it, also what keeps the pipes open and is not in the group.
  child.nodeChildProcess.once("exit", () => {
    kill();
    for (const pipe of [child.stdout, child.stderr]) {
      const silence = setTimeout(() => pipe.destroy(), drainMs).unref();
      pipe.on("data", () => silence.refresh());
    }
  });
  try {
    const { exitCode, signal: signalName } = await child;
    await read;
    signal.throwIfAborted();
    if (limit.signal.aborted) return {};
    return {
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(signalName === undefined ? {} : { signalName }),
    };
  } finally {
    clearTimeout(killer);
    limit.clear();
    process.off("exit", kill);
  }
}

class TimeUp extends Error {}

/** What a program said. */
export type Answer = {
  /** Undefined when it died by a signal. */
  readonly exitCode: number | undefined;
  readonly stdout: Uint8Array;
  readonly stderr: string;
};

/**
 * Runs a program that does nothing but answer, without a shell. Nothing waits for it when the signal fires.
 * @param file looked up in the environment's PATH
 * @returns what it printed, to the byte; undefined when there is no such program
 * @throws the signal's reason
 */
export async function askProgram(
  file: string,
  args: readonly string[],
  { directory, environment, input }: Pick<Program, "directory" | "environment" | "input">,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const { execa } = await import("execa");
  const { exitCode, stdout, stderr, code } = await execa(file, args, {
    ...{ cwd: directory, env: environment, extendEnv: false, cancelSignal: signal },
    ...{ reject: false, encoding: "buffer", stripFinalNewline: false },
    ...(input === undefined ? { stdin: "ignore" } : { input }),
  });
  signal.throwIfAborted();
  if (code === "ENOENT" || code === "EACCES") return undefined;
  return { exitCode, stdout, stderr: new TextDecoder().decode(stderr) };
}

/**
 * The command that dies with headgate even when that is killed: setpriv(1) of util-linux asks the kernel for it. As
 * process 1 nothing is needed, because nothing outlives that.
 */
function tiedToUs(server: Server, path: string | undefined): Server {
  if (process.pid === 1) return server;
  try {
    const setpriv = resolveServer(["setpriv"], path).file;
    // Busybox' own does not know the option.
    if (basename(realpathSync(setpriv)) !== "setpriv") return server;
    const argv = ["setpriv", "--pdeathsig", "KILL", "--", server.file, ...server.argv.slice(1)];
    return { file: setpriv, argv };
  } catch {
    return server; // an image without it, or not Linux
  }
}

/** Resolves when the pipe has closed and its last line was told. */
function readLines(pipe: NodeJS.ReadableStream, tell: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  pipe.on("data", (bytes: Uint8Array) => {
    const pieces = (rest + decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r/);
    rest = pieces.pop() ?? "";
    for (const piece of pieces) tell(piece);
    while (rest.length > longestLine) {
      tell(rest.slice(0, longestLine));
      rest = rest.slice(longestLine);
    }
    // Writing a log is slow, and whoever prints without pause must not keep the lock from being looked at.
    pipe.pause();
    setImmediate(() => pipe.resume());
  });
  return new Promise((resolve) => {
    pipe.on("close", () => {
      if (rest !== "") tell(rest);
      resolve();
    });
  });
}
