import { join, resolve } from "node:path";
import { HeadgateError } from "../errors.ts";
import type { Server } from "../handover/resolve.ts";
import type { Context } from "../look.ts";
import { detectMigrator } from "../migrator/detect.ts";
import { type Inputs, readInputs, UnusableInputs } from "../migrator/inputs.ts";
import type { RecordPlace } from "../migrator/records.ts";
import { type Migration, refuseMisfits, surveyFolder } from "../migrations/folder.ts";
import { toolHint } from "../migrations/unread.ts";
import type { Log } from "../report/log.ts";
import type { MigratorSet, SqlSet } from "../sets.ts";
import { resolveProgram } from "./hooks.ts";

/** A set whose files have been read, and the context to work on it in. */
export type PreparedSql = {
  readonly set: SqlSet;
  readonly context: Context;
  readonly migrations: readonly Migration[];
  /** Paths from the folder of what somebody may take for migrations, and is not read. */
  readonly unread: readonly string[];
};
export type PreparedMigrator = {
  readonly set: MigratorSet;
  readonly context: Context;
  readonly inputs?: Inputs;
  readonly place: RecordPlace;
};
export type Prepared = PreparedSql | PreparedMigrator;

export const isSql = (prepared: Prepared): prepared is PreparedSql => prepared.set.kind === "sql";

/**
 * Reads the files of every set, before anything is connected to.
 * @throws HeadgateError usage (64) or history_mismatch (65) that says what is wrong with every set
 */
export async function prepareSets(context: Context): Promise<readonly Prepared[]> {
  const { sets } = context.config;
  const prepared: Prepared[] = [];
  const failures: { readonly name: string | undefined; readonly error: HeadgateError }[] = [];
  for (const set of sets) {
    const own = contextOf(context, set);
    try {
      prepared.push(
        set.kind === "sql"
          ? { set, context: own, ...(await readSqlSet(set, context.config.isStrict)) }
          : prepareMigrator(set, own),
      );
    } catch (error) {
      if (!(error instanceof HeadgateError)) throw error;
      failures.push({ name: set.name, error });
    }
  }
  const [first] = failures;
  if (first === undefined) return prepared;
  if (sets.length === 1) throw first.error;
  throw new HeadgateError(first.error.code, "not all sets are usable; nothing was connected to", {
    problems: failures.flatMap(({ name, error }) => [
      `set "${name}": ${error.message}`,
      ...error.problems,
    ]),
    fix: first.error.fix,
  });
}

/** The context for one set: its folder and table, its name in every line of the log. */
function contextOf(context: Context, set: SqlSet | MigratorSet): Context {
  const { config, log } = context;
  const own =
    set.kind === "sql"
      ? { migrationsDir: set.migrationsDir, historyTable: set.historyTable }
      : { historyTable: set.historyTable };
  return {
    ...context,
    config: { ...config, ...own },
    log: set.name === undefined ? log : withFact(log, { set: set.name }),
  };
}

function withFact(log: Log, fact: object): Log {
  return {
    debug: (facts, event) => log.debug({ ...fact, ...facts }, event),
    info: (facts, event) => log.info({ ...fact, ...facts }, event),
    warn: (facts, event) => log.warn({ ...fact, ...facts }, event),
    error: (facts, event) => log.error({ ...fact, ...facts }, event),
  };
}

/** Where there are no SQL files, another tool's may be: that is said, and never acted on. */
async function readSqlSet(
  { migrationsDir }: SqlSet,
  isStrict: boolean,
): Promise<Pick<PreparedSql, "migrations" | "unread">> {
  try {
    const { migrations, misfits, unread } = await surveyFolder(migrationsDir);
    refuseMisfits(migrationsDir, misfits);
    if (isStrict) refuseUnread(migrationsDir, unread);
    return { migrations, unread };
  } catch (error) {
    if (!(error instanceof HeadgateError)) throw error;
    const { code, message, problems, details, cause } = error;
    const hint = hintOf(migrationsDir);
    if (hint === undefined || problems.some((problem) => problem.includes("--migrator"))) {
      throw error;
    }
    const fix = `${error.fix}; ${hint}`;
    throw new HeadgateError(code, message, { problems, fix, details, cause });
  }
}

