/**
 * Every option of headgate, declared once: flags, HEADGATE_* variables, `--help` and the table in the README
 * all come from here, so they cannot disagree.
 */
export const commandNames = ["run", "migrate", "wait", "verify", "status", "resolve"] as const;
export type CommandName = (typeof commandNames)[number];

/** What a command takes beside its options. */
export const operands: { readonly [name in CommandName]?: string } = { resolve: "STEP" };

export type Option = {
  readonly name: string;
  /** What follows the flag in help; absent for an on/off flag. */
  readonly value?: string;
  readonly kind: "text" | "duration" | "integer" | "switch" | "list" | "choice";
  readonly choices?: readonly string[];
  readonly default?: string;
  /** How the default reads in help when it is not a plain value. */
  readonly defaultNote?: string;
  /** Commands that take it; absent = all. */
  readonly commands?: readonly CommandName[];
  readonly help: string;
};

const applying = ["run", "migrate"] as const;
const reading = ["run", "migrate", "verify", "status"] as const;
const locking = ["run", "migrate", "resolve"] as const;

export const options: readonly Option[] = [
  {
    name: "database-url",
    value: "URL",
    kind: "text",
    defaultNote: "DATABASE_URL, DATABASE_*, PG*",
    help: "the database to migrate; prefer the variable, arguments are visible to other processes",
  },
  {
    name: "migrations",
    value: "DIR",
    kind: "text",
    default: "migrations",
    commands: reading,
    help: "the folder of SQL files",
  },
  {
    name: "history-table",
    value: "NAME",
    kind: "text",
    default: "migrations",
    commands: [...reading, "resolve"],
    help: "may be schema.table; created if absent",
  },
  {
    name: "create-database",
    kind: "switch",
    commands: applying,
    help: "create the database when it does not exist",
  },
  {
    name: "wait-timeout",
    value: "D",
    kind: "duration",
    default: "60s",
    help: "how long Postgres may take to become ready",
  },
  {
    name: "connect-timeout",
    value: "D",
    kind: "duration",
    default: "5s",
    help: "one connection attempt",
  },
  {
    name: "auth-grace",
    value: "D",
    kind: "duration",
    default: "20s",
    help: "how long a wrong password, missing role or missing database may be a start-up race",
  },
  {
    name: "wait-for",
    value: "TARGET",
    kind: "list",
    commands: ["run", "migrate", "wait"],
    help: "another dependency: tcp:host:port, http(s)://…, file:…, socket:…; repeatable",
  },
  {
    name: "wait-for-timeout",
    value: "D",
    kind: "duration",
    default: "60s",
    commands: ["run", "migrate", "wait"],
    help: "how long the other dependencies may take",
  },
  {
    name: "lock-wait",
    value: "D",
    kind: "duration",
    default: "10m",
    commands: [...locking, "verify"],
    help: "how long to wait for another replica that migrates",
  },
  {
    name: "ddl-lock-budget",
    value: "D",
    kind: "duration",
    default: "5m",
    commands: applying,
    help: "how long to retry for a table lock without stalling traffic",
  },
  {
    name: "cancel-blockers",
    value: "D",
    kind: "duration",
    defaultNote: "never",
    commands: applying,
    help: "end sessions that block a migration and have been idle in a transaction for longer than D",
  },
  {
    name: "show-queries",
    kind: "switch",
    commands: applying,
    help: "name the queries of blocking sessions in the log; they may hold secrets",
  },
  {
    name: "statement-timeout",
    value: "D",
    kind: "duration",
    default: "0",
    commands: applying,
    help: "limit of each statement of a migration; concurrent index builds have none",
  },
  {
    name: "on-ahead",
    value: "proceed|fail",
    kind: "choice",
    choices: ["proceed", "fail"],
    default: "proceed",
    commands: reading,
    help: "when the database has migrations this image does not know",
  },
  {
    name: "unset-env",
    value: "NAME",
    kind: "list",
    commands: ["run"],
    help: "removed from the server's environment; repeatable",
  },
  {
    name: "nofile",
    value: "N",
    kind: "integer",
    defaultNote: "restore",
    commands: ["run"],
    help: "soft limit of open files for the server",
  },
  {
    name: "wait",
    kind: "switch",
    commands: ["verify"],
    help: "block until every migration is applied, for at most --lock-wait",
  },
  {
    name: "done",
    kind: "switch",
    commands: ["resolve"],
    help: "the step took effect; the next run goes on behind it",
  },
  {
    name: "redo",
    kind: "switch",
    commands: ["resolve"],
    help: "the step took no effect, or may be run twice; the next run begins with it",
  },
  { name: "json", kind: "switch", commands: ["status"], help: "print the result as JSON" },
  {
    name: "exit-code",
    kind: "switch",
    commands: ["status"],
    help: "exit 3 when migrations are pending",
  },
  {
    name: "log-format",
    value: "json|text",
    kind: "choice",
    choices: ["json", "text"],
    defaultNote: "text on a terminal",
    help: "logs go to stderr; results go to stdout",
  },
  {
    name: "log-level",
    value: "LEVEL",
    kind: "choice",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
    help: "debug, info, warn or error",
  },
  {
    name: "termination-log",
    value: "FILE",
    kind: "text",
    defaultNote: "/dev/termination-log if writable",
    help: "short failure text for Kubernetes",
  },
];

/** The environment variable of an option: `lock-wait` → `HEADGATE_LOCK_WAIT`. */
export const variableOf = (name: string): string =>
  `HEADGATE_${name.toUpperCase().replaceAll("-", "_")}`;

/** The options one command takes. */
export const optionsOf = (command: CommandName): readonly Option[] =>
  options.filter((option) => option.commands === undefined || option.commands.includes(command));
