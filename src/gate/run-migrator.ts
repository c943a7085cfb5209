import { resolve } from "node:path";
import type { Config } from "../config.ts";
import { HeadgateError } from "../errors.ts";
import { type Ending, runChild } from "../migrator/child.ts";
import { inWords, readComplaint } from "../migrator/complaint.ts";
import { watched, type WatchedLock } from "../migrator/watch.ts";
import type { MigratorSet } from "../sets.ts";
import { describeEnding, excerptOf } from "./hooks.ts";
import { type PreparedMigrator, resolveMigrator } from "./prepare-sets.ts";
import type { Held } from "./take-lock.ts";
import { tellDatabase } from "./tell-database.ts";

/** A traceback of Python's, with what the tool printed before it. */
const mostLines = 400;

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
  const options = sessionOptions(lock, config.migratorLockTimeoutMs);
  const told = tellDatabase(context, set.variables, lock.session, {
    application,
    ...(options === undefined ? {} : { options }),
  });
  const pgOptions = [told["PGOPTIONS"], options].filter((text) => text !== undefined).join(" ");
  const environment = {
    ...{ ...told, PGAPPNAME: application },
    ...(pgOptions === "" ? {} : { PGOPTIONS: pgOptions }),
  };
  const started = performance.now();
  const lines: string[] = [];
  const database = set.variables.map(({ name, form }) => `${name}=${form}`);
  const facts = { command: set.command.join(" "), ...(database.length === 0 ? {} : { database }) };
  log.info({ phase: "migrator", ...facts }, "started");
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
          if (lines.length > mostLines) lines.splice(0, mostLines / 2);
          log.info({ phase: "migrator", stream }, line);
        },
      },
      limit,
    ),
  );
  if (ending.exitCode !== 0) throw failed(set, ending, config, lines);
  log.info({ phase: "migrator", ms: Math.round(performance.now() - started) }, "migrated");
}

/**
 * Settings for the migrator's sessions, by the variable that libpq and most drivers read. A pooler refuses connections
 * that bring any, so that behind one there are none.
 */
function sessionOptions(
  { isPooled, settings }: Held,
  lockTimeoutMs: number | undefined,
): string | undefined {
  const check = settings["client_connection_check_interval"];
  const wanted = [
    ...(check === undefined ? [] : [`-c client_connection_check_interval=${check}`]),
    ...(lockTimeoutMs === undefined
      ? []
      : [`-c lock_timeout=${Number.isFinite(lockTimeoutMs) ? Math.ceil(lockTimeoutMs) : 0}`]),
  ];
  return isPooled || wanted.length === 0 ? undefined : wanted.join(" ");
}

function failed(
  { command, preset, directory, variables }: MigratorSet,
  ending: Ending,
  { migratorTimeoutMs: timeoutMs, database }: Config,
  lines: readonly string[],
): HeadgateError {
  const name = `the migrator \`${command.join(" ")}\``;
  const isLate = ending.exitCode === undefined && ending.signalName === undefined;
  const complaint = readComplaint(preset, lines, resolve(directory));
  const how = isLate
    ? `did not end within ${timeoutMs} ms and was stopped`
    : `ended with ${describeEnding(ending)}`;
  const fix = isLate
    ? "raise --migrator-timeout if it is only slow"
    : `correct what it complains of${complaint.cause === undefined ? " in the lines above, or in Postgres' own log" : ""}; then run again`;
  // It may have found none, where headgate has been told in a way that is headgate's own.
  const isAlone =
    variables.length === 0 && Object.values(database.from).some((name) => name !== "DATABASE_URL");
  const hint = "; it has the container's own variables, --migrator-env tells it the database";
  const details = { phase: "migrator", migratorExitCode: ending.exitCode, ...complaint };
  return new HeadgateError("sql_failed", `${name} ${how}${inWords(complaint)}`, {
    fix: `${fix}${isAlone ? hint : ""}`,
    details: { ...details, ...excerptOf(lines) },
  });
}
