import type { Command } from "./cli.ts";
import { type DatabaseSource, findDatabase } from "./database-source.ts";
import { HeadgateError } from "./errors.ts";
import { readVariables, type Variable } from "./migrator/variables.ts";
import { splitCommand } from "./migrator/words.ts";
import { type CommandName, connecting } from "./options.ts";
import { readOptions } from "./read-options.ts";
import { type Approval } from "./requests/approval.ts";
import { type CheckRequest, needsNoDatabase, readCheck } from "./requests/check.ts";
import { unknownVariables } from "./unknown-variables.ts";
import { refuseOtherSets } from "./requests/given.ts";
import { readShell, type Shell } from "./requests/completion.ts";
import { type NewRequest, readNew } from "./requests/new.ts";
import { readOnFailure } from "./requests/on-failure.ts";
import { type PlanRequest, readPlan } from "./requests/plan.ts";
import { readResolution, type Resolution } from "./requests/resolve.ts";
import { readRepair, type RepairRequest } from "./requests/repair.ts";
import { readRollback, type RollbackRequest } from "./requests/rollback.ts";
import { readScratch, type ScratchRequest } from "./requests/scratch.ts";
import { readStamp, type StampRequest } from "./requests/stamp.ts";
import { type MigrationSet, setsOf, type SqlSet } from "./sets.ts";

/** Read by Node or Bun before any code of headgate; with BUN_BE_BUN only the bundled file lives to report it. */
const runtimeVariables = [
  "NODE_OPTIONS",
  "NODE_EXTRA_CA_CERTS",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "BUN_OPTIONS",
  "BUN_BE_BUN",
];

type Environment = { readonly [name: string]: string | undefined };

/** Everything a command needs to know, checked. Durations in milliseconds, Infinity = no limit. */
export type Config = {
  readonly command: CommandName;
  readonly server: readonly string[];
  readonly database: DatabaseSource;
  /** No database is needed; what is configured of one may be incomplete. */
  readonly isOffline: boolean;
  /** Reads secret files again; the same source when none is involved, or when they cannot be read now. */
  readonly rereadDatabase: () => DatabaseSource;
  /** At least one. */
  readonly sets: readonly MigrationSet[];
  /** Of the set of SQL files that a command works on. */
  readonly migrationsDir: string;
  /** One or two names: table, or schema and table. */
  readonly historyTable: readonly string[];
  /** Whether the same history in another schema is no reason to refuse. */
  readonly isNewHistory: boolean;
  readonly migratorTimeoutMs: number;
  /** Absent: whatever the server says. */
  readonly migratorLockTimeoutMs?: number;
  /** What a migrator or hook is given to end after SIGTERM. */
  readonly stopGraceMs: number;
  /** Commands to run around what is applied. */
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** The variables by which they are told the database. */
  readonly hookVariables: readonly Variable[];
  readonly notifyUrl?: string;
  /** Absent: no database may be filled and emptied. */
  readonly scratch?: ScratchRequest;
  readonly createDatabase: boolean;
  readonly waitTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly authGraceMs: number;
  readonly waitFor: readonly string[];
  readonly waitForTimeoutMs: number;
  readonly lockWaitMs: number;
  readonly statementTimeoutMs: number;
  readonly ddlLockBudgetMs: number;
  readonly showQueries: boolean;
  /** Absent: nobody's session is ended. */
  readonly cancelBlockersMs?: number;
  readonly failWhenAhead: boolean;
  /** Whether what a run has applied is undone when one of its files fails. */
  readonly undoOnFailure: boolean;
  readonly unsetEnv: readonly string[];
  readonly nofile?: number;
  readonly waitUntilApplied: boolean;
  readonly resolution?: Resolution;
  readonly rollback?: RollbackRequest;
  /** The one plan that may be carried out. */
  readonly approval?: Approval;
  readonly plan?: PlanRequest;
  readonly check?: CheckRequest;
  readonly stamp?: StampRequest;
  readonly repair?: RepairRequest;
  readonly create?: NewRequest;
  readonly shell?: Shell;
  /** What is otherwise only warned of is refused. */
  readonly isStrict: boolean;
  readonly json: boolean;
  readonly exitCode: boolean;
  readonly drift: boolean;
  readonly logFormat?: "json" | "text";
  readonly logLevel: "debug" | "info" | "warn" | "error";
  readonly terminationLog?: string;
  readonly summary?: string;
  /** Which flag or variable each value that is not a default came from. */
  readonly from: Readonly<Record<string, string>>;
  /** Variables that change the runtime under headgate, and the server's if it is of the same kind. */
  readonly runtimeVariables: readonly string[];
  /** What was ignored, for the log. */
  readonly remarks: readonly string[];
};