function hintOf(migrationsDir: string): string | undefined {
  const tool = detectMigrator(".");
  const ofFolder = toolHint(migrationsDir);
  if (ofFolder !== undefined || tool === undefined) return ofFolder;
  return `this looks like ${tool}: is --migrator ${tool} meant?`;
}

function refuseUnread(folder: string, unread: readonly string[]): void {
  if (unread.length === 0) return;
  throw new HeadgateError(
    "history_mismatch",
    `the migrations folder ${folder} holds what may be migrations and is not read (--strict); nothing was connected to`,
    {
      problems: unread.map((path) => join(folder, path)),
      fix: "move them up into the folder as N_name.sql, or out of it",
    },
  );
}

function prepareMigrator(set: MigratorSet, context: Context): PreparedMigrator {
  const { state, historyTable: table } = set;
  const inputs = readInputsOf(set, context);
  const isLocal = context.config.database.settings.endpoints.some(({ host }) =>
    host.startsWith("/"),
  );
  const java = set.variables.find(({ form }) => form === "jdbc");
  if (isLocal && java !== undefined) {
    throw new HeadgateError("usage", `${java.name}: a tool that uses JDBC reaches no unix socket`, {
      fix: "name the database by a host, or the variables that the tool shall have with --migrator-env",
    });
  }
  // Services that share a database and a table of records have tables of their own for their migrators.
  const name = set.name ?? (state.map((names) => names.join(".")).join(" ") || "migrator");
  // Alembic's table has no row for each migration, but points at one.
  const pointer = inputs?.revisions === undefined ? {} : { pointer: "version_num" };
  return {
    ...{ set, context, place: { table, name, state, ...pointer } },
    ...(inputs === undefined ? {} : { inputs }),
  };
}

function readInputsOf(
  { command, directory, inputs: patterns, preset, layout }: MigratorSet,
  context: Context,
): Inputs | undefined {
  if (patterns.length === 0) return undefined;
  try {
    return readInputs({
      ...{ command, directory, patterns, environment: context.environment() },
      ...(preset === undefined ? {} : { preset }),
      ...(layout === undefined ? {} : { layout }),
    });
  } catch (error) {
    if (!(error instanceof UnusableInputs)) throw error;
    throw new HeadgateError("usage", error.message, { fix: error.fix, cause: error });
  }
}

/**
 * Finds the programs that may have to be run, before anything is connected to.
 * @throws HeadgateError usage (64) that lists every one that cannot be
 */
export function resolvePrograms(context: Context): void {
  const { sets, before, after } = context.config;
  const wanted = [
    ...sets.flatMap((set) =>
      set.kind === "migrator" ? [() => resolveMigrator(set, context.environment())] : [],
    ),
    ...(["before", "after"] as const).map((name) => () => {
      const command = { before, after }[name];
      if (command !== undefined)
        resolveProgram(command, context.environment()["PATH"], `--${name} command`);
    }),
  ];
  const problems: string[] = [];
  let fix: string | undefined;
  for (const find of wanted) {
    try {
      find();
    } catch (error) {
      if (!(error instanceof HeadgateError)) throw error;
      problems.push(error.message);
      fix ??= error.fix;
    }
  }
  const [first] = problems;
  if (first === undefined) return;
  throw new HeadgateError("usage", problems.length === 1 ? first : "programs cannot be run", {
    ...(fix === undefined ? {} : { fix }),
    ...(problems.length === 1 ? {} : { problems }),
  });
}

/** The migrator as it will be run: a path is one from its own directory. */
export function resolveMigrator(
  { command: [typed = "", ...rest], directory }: MigratorSet,
  environment: Readonly<Record<string, string>>,
): Server {
  const file = typed.includes("/") ? resolve(directory, typed) : typed;
  return resolveProgram([file, ...rest], environment["PATH"], "migrator");
}
