import { HeadgateError } from "../errors.ts";
import { type Ending, runChild } from "../migrator/child.ts";
import { watched, type WatchedLock } from "../migrator/watch.ts";
import { describeEnding, excerptOf } from "./hooks.ts";
import { type PreparedMigrator, resolveMigrator } from "./prepare-sets.ts";
import type { Held } from "./take-lock.ts";

/**
 * Runs the migrator while the lock is watched, and logs what it prints.
 * @param application the name by which its sessions are known
 * @throws HeadgateError sql_failed (1) when it fails or takes too long; what `watched` throws when the lock is lost
 */
export async function runMigrator(
  { context, set }: PreparedMigrator,
  lock: Held & WatchedLock,
  application: string,
): Promise<void> {
  const { config, log, signal } = context;
  const environment = {
    ...context.environment(),
    PGAPPNAME: application,
    ...sessionOptions(context.environment(), lock, config.migratorLockTimeoutMs),
  };
  const started = performance.now();
  const lines: string[] = [];
  log.info({ phase: "migrator", command: set.command.join(" ") }, "started");
  const ending = await watched(lock, signal, (limit) =>
    runChild(
      {
        server: resolveMigrator(set, environment),
        directory: set.directory,
        environment,
        timeoutMs: config.migratorTimeoutMs,
        graceMs: config.stopGraceMs,
        onLine: (line, stream) => {
          lines.push(line);
          if (lines.length > 100) lines.splice(0, 50);
          log.info({ phase: "migrator", stream }, line);
        },
      },
      limit,
    ),
  );
  if (ending.exitCode !== 0) throw failed(set.command, ending, config.migratorTimeoutMs, lines);
  log.info({ phase: "migrator", ms: Math.round(performance.now() - started) }, "migrated");
}

/**
 * Settings for the migrator's sessions, by the variable that libpq and most drivers read. A pooler refuses connections
 * that bring any, so that behind one there are none.
 */
function sessionOptions(
  environment: Readonly<Record<string, string>>,
  { isPooled, settings }: Held,
  lockTimeoutMs: number | undefined,
): { PGOPTIONS?: string } {
  const check = settings["client_connection_check_interval"];
  const wanted = [
    ...(check === undefined ? [] : [`-c client_connection_check_interval=${check}`]),
    ...(lockTimeoutMs === undefined
      ? []
      : [`-c lock_timeout=${Number.isFinite(lockTimeoutMs) ? Math.ceil(lockTimeoutMs) : 0}`]),
  ];
  if (isPooled || wanted.length === 0) return {};
  const own = environment["PGOPTIONS"];
  return { PGOPTIONS: [...(own === undefined ? [] : [own]), ...wanted].join(" ") };
}

function failed(
  command: readonly string[],
  ending: Ending,
  timeoutMs: number,
  lines: readonly string[],
): HeadgateError {
  const name = `the migrator \`${command.join(" ")}\``;
  const isLate = ending.exitCode === undefined && ending.signalName === undefined;
  const what = isLate
    ? `${name} did not end within ${timeoutMs} ms and was stopped`
    : `${name} ended with ${describeEnding(ending)}`;
  const fix = isLate
    ? "raise --migrator-timeout if it is only slow"
    : "correct what it complains of in the lines above; then run again";
  const details = { phase: "migrator", migratorExitCode: ending.exitCode, ...excerptOf(lines) };
  return new HeadgateError("sql_failed", what, { fix, details });
}