/**
 * Flag beats environment beats default. Pure but for the secret files.
 * @param command what was typed; its own mistakes are reported together with those found here
 * @param env the environment
 * @param secrets receives every password found, now and when files are read again
 * @throws HeadgateError usage (64) that lists every mistake
 */
export function readConfig(command: Command, env: Environment, secrets: Set<string>): Config {
  const verb = command.verb as CommandName;
  const mistakes = [...command.mistakes];
  const options = readOptions(command, env, mistakes);
  const { from, text, list, duration, isOn, choice, nameOf } = options;

  const flagUrl = command.flags.get("database-url")?.[0];
  const find = (): DatabaseSource => {
    const source = findDatabase(env, flagUrl);
    const { password, user, database: name, endpoints } = source.settings;
    // A password that is also a name on every line (postgres/postgres) is no secret, and hiding it hides the line.
    const isName = [user, name, ...endpoints.map(({ host }) => host)].includes(password ?? "");
    if (password !== undefined && !isName) secrets.add(password);
    return source;
  };
  const database = find();
  // A file may be looked at while it is being replaced: then what it said before still counts.
  let lastGood = database;
  const rereadDatabase = (): DatabaseSource => {
    if (!database.rereads) return database;
    const source = find();
    if (source.mistakes.length === 0) lastGood = source;
    return lastGood;
  };
  const scratch = readScratch(options, mistakes, secrets);
  const check = readCheck(verb, options, env, mistakes);
  const isOffline = !connecting.includes(verb) || needsNoDatabase(check, scratch);
  if (!isOffline) mistakes.push(...database.mistakes);

  // An image whose servers have a migrator may have SQL files to check all the same.
  const isOfFolder = verb === "check" && command.flags.has("migrations");
  const sets = setsOf(
    (name) => (isOfFolder && name.startsWith("migrator") ? undefined : options.given(name)),
    mistakes,
  );
  if (["rollback", "stamp", "repair", "new"].includes(verb))
    refuseOtherSets(verb, options, env, mistakes);
  const [sqlSet] = sets.filter(({ kind }) => kind === "sql") as SqlSet[];
  const hook = (name: "before" | "after"): Pick<Config, typeof name> => {
    const typed = text(name);
    if (typed === undefined) return {};
    const command = splitCommand(typed);
    if (typeof command === "string") mistakes.push(`${nameOf(name)}: ${command}`);
    return typeof command === "string" ? {} : { [name]: command };
  };
  const notifyUrl = text("notify-url");
  if (notifyUrl !== undefined) {
    // Who knows a webhook's address may post there.
    secrets.add(notifyUrl);
    if (!/^https?:\/\/./.test(notifyUrl) || !URL.canParse(notifyUrl)) {
      mistakes.push(`${nameOf("notify-url")} is not a URL that starts with https:// or http://`);
    }
  }
  const waitFor = list("wait-for");
  for (const target of waitFor) {
    if (!/^(tcp:.*\d+$|https?:\/\/.|file:.|socket:.)/.test(target)) {
      mistakes.push(
        `${nameOf("wait-for")}: "${target}" is not tcp:host:port, http(s)://…, file:PATH or socket:PATH`,
      );
    }
  }
  const nofile = text("nofile");
  if (nofile !== undefined && !/^[1-9]\d*$/.test(nofile)) {
    mistakes.push(`${nameOf("nofile")}: "${nofile}" is not a positive whole number`);
  }
  const hasMigrator = sets.some(({ kind }) => kind === "migrator");
  const logFormat = choice("log-format") as "json" | "text" | undefined;
  const [terminationLog, summary] = [text("termination-log"), text("summary")];
  const connectTimeout = duration("connect-timeout");

  const config: Config = Object.freeze({
    command: verb,
    server: command.server,
    database,
    isOffline,
    rereadDatabase,
    sets,
    migrationsDir: sqlSet?.migrationsDir ?? "migrations",
    historyTable: sqlSet?.historyTable ?? ["migrations"],
    isNewHistory: isOn("new-history"),
    migratorTimeoutMs: duration("migrator-timeout"),
    ...(text("migrator-lock-timeout") === undefined
      ? {}
      : { migratorLockTimeoutMs: duration("migrator-lock-timeout") }),
    stopGraceMs: duration("stop-grace"),
    ...hook("before"),
    ...hook("after"),
    hookVariables: readVariables(list("hook-env"), nameOf("hook-env"), mistakes),
    ...(notifyUrl === undefined ? {} : { notifyUrl }),
    ...scratch,
    ...readPlan(verb, options, env, mistakes),
    createDatabase: isOn("create-database"),
    waitTimeoutMs: duration("wait-timeout"),
    // libpq's connect_timeout counts unless headgate's own option says otherwise.
    connectTimeoutMs:
      from["connect-timeout"] === undefined
        ? (database.settings.connectTimeoutMs ?? connectTimeout)
        : connectTimeout,
    authGraceMs: duration("auth-grace"),
    waitFor,
    waitForTimeoutMs: duration("wait-for-timeout"),
    lockWaitMs: duration("lock-wait"),
    statementTimeoutMs: duration("statement-timeout"),
    ddlLockBudgetMs: duration("ddl-lock-budget"),
    showQueries: isOn("show-queries"),
    ...(text("cancel-blockers") === undefined
      ? {}
      : { cancelBlockersMs: duration("cancel-blockers") }),
    failWhenAhead: choice("on-ahead") === "fail",
    undoOnFailure: readOnFailure(choice("on-failure"), nameOf("on-failure"), hasMigrator, mistakes),
    unsetEnv: list("unset-env"),
    ...(nofile === undefined ? {} : { nofile: Number(nofile) }),
    waitUntilApplied: isOn("wait"),
    ...(verb === "resolve"
      ? {
          resolution: readResolution(
            command.operand,
            { isDone: isOn("done"), isRedo: isOn("redo") },
            mistakes,
          ),
        }
      : {}),
    ...(verb === "rollback" ? { rollback: readRollback(options, mistakes) } : {}),
    ...(verb === "stamp"
      ? { stamp: readStamp(command.operand, choice("from"), isOn("yes"), mistakes) }
      : {}),
    ...(verb === "repair" ? { repair: readRepair(command.operand, options, mistakes) } : {}),
    ...(verb === "new" ? { create: readNew(command.operand, mistakes) } : {}),
    ...(verb === "completion" ? { shell: readShell(command.operand, mistakes) } : {}),
    ...check,
    isStrict: isOn("strict"),
    json: isOn("json"),
    exitCode: isOn("exit-code"),
    drift: isOn("drift"),
    ...(logFormat === undefined ? {} : { logFormat }),
    logLevel: choice("log-level") as Config["logLevel"],
    ...(terminationLog === undefined ? {} : { terminationLog }),
    ...(summary === undefined ? {} : { summary }),
    from,
    runtimeVariables: runtimeVariables.filter((name) => (env[name] ?? "") !== ""),
    remarks: [...(isOffline ? [] : database.remarks), ...unknownVariables(env)],
  });

  if (mistakes.length > 0) {
    throw new HeadgateError("usage", "the configuration has mistakes; nothing was started", {
      problems: mistakes,
      fix: `correct them; \`headgate ${verb} --help\` lists the options`,
    });
  }
  return config;
}
