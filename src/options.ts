import { toolNames } from "./adopt/tools.ts";

/**
 * Every option of headgate, declared once: flags, HEADGATE_* variables, `--help` and the table in the README
 * all come from here, so they cannot disagree.
 */
export const commandNames = [
  "run",
  "migrate",
  "wait",
  "verify",
  "status",
  "plan",
  "check",
  "resolve",
  "rollback",
  "stamp",
  "repair",
  "new",
  "completion",
] as const;
export type CommandName = (typeof commandNames)[number];

/** What a command takes beside its options; in brackets when it may be left out. */
export const operands: { readonly [name in CommandName]?: string } = {
  resolve: "STEP",
  stamp: "[ID]",
  repair: "ID",
  new: "NAME",
  completion: "SHELL",
};

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
  /** Only named in the one screen of `headgate --help`. */
  readonly isSpecial?: true;
};

/** Those that need a database. */
export const connecting: readonly CommandName[] = commandNames.filter(
  (name) => name !== "new" && name !== "completion",
);
const logging = commandNames.filter((name) => name !== "completion");
const applying = ["run", "migrate"] as const;
/** Those that run SQL of the user's. */
const changing = [...applying, "rollback"] as const;
const reading = ["run", "migrate", "verify", "status", "plan"] as const;
const locking = [...changing, "resolve", "stamp", "repair"] as const;
/** Those that tell a migrator from SQL files. */
const telling = [...reading, "check"] as const;
const scratching: readonly CommandName[] = ["plan", "check"];

