import { fstatSync } from "node:fs";
import { readArguments } from "./src/cli.ts";
import { migrate } from "./src/commands/migrate.ts";
import { run } from "./src/commands/run.ts";
import { verify } from "./src/commands/verify.ts";
import { wait } from "./src/commands/wait.ts";
import { type Config, readConfig } from "./src/config.ts";
import { describeConfig } from "./src/describe-config.ts";
import { HeadgateError, Stopped, stopSignalNames } from "./src/errors.ts";
import { serverEnvironment } from "./src/handover/environment.ts";
import { leave } from "./src/handover/leave.ts";
import type { Context } from "./src/look.ts";
import { commandHelp, helpText } from "./src/help.ts";
import { connecting } from "./src/options.ts";
import { ConnectionLost } from "./src/postgres/session.ts";
import { createLog } from "./src/report/log.ts";
import { print } from "./src/report/print.ts";
import { redactor } from "./src/report/redact.ts";
import { createSummary, type Summary } from "./src/report/summary.ts";
import { fence } from "./src/report/summary-text.ts";
import { writeTermination } from "./src/report/termination.ts";
import { commit, version } from "./src/version.ts";

/** Time to cancel the running statement, roll back and say goodbye; together under the promised 3 s. */
let stopPatienceMs = 2500;

// As PID 1 a process without handlers never hears of these signals. The first stops the work, the second the process.
const stop = new AbortController();
for (const name of stopSignalNames) {
  process.on(name, () => {
    const reason = new Stopped(name);
    if (stop.signal.aborted) leave(reason.exitCode);
    stop.abort(reason);
    setTimeout(() => leave(reason.exitCode), stopPatienceMs);
  });
}

// Meant for the server, which may not be there yet. Unheard, the first would open a debugger's port under Node, and the
// second end the process.
for (const name of ["SIGUSR1", "SIGUSR2"]) process.on(name, () => undefined);

const secrets = new Set<string>();
const redact = redactor(secrets);
const isTerminal = isTerminalDevice(2);
let log = createLog(isTerminal ? "text" : "json", "info", redact);
let terminationLog: string | undefined;
let summary: Summary | undefined;

/** Reads the arguments and does what they ask; becomes the server, or returns the exit code. */
async function main(): Promise<number> {
  const command = readArguments(process.argv.slice(2));
  if (command.verb === "version")
    return print(`headgate ${version} (commit ${commit}, ${runtimeName()})\n`);
  if (command.verb === "help") {
    return print(command.helpOf === undefined ? helpText() : commandHelp(command.helpOf));
  }
  const format = command.flags.get("log-format")?.[0] ?? process.env["HEADGATE_LOG_FORMAT"];
  // So that mistakes in the configuration are told in the format that is wanted.
  if (format === "text" || format === "json") log = createLog(format, "info", redact);
  terminationLog =
    command.flags.get("termination-log")?.[0] ?? process.env["HEADGATE_TERMINATION_LOG"];
  const summaryFile = command.flags.get("summary")?.[0] ?? process.env["HEADGATE_SUMMARY"] ?? "";
  if (summaryFile !== "") {
    summary = createSummary(summaryFile, `headgate ${command.verb}`, redact);
    log = summary.listen(log);
  }
  const config = readConfig(command, process.env, secrets);
  log = createLog(config.logFormat ?? (isTerminal ? "text" : "json"), config.logLevel, redact);
  if (summary !== undefined) log = summary.listen(log);
  if (connecting.includes(config.command)) log.info(describeConfig(config), "configured");
  for (const remark of config.remarks) log.warn({ remark }, "ignored");

  if (startsPrograms(config)) stopPatienceMs += config.stopGraceMs;
  const environment = (): Record<string, string> => serverEnvironment([], process.env);
  const context: Context = {
    ...{ config, log, signal: stop.signal, environment, redact, summarize },
    print: (text, markdown) => {
      summary?.add(markdown ?? fence(text));
      return print(text);
    },
  };
  switch (config.command) {
    case "run":
      return run(context, process.env);
    case "migrate":
      return migrate(context);
    case "wait":
      return wait(context);
    case "verify":
      return verify(context);
    // The rest is for people: a server that starts does not load it.
    case "status":
      return (await import("./src/commands/status.ts")).status(context);
    case "check":
      return (await import("./src/commands/check.ts")).check(context);
    case "plan":
      return (await import("./src/commands/plan.ts")).plan(context);
    case "resolve":
      return (await import("./src/commands/resolve.ts")).resolve(context);
    case "rollback":
      return (await import("./src/commands/rollback.ts")).rollback(context);
    case "stamp":
      return (await import("./src/commands/stamp.ts")).stamp(context);
    case "repair":
      return (await import("./src/commands/repair.ts")).repair(context);
    case "new":
      return (await import("./src/commands/new.ts")).createMigration(context);
    case "completion":
      return (await import("./src/commands/completion.ts")).completion(context);
  }
}

/** Whether there are programs that get a grace period of their own. */
function startsPrograms({ sets, before, after }: Config): boolean {
  return (
    sets.some(({ kind }) => kind === "migrator") || before !== undefined || after !== undefined
  );
}

/** Reports a failure once, in the log and to Kubernetes. @returns the exit code */
function fail(thrown: unknown): number {
  // What fails after the stop signal fails because of it.
  const error: unknown = stop.signal.aborted ? stop.signal.reason : thrown;
  if (error instanceof Stopped) {
    log.warn({ signal: error.signalName, exitCode: error.exitCode }, "stopped");
    return error.exitCode;
  }
  const failure = error instanceof HeadgateError ? error : unexpected(error);
  const { code, exitCode, problems, fix } = failure;
  const list = problems.length === 0 ? {} : { problems };
  log.error({ code, exitCode, ...failure.details, ...list, fix }, failure.message);
  const trouble = writeTermination(terminationLog, failure, redact);
  if (trouble !== undefined) log.warn({ error: trouble }, "could not write the termination log");
  return exitCode;
}

/** What no command has put into words. */
function unexpected(error: unknown): HeadgateError {
  if (error instanceof ConnectionLost) {
    return new HeadgateError("not_ready", `the connection to Postgres was lost: ${error.message}`, {
      fix: "look into the server's log; then run again",
      cause: error,
    });
  }
  const details = { stack: error instanceof Error ? error.stack : undefined };
  return new HeadgateError("bug", `headgate has a bug: ${String(error)}`, {
    details,
    cause: error,
  });
}

/** Asks the file system first, because loading node:tty takes 5 ms under Bun. */
function isTerminalDevice(descriptor: number): boolean {
  try {
    if (!fstatSync(descriptor).isCharacterDevice()) return false;
  } catch {
    return false; // closed
  }
  return process.getBuiltinModule("node:tty").isatty(descriptor);
}

function summarize(ending: string): void {
  const trouble = summary?.write(ending);
  if (trouble !== undefined) log.warn({ error: trouble }, "could not write the summary");
}

/** Ends the process, with the summary of what it did. */
function end(code: number): void {
  summarize(code === 0 ? "succeeded" : `exit code ${code}`);
  leave(code);
}

function runtimeName(): string {
  const bun = process.versions["bun"];
  return bun === undefined ? `node ${process.versions.node}` : `bun ${bun}`;
}

process.on("uncaughtException", (error) => end(fail(error)));
process.on("unhandledRejection", (error) => end(fail(error)));
main().then(
  (code) => end(code),
  (error: unknown) => end(fail(error)),
);
