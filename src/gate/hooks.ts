import { HeadgateError } from "../errors.ts";
import { resolveServer } from "../handover/resolve.ts";
import type { Context } from "../look.ts";
import { runChild } from "../migrator/child.ts";
import { watched, type WatchedLock } from "../migrator/watch.ts";
import { markPoint } from "./restore-point.ts";
import { tellDatabase } from "./tell-database.ts";

/** What is going to be applied, as a hook reads it. */
export type HookPlan = {
  readonly set?: string;
  readonly pending: readonly { readonly id: number; readonly name: string }[];
  /** The command of a migrator, and why it runs. */
  readonly migrator?: readonly string[];
  readonly why?: string;
};

/** Variables that hold secrets of headgate's own, which no hook needs. */
const ownSecrets = ["HEADGATE_DATABASE_URL", "HEADGATE_NOTIFY_URL"];

/**
 * Applies something between the hooks.
 * @throws HeadgateError sql_failed (1) when a hook fails; after one that comes before, nothing was applied
 */
export async function betweenHooks(
  context: Context,
  lock: WatchedLock,
  plan: HookPlan,
  apply: () => Promise<void>,
): Promise<void> {
  const { config, log, signal } = context;
  await markPoint(lock.session, log, signal);
  const { before } = config;
  if (before !== undefined) {
    await watched(lock, signal, (limit) => runHook("before", before, context, lock, plan, limit));
  }
  await apply();
  await runAfter(context, lock, plan);
}

/** Runs the hook that comes after, if there is one. */
export async function runAfter(context: Context, lock: WatchedLock, plan: HookPlan): Promise<void> {
  const { after } = context.config;
  if (after === undefined) return;
  await watched(lock, context.signal, (limit) =>
    runHook("after", after, context, lock, plan, limit),
  );
}

async function runHook(
  name: "before" | "after",
  command: readonly string[],
  context: Context,
  { session }: WatchedLock,
  plan: HookPlan,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const { config, log } = context;
  const told = tellDatabase(context, config.hookVariables, session);
  const known = Object.entries(told).filter(([key]) => !ownSecrets.includes(key));
  const lines: string[] = [];
  log.info({ phase: name, command: command.join(" ") }, "started");
  const ending = await runChild(
    {
      server: resolveProgram(command, told["PATH"], `--${name} command`),
      directory: ".",
      environment: Object.fromEntries(known),
      input: `${JSON.stringify({ version: 1, ...plan })}\n`,
      timeoutMs: Number.POSITIVE_INFINITY,
      graceMs: config.stopGraceMs,
      onLine: (line, stream) => {
        lines.push(line);
        log.info({ phase: name, stream }, line);
      },
    },
    signal,
  );
  if (ending.exitCode !== 0) throw hookFailed(name, command, describeEnding(ending), lines);
  log.info({ phase: name, ms: Math.round(performance.now() - started) }, "succeeded");
}

/** `exit code 3`, `SIGKILL`. */
export function describeEnding(ending: { exitCode?: number; signalName?: string }): string {
  return ending.exitCode === undefined ? `${ending.signalName}` : `exit code ${ending.exitCode}`;
}

function hookFailed(
  name: "before" | "after",
  command: readonly string[],
  how: string,
  lines: readonly string[],
): HeadgateError {
  const outcome = { before: "nothing was applied", after: "the migrations are applied" }[name];
  return new HeadgateError(
    "sql_failed",
    `the --${name} command \`${command.join(" ")}\` ended with ${how}; ${outcome}`,
    {
      fix: "look at what it printed; it is run again, before any server starts, at the next start",
      details: { phase: name, ...excerptOf(lines) },
    },
  );
}

/** The last words of a program, for a message that has no log beside it. */
export function excerptOf(lines: readonly string[]): { excerpt?: string } {
  return lines.length === 0 ? {} : { excerpt: lines.slice(-10).join("\n") };
}

/**
 * Finds a program that is run beside headgate.
 * @throws HeadgateError usage (64)
 */
export function resolveProgram(
  command: readonly string[],
  path: string | undefined,
  what: string,
): ReturnType<typeof resolveServer> {
  try {
    return resolveServer(command, path, what);
  } catch (error) {
    if (!(error instanceof HeadgateError)) throw error;
    throw new HeadgateError("usage", error.message, {
      fix: `check the spelling and PATH of the ${what} in the image`,
      cause: error,
    });
  }
}
