/**
 * Every way headgate can fail: one class, one table. The exit codes are a contract (README, "Exit codes"):
 * Kubernetes `podFailurePolicy` rules and deploy scripts are written against them.
 */
const failures = {
  sql_failed: { exitCode: 1, fix: "correct the migration and run again" },
  dangerous: {
    exitCode: 1,
    fix: "use the safer form that the plan shows, or allow the finding in the file with a reason",
  },
  pending: { exitCode: 3, fix: "run `headgate migrate`, or wait for the replica that does" },
  usage: { exitCode: 64, fix: "see `headgate --help`" },
  history_mismatch: {
    exitCode: 65,
    fix: "restore the files that were applied; change the schema with a new file",
  },
  not_ready: {
    exitCode: 69,
    fix: "check that the server runs and is reachable; raise --wait-timeout if it is only slow",
  },
  bug: { exitCode: 70, fix: "please report this with the log" },
  lock_timeout: {
    exitCode: 75,
    fix: "look at the holder; raise --lock-wait if its work is only slow",
  },
  refused: { exitCode: 77, fix: "check user, password, grants and pg_hba.conf" },
  not_executable: { exitCode: 126, fix: "make the server command executable in the image" },
  not_found: {
    exitCode: 127,
    fix: "check the spelling and PATH of the server command in the image",
  },
} as const;

export type FailureCode = keyof typeof failures;

/** A failure with its documented exit code and its remedy. */
export class HeadgateError extends Error {
  readonly code: FailureCode;
  readonly exitCode: number;
  readonly fix: string;
  /** Every mistake found, when there are several; each stands alone as a sentence. */
  readonly problems: readonly string[];
  /** Facts for the log line: file, line, SQLSTATE, holder … */
  readonly details: Readonly<Record<string, unknown>>;

  /**
   * @param code which row of the table
   * @param what one sentence: what was found and why it is refused
   * @param more `fix` replaces the table's remedy; `details` go to the log line
   */
  constructor(
    code: FailureCode,
    what: string,
    more: {
      fix?: string;
      problems?: readonly string[];
      details?: Record<string, unknown>;
      cause?: unknown;
    } = {},
  ) {
    super(what, more.cause === undefined ? {} : { cause: more.cause });
    this.name = "HeadgateError";
    this.code = code;
    this.exitCode = failures[code].exitCode;
    this.fix = more.fix ?? failures[code].fix;
    this.problems = more.problems ?? [];
    this.details = more.details ?? {};
  }
}

/** The signals that stop headgate, with their numbers. SIGQUIT is how images of php-fpm and nginx are stopped. */
export const stopSignals = { SIGTERM: 15, SIGINT: 2, SIGHUP: 1, SIGQUIT: 3 } as const;
export type StopSignal = keyof typeof stopSignals;
export const stopSignalNames = Object.keys(stopSignals) as readonly StopSignal[];

/** The reason an AbortSignal carries when a signal stopped headgate; not a failure of the work itself. */
export class Stopped extends Error {
  readonly signalName: StopSignal;
  readonly exitCode: number;

  constructor(signalName: StopSignal) {
    super(`stopped by ${signalName}`);
    this.name = "Stopped";
    this.signalName = signalName;
    // The shell's convention, which container runtimes follow: 128 + signal number.
    this.exitCode = 128 + stopSignals[signalName];
  }
}

/** An error's `code`: an errno name, or the SQLSTATE that the server sent; "" when it has none. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
