import type { Readable } from "node:stream";
import { execa } from "execa";
import { type Artifact, assertBuilt } from "./artifacts.ts";
import { UNSHARE } from "./conditions.ts";
import { eventually } from "./eventually.ts";
import * as proc from "./proc.ts";

export { type Artifact, artifacts } from "./artifacts.ts";
export { canUnshare, requireOrSkip } from "./conditions.ts";
export { proc };

/** How to start the program. */
export interface LaunchOptions {
  /** Added to PATH and HOME, which is all the program gets of this process's environment. */
  env?: Record<string, string>;
  cwd?: string;
  /** Written to its stdin, which is then closed; without it stdin is /dev/null. */
  input?: string | Uint8Array;
  /** Run it as PID 1 of a new pid namespace. Check `canUnshare()` first. */
  pid1?: boolean;
  /** Put before its command, such as `["sh", "-c", 'ulimit -n 256; exec "$@"', "sh"]`; must exec. */
  wrap?: string[];
  /** Killed after this time (3 min); a run that is killed so is an error. */
  timeoutMs?: number;
}

/** One line of stderr: the fields of a JSON log line, or the text of any other as `raw`. */
export interface LogLine {
  raw?: string;
  msg?: string;
  [field: string]: unknown;
}

export interface HeadgateResult {
  /** Undefined when it died by a signal. */
  exitCode: number | undefined;
  signal: string | undefined;
  /** Exactly as written, final newline included. */
  stdout: string;
  stderr: string;
  lines: LogLine[];
  durationMs: number;
}

type Child = ReturnType<typeof launch>;

export interface RunningHeadgate {
  readonly child: Child;
  /** Of headgate itself as this process sees it, also when it is PID 1 of its own namespace. */
  readonly pid: number;
  readonly result: Promise<HeadgateResult>;
  signal(signal: NodeJS.Signals): void;
  /** Waits for a log line whose message contains the text, or that the predicate accepts. */
  waitForLog(wanted: string | ((line: LogLine) => boolean), deadlineMs?: number): Promise<LogLine>;
  waitForStderr(wanted: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
  waitForStdout(wanted: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
}

// What unshare 2.38 says, with exit code 1, when its child died by SIGKILL: it tries to die the same
// way, and resetting SIGKILL is an invalid argument.
const UNSHARE_KILLED = "unshare: sigprocmask unblock failed: Invalid argument\n";

/** Runs the program to its end. */
export async function runHeadgate(
  artifact: Artifact,
  args: string[],
  options: LaunchOptions = {},
): Promise<HeadgateResult> {
  return finish(launch(artifact, args, options));
}

/** Starts the program; resolves when it (not what it is wrapped in) has its pid. */
export async function startHeadgate(
  artifact: Artifact,
  args: string[],
  options: LaunchOptions = {},
): Promise<RunningHeadgate> {
  const child = launch(artifact, args, options);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  let ended = false;
  // A line of which only the beginning has arrived would look like text.
  const completeLog = () =>
    parseLog(stderr().slice(0, ended ? undefined : stderr().lastIndexOf("\n") + 1));
  const result = finish(child).finally(() => (ended = true));
  // Whoever awaits the result sees its error; a test that failed before must not end in this one.
  result.catch(() => {});

  // Gives up as soon as the program has ended, since nothing more can come.
  const waitFor = async <T>(
    what: string,
    find: () => T | undefined | null,
    deadlineMs?: number,
  ) => {
    const outcome = await eventually(
      what,
      () => {
        const over = ended;
        const value = find() ?? undefined;
        return value === undefined ? over && { value } : { value };
      },
      deadlineMs,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\nstderr so far:\n${stderr()}`, { cause: error });
    });
    if (outcome.value !== undefined) return outcome.value;
    throw new Error(`headgate ended before: ${what}\n${describe(await result)}`);
  };

  // A mistake in the arguments ends it sooner than its namespace can be looked into.
  const seenPid = await waitFor("headgate has a pid", () =>
    options.pid1 ? innerPid(child.pid) : child.pid,
  ).catch((error: unknown) => {
    if (!ended) throw error;
  });
  const pidOf = (): number => {
    if (seenPid === undefined) throw new Error("headgate ended before its pid was seen");
    return seenPid;
  };
  return {
    child,
    get pid() {
      return pidOf();
    },
    result,
    signal: (signal) => process.kill(pidOf(), signal),
    waitForLog: (wanted, deadlineMs) => {
      const accepts =
        typeof wanted === "string"
          ? (line: LogLine) => (line.raw ?? line.msg ?? "").includes(wanted)
          : wanted;
      return waitFor(`log line ${String(wanted)}`, () => completeLog().find(accepts), deadlineMs);
    },
    waitForStderr: (wanted, deadlineMs) =>
      waitFor(`stderr matches ${wanted}`, () => wanted.exec(stderr()), deadlineMs),
    waitForStdout: (wanted, deadlineMs) =>
      waitFor(`stdout matches ${wanted}`, () => wanted.exec(stdout()), deadlineMs),
  };
}

function launch(artifact: Artifact, args: string[], options: LaunchOptions) {
  assertBuilt(artifact);
  const [file = "", ...rest] = [
    ...(options.pid1 ? ["unshare", ...UNSHARE] : []),
    ...(options.wrap ?? []),
    ...artifact.command,
    ...args,
  ];
  const { PATH = "", HOME = "/" } = process.env;
  return execa(file, rest, {
    env: { PATH, HOME, ...options.env },
    extendEnv: false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.input === undefined ? { stdin: "ignore" } : { input: options.input }),
    reject: false,
    stripFinalNewline: false,
    timeout: options.timeoutMs ?? 180_000,
    // unshare blocks SIGTERM while its child lives; SIGKILL takes both.
    killSignal: "SIGKILL",
  });
}

async function finish(child: Child): Promise<HeadgateResult> {
  const outcome = await child;
  const { stdout, durationMs } = outcome;
  const { exitCode, signal, stderr } = outcome.stderr.endsWith(UNSHARE_KILLED)
    ? { exitCode: undefined, signal: "SIGKILL", stderr: outcome.stderr.replace(UNSHARE_KILLED, "") }
    : outcome;
  const result = { exitCode, signal, stdout, stderr, lines: parseLog(stderr), durationMs };
  if (outcome.timedOut)
    throw new Error(`headgate was killed at the time limit\n${describe(result)}`);
  // The program could not be started at all.
  if (exitCode === undefined && signal === undefined) throw outcome.cause ?? outcome;
  return result;
}

function parseLog(stderr: string): LogLine[] {
  return stderr.split("\n").filter(Boolean).map(parseLine);
}

function parseLine(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as LogLine;
  } catch {
    // Text, such as what the server behind headgate writes.
  }
  return { raw: line };
}

function describe({ exitCode, signal, stdout, stderr }: HeadgateResult): string {
  return `exit ${exitCode ?? signal}\nstdout:\n${stdout}\nstderr:\n${stderr}`;
}

/** Gives what the stream has delivered until now. */
function collect(stream: Readable): () => string {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}

/** The process that unshare started, once it is no longer unshare itself. */
function innerPid(unsharePid: number | undefined): number | undefined {
  const pid = unsharePid === undefined ? undefined : proc.children(unsharePid)[0];
  return pid !== undefined && proc.status(pid)["Name"] !== "unshare" ? pid : undefined;
}
