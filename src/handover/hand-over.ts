import { HeadgateError } from "../errors.ts";
import type { Log } from "../report/log.ts";
import { restoreBlockingFlags } from "./blocking.ts";
import { stopCatching } from "./last-signal.ts";
import { setSoftLimit } from "./open-files.ts";
import type { Server } from "./resolve.ts";

/** What it takes to become the server. */
export type HandOver = {
  readonly server: Server;
  readonly environment: Record<string, string>;
  /** The soft limit of open files to set; absent = leave it. */
  readonly softLimit?: number;
  readonly blockingFlags: readonly (boolean | undefined)[];
};

/** @throws HeadgateError usage (64) where this runtime cannot replace itself, before anything else is done */
export function refuseWithoutExec(): void {
  if (typeof process.execve === "function" && process.platform !== "win32") return;
  const runtime = `${process.release.name} ${process.version} on ${process.platform}`;
  throw new HeadgateError("usage", `${runtime} cannot replace itself by the server (no execve)`, {
    fix: "use Node 22.15 or newer, or headgate's own executable on Linux; or run `headgate migrate` and start the server by other means",
  });
}

/**
 * Becomes the server. Everything of headgate must be closed by now; when it returns at all, it throws.
 * @param signal checked last, so that a SIGTERM which arrives until then still counts
 * @throws the stop signal that arrived, or HeadgateError not_executable (126)
 */
export async function handOver(what: HandOver, log: Log, signal: AbortSignal): Promise<never> {
  const { server, softLimit } = what;
  if (softLimit !== undefined && !setSoftLimit(softLimit, what.environment["PATH"])) {
    const why = "could not restore the soft limit of open files (no prlimit in this image)";
    log.warn({ phase: "hand-over", soft: softLimit }, why);
  }
  log.info(
    { phase: "hand-over", server: server.file, ms: Math.round(performance.now()) },
    "handed over",
  );
  restoreBlockingFlags(what.blockingFlags);
  // Both runtimes ignore these two signals, and an ignored signal stays ignored after exec; one that is caught is
  // reset to its default.
  process.on("SIGPIPE", doNothing);
  process.on("SIGXFSZ", doNothing);

  await stopCatching(signal);
  try {
    process.execve?.(server.file, [...server.argv], what.environment);
  } catch (error) {
    throw execFailed(server.file, error);
  }
  throw execFailed(server.file, undefined);
}

function execFailed(file: string, cause: unknown): HeadgateError {
  const why = cause instanceof Error ? cause.message : "execve returned";
  return new HeadgateError("not_executable", `${file} could not be executed: ${why}`, { cause });
}

const doNothing = (): void => undefined;