export const options: readonly Option[] = [
  {
    name: "database-url",
    value: "URL",
    kind: "text",
    defaultNote: "DATABASE_URL, DATABASE_*, PG*",
    commands: connecting,
    help: "the database to migrate; prefer the variable, arguments are visible to other processes",
  },
  {
    name: "migrations",
    value: "DIR",
    kind: "text",
    default: "migrations",
    commands: [...reading, "rollback", "stamp", "repair", "new", "check"],
    help: "the folder of SQL files",
  },
  {
    name: "history-table",
    value: "NAME",
    kind: "text",
    default: "migrations",
    commands: [...reading, "resolve", "rollback", "stamp", "repair", "check"],
    help: "may be schema.table; created if absent",
  },
  {
    name: "new-history",
    kind: "switch",
    commands: [...reading, "stamp"],
    help: "begin a history here, although another schema of the database has one of the same files",
    isSpecial: true,
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
    commands: connecting,
    help: "how long Postgres may take to become ready",
  },
  {
    name: "connect-timeout",
    value: "D",
    kind: "duration",
    default: "5s",
    commands: connecting,
    help: "one connection attempt",
    isSpecial: true,
  },
  {
    name: "auth-grace",
    value: "D",
    kind: "duration",
    default: "20s",
    commands: connecting,
    help: "how long a wrong password, missing role or missing database may be a start-up race",
    isSpecial: true,
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
    isSpecial: true,
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
    commands: changing,
    help: "how long to retry for a table lock without stalling traffic",
  },
  {
    name: "cancel-blockers",
    value: "D",
    kind: "duration",
    defaultNote: "never",
    commands: changing,
    help: "end sessions that block a migration and have been idle in a transaction for longer than D",
    isSpecial: true,
  },
  {
    name: "show-queries",
    kind: "switch",
    commands: changing,
    help: "name the queries of blocking sessions in the log; they may hold secrets",
    isSpecial: true,
  },
  {
    name: "statement-timeout",
    value: "D",
    kind: "duration",
    default: "0",
    commands: changing,
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
    name: "on-failure",
    value: "stop|rollback",
    kind: "choice",
    choices: ["stop", "rollback"],
    default: "stop",
    commands: applying,
    help: "when a file fails: keep what this run has applied before it, or undo it from undo files",
    isSpecial: true,
  },
  {
    name: "migrator",
    value: "COMMAND",
    kind: "text",
    commands: telling,
    help: "run this instead of SQL files: a command, or a preset such as alembic, knex or prisma",
  },
  {
    name: "migrator-inputs",
    value: "GLOB",
    kind: "list",
    commands: telling,
    help: "files that decide what the migrator does; repeatable",
    isSpecial: true,
  },
  {
    name: "migrator-state",
    value: "TABLE",
    kind: "list",
    commands: telling,
    help: "the migrator's own table; while it and the files are as recorded, nothing is run; repeatable",
    isSpecial: true,
  },
  {
    name: "migrator-dir",
    value: "DIR",
    kind: "text",
    default: ".",
    commands: telling,
    help: "the migrator's working directory; its globs start here",
    isSpecial: true,
  },
  {
    name: "migrator-env",
    value: "NAME[=FORM]",
    kind: "list",
    defaultNote: "the preset's",
    commands: applying,
    help: "a variable that tells the migrator the database, as url, psycopg, pg, jdbc, parts, host …; repeatable",
    isSpecial: true,
  },
  {
    name: "migrator-timeout",
    value: "D",
    kind: "duration",
    default: "0",
    commands: applying,
    help: "limit of the migrator's whole run",
    isSpecial: true,
  },
  {
    name: "migrator-lock-timeout",
    value: "D",
    kind: "duration",
    defaultNote: "the server's",
    commands: applying,
    help: "lock_timeout of the migrator's sessions",
    isSpecial: true,
  },
  {
    name: "stop-grace",
    value: "D",
    kind: "duration",
    default: "2s",
    commands: applying,
    help: "how long a migrator or hook may live after SIGTERM",
    isSpecial: true,
  },
  {
    name: "before",
    value: "COMMAND",
    kind: "text",
    commands: applying,
    help: "run before anything pending is applied, such as a backup; the plan is its input",
    isSpecial: true,
  },
  {
    name: "after",
    value: "COMMAND",
    kind: "text",
    commands: [...applying, "verify"],
    help: "run when all of it is applied, such as a check; until it succeeds no server starts",
    isSpecial: true,
  },
  {
    name: "hook-env",
    value: "NAME[=FORM]",
    kind: "list",
    commands: applying,
    help: "a variable that tells --before and --after the database, as for --migrator-env; repeatable",
    isSpecial: true,
  },
  {
    name: "notify-url",
    value: "URL",
    kind: "text",
    commands: applying,
    help: "a webhook as Slack takes it, told of the start, success and failure of migrating",
    isSpecial: true,
  },
  {
    name: "sets",
    value: "FILE|JSON",
    kind: "text",
    commands: [...reading, "check"],
    help: "several named sets of migrations, brought up to date one after the other",
    isSpecial: true,
  },
  {
    name: "scratch-url",
    value: "URL",
    kind: "text",
    commands: scratching,
    help: "an empty database to try things out in; it is left empty",
    isSpecial: true,
  },
  {
    name: "scratch-create",
    kind: "switch",
    commands: scratching,
    help: "create such a database beside the one to migrate, and drop it at the end",
    isSpecial: true,
  },
  {
    name: "plan",
    value: "FILE",
    kind: "text",
    commands: applying,
    help: "apply exactly what `headgate plan --out` wrote to FILE, or nothing",
    isSpecial: true,
  },
  {
    name: "out",
    value: "FILE",
    kind: "text",
    commands: ["plan"],
    help: "keep the plan for approval; `migrate --plan FILE` carries out nothing else",
    isSpecial: true,
  },
  {
    name: "fail-on",
    value: "LEVEL",
    kind: "choice",
    choices: ["rewrite", "scan", "blocking"],
    commands: ["plan"],
    help: "exit 1 for a finding of this level: rewrite, scan (any long work that blocks) or blocking",
    isSpecial: true,
  },
  {
    name: "markdown",
    kind: "switch",
    commands: ["plan"],
    help: "print the result as Markdown, for a pull request",
    isSpecial: true,
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
    isSpecial: true,
  },
  {
    name: "base",
    value: "REF",
    kind: "text",
    commands: ["check"],
    help: "compare with this branch, tag or commit: what was merged must not change",
    isSpecial: true,
  },
  {
    name: "roundtrip",
    kind: "switch",
    commands: ["check"],
    help: "apply, undo and apply all files on a scratch database, and compare the schemas",
    isSpecial: true,
  },
  {
    name: "strict",
    kind: "switch",
    commands: [...reading, "check"],
    help: "refuse SQL in folders that are not read, which is only warned of; in check, every warning counts",
    isSpecial: true,
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
    isSpecial: true,
  },
  {
    name: "redo",
    kind: "switch",
    commands: ["resolve"],
    help: "the step took no effect, or may be run twice; the next run begins with it",
    isSpecial: true,
  },
  {
    name: "steps",
    value: "N",
    kind: "integer",
    defaultNote: "1",
    commands: ["rollback"],
    help: "how many migrations to undo",
    isSpecial: true,
  },
  {
    name: "to",
    value: "ID",
    kind: "integer",
    commands: ["rollback"],
    help: "undo every migration after this one; 0 undoes all",
    isSpecial: true,
  },
  {
    name: "from",
    value: "TOOL",
    kind: "choice",
    choices: toolNames,
    commands: ["stamp"],
    help: `adopt the history of ${toolNames.join(", ")}`,
    isSpecial: true,
  },
  {
    name: "accept",
    kind: "switch",
    commands: ["repair"],
    help: "the database has what the file says now; its checksum replaces the one in the history",
    isSpecial: true,
  },
  {
    name: "forget",
    kind: "switch",
    commands: ["repair"],
    help: "remove the newest row of the history; what its migration did stays in the database",
    isSpecial: true,
  },
  {
    name: "reason",
    value: "TEXT",
    kind: "text",
    commands: ["repair"],
    help: "why; kept in the journal",
    isSpecial: true,
  },
  {
    name: "yes",
    kind: "switch",
    commands: ["stamp", "repair"],
    help: "write what is shown",
    isSpecial: true,
  },
  {
    name: "json",
    kind: "switch",
    commands: ["status", "plan", "check"],
    help: "print the result as JSON",
    isSpecial: true,
  },
  {
    name: "drift",
    kind: "switch",
    commands: ["status"],
    help: "compare the schema with what it was after the last run, and name what differs",
    isSpecial: true,
  },
  {
    name: "exit-code",
    kind: "switch",
    commands: ["status"],
    help: "exit 3 when migrations are pending",
    isSpecial: true,
  },
  {
    name: "log-format",
    value: "json|text",
    kind: "choice",
    choices: ["json", "text"],
    defaultNote: "text on a terminal",
    commands: logging,
    help: "logs go to stderr; results go to stdout",
  },
  {
    name: "log-level",
    value: "LEVEL",
    kind: "choice",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
    commands: logging,
    help: "debug, info, warn or error",
  },
  {
    name: "summary",
    value: "FILE",
    kind: "text",
    commands: logging,
    help: "add a report in Markdown to this file, such as $GITHUB_STEP_SUMMARY",
    isSpecial: true,
  },
  {
    name: "termination-log",
    value: "FILE",
    kind: "text",
    defaultNote: "/dev/termination-log if writable",
    commands: logging,
    help: "short failure text for Kubernetes",
    isSpecial: true,
  },
];

/** The environment variable of an option: `lock-wait` → `HEADGATE_LOCK_WAIT`. */
export const variableOf = (name: string): string =>
  `HEADGATE_${name.toUpperCase().replaceAll("-", "_")}`;

/** The options one command takes. */
export const optionsOf = (command: CommandName): readonly Option[] =>
  options.filter((option) => option.commands === undefined || option.commands.includes(command));
