import type { Command } from "./cli.ts";
import { type DatabaseSource, findDatabase } from "./database-source.ts";
import { parseDuration } from "./duration.ts";
import { HeadgateError } from "./errors.ts";
import { splitCommand } from "./migrator/words.ts";
import { type CommandName, type Option, options, optionsOf, variableOf } from "./options.ts";
import type { Given } from "./requests/given.ts";
import { type PlanRequests, readPlan } from "./requests/plan.ts";
import { readScratch, type ScratchRequests } from "./requests/scratch.ts";
import { unknownVariables } from "./unknown-variables.ts";
import { type MigrationSet, setsOf, type SqlSet } from "./sets.ts";

/**
 * Read by Node or Bun before any of headgate's own code runs. With BUN_BE_BUN the executable is Bun itself, which
 * only the bundled file lives to report.
 */
const runtimeVariables = [
  "NODE_OPTIONS",
  "NODE_EXTRA_CA_CERTS",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "BUN_OPTIONS",
  "BUN_BE_BUN",
];

type Environment = { readonly [name: string]: string | undefined };

/** Everything a command needs to know, checked. Durations in milliseconds, Infinity = no limit. */
export type Config = PlanRequests &
  ScratchRequests & {
    readonly command: CommandName;
    readonly server: readonly string[];
    readonly database: DatabaseSource;
    /** Reads secret files again; the same source when none is involved, or when they cannot be read now. */
    readonly rereadDatabase: () => DatabaseSource;
    /** At least one. */
    readonly sets: readonly MigrationSet[];
    /** Of the set of SQL files that a command works on. */
    readonly migrationsDir: string;
    /** One or two names: table, or schema and table. */
    readonly historyTable: readonly string[];
    readonly migratorTimeoutMs: number;
    /** Absent: whatever the server says. */
    readonly migratorLockTimeoutMs?: number;
    /** What a migrator or hook is given to end after SIGTERM. */
    readonly stopGraceMs: number;
    /** Commands to run around what is applied. */
    readonly before?: readonly string[];
    readonly after?: readonly string[];
    readonly notifyUrl?: string;
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
    readonly unsetEnv: readonly string[];
    readonly nofile?: number;
    readonly waitUntilApplied: boolean;
    /** The step that `headgate resolve` is about, and what became of it. */
    readonly resolution?: {
      readonly migration: number;
      readonly step: number;
      readonly isDone: boolean;
    };
    readonly json: boolean;
    readonly exitCode: boolean;
    readonly logFormat?: "json" | "text";
    readonly logLevel: "debug" | "info" | "warn" | "error";
    readonly terminationLog?: string;
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
  const from: Record<string, string> = {};

  const textsOf = (option: Option): readonly string[] => {
    const typed = command.flags.get(option.name);
    if (typed !== undefined) {
      from[option.name] = `--${option.name}`;
      return typed;
    }
    const variable = variableOf(option.name);
    const value = env[variable];
    if (value === undefined || value === "" || !optionsOf(verb).includes(option)) {
      return option.default === undefined ? [] : [option.default];
    }
    from[option.name] = variable;
    return option.kind === "list" ? value.split(",").map((item) => item.trim()) : [value];
  };
  const named = (name: string): Option => options.find((option) => option.name === name) as Option;
  const nameOf = (option: Option): string => from[option.name] ?? `--${option.name}`;

  const text = (name: string): string | undefined => textsOf(named(name))[0];
  const list = (name: string): readonly string[] => textsOf(named(name));
  const duration = (name: string): number => {
    const [value = "0"] = textsOf(named(name));
    const ms = parseDuration(value);
    if (ms === undefined) {
      mistakes.push(
        `${nameOf(named(name))}: "${value}" is not a duration; write 500ms, 30s, 10m, 1h, or 0 for no limit`,
      );
    }
    return ms ?? 0;
  };
  const isOn = (name: string): boolean => {
    const value = text(name) ?? "false";
    if (/^(true|1|yes|on)$/i.test(value)) return true;
    if (!/^(false|0|no|off)$/i.test(value)) {
      mistakes.push(`${nameOf(named(name))}: "${value}" is neither true nor false`);
    }
    return false;
  };
  const choice = (name: string): string | undefined => {
    const value = text(name);
    const choices = named(name).choices ?? [];
    if (value === undefined || choices.includes(value)) return value;
    mistakes.push(`${nameOf(named(name))}: "${value}" is not one of ${choices.join(", ")}`);
    return choices[0];
  };

  const given: Given = { text, isOn, choice, nameOf: (name) => nameOf(named(name)) };

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
  mistakes.push(...database.mistakes);

  const sets = setsOf((name) => {
    const texts = textsOf(named(name));
    return from[name] === undefined ? undefined : { texts, from: from[name] };
  }, mistakes);
  const [sqlSet] = sets.filter(({ kind }) => kind === "sql") as SqlSet[];
  const hook = (name: "before" | "after"): Pick<Config, typeof name> => {
    const typed = text(name);
    if (typed === undefined) return {};
    const command = splitCommand(typed);
    if (typeof command === "string") mistakes.push(`${nameOf(named(name))}: ${command}`);
    return typeof command === "string" ? {} : { [name]: command };
  };
  const notifyUrl = text("notify-url");
  if (notifyUrl !== undefined) {
    // Who knows a webhook's address may post there.
    secrets.add(notifyUrl);
    if (!/^https?:\/\/./.test(notifyUrl) || !URL.canParse(notifyUrl)) {
      mistakes.push(
        `${nameOf(named("notify-url"))} is not a URL that starts with https:// or http://`,
      );
    }
  }
  const waitFor = list("wait-for");
  for (const target of waitFor) {
    if (!/^(tcp:.*\d+$|https?:\/\/.|file:.|socket:.)/.test(target)) {
      mistakes.push(
        `${nameOf(named("wait-for"))}: "${target}" is not tcp:host:port, http(s)://…, file:PATH or socket:PATH`,
      );
    }
  }
  const nofile = text("nofile");
  if (nofile !== undefined && !/^[1-9]\d*$/.test(nofile)) {
    mistakes.push(`${nameOf(named("nofile"))}: "${nofile}" is not a positive whole number`);
  }
  const readResolution = (): NonNullable<Config["resolution"]> => {
    const [, migration, step] = /^(\d+):(\d+)$/.exec(command.operand ?? "0:0") ?? [];
    if (step === undefined) {
      mistakes.push(
        `"${command.operand}" is not a step; write it as the failed run named it: 7:2 is step 2 of migration 7`,
      );
    }
    if (isOn("done") === isOn("redo")) mistakes.push("choose one of --done and --redo");
    return { migration: Number(migration), step: Number(step), isDone: isOn("done") };
  };
  const logFormat = choice("log-format") as "json" | "text" | undefined;
  const terminationLog = text("termination-log");
  const connectTimeout = duration("connect-timeout");

  const config: Config = Object.freeze({
    command: verb,
    server: command.server,
    database,
    rereadDatabase,
    sets,
    migrationsDir: sqlSet?.migrationsDir ?? "migrations",
    historyTable: sqlSet?.historyTable ?? ["migrations"],
    migratorTimeoutMs: duration("migrator-timeout"),
    ...(text("migrator-lock-timeout") === undefined
      ? {}
      : { migratorLockTimeoutMs: duration("migrator-lock-timeout") }),
    stopGraceMs: duration("stop-grace"),
    ...hook("before"),
    ...hook("after"),
    ...(notifyUrl === undefined ? {} : { notifyUrl }),
    ...readScratch(given, mistakes, secrets),
    ...readPlan(verb, given, env, mistakes),
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
    unsetEnv: list("unset-env"),
    ...(nofile === undefined ? {} : { nofile: Number(nofile) }),
    waitUntilApplied: isOn("wait"),
    ...(verb === "resolve" ? { resolution: readResolution() } : {}),
    json: isOn("json"),
    exitCode: isOn("exit-code"),
    ...(logFormat === undefined ? {} : { logFormat }),
    logLevel: choice("log-level") as Config["logLevel"],
    ...(terminationLog === undefined ? {} : { terminationLog }),
    from,
    runtimeVariables: runtimeVariables.filter((name) => (env[name] ?? "") !== ""),
    remarks: [...database.remarks, ...unknownVariables(env)],
  });

  if (mistakes.length > 0) {
    throw new HeadgateError("usage", "the configuration has mistakes; nothing was started", {
      problems: mistakes,
      fix: `correct them; \`headgate ${verb} --help\` lists the options`,
    });
  }
  return config;
}
