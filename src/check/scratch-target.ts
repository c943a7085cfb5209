import { hostname } from "node:os";
import { createSchema, prepareHistory } from "../apply/prepare-history.ts";
import { type Readable, readPending, readUndos } from "../apply/refuse.ts";
import { runFiles } from "../apply/run-files.ts";
import type { Target } from "../apply/target.ts";
import { HeadgateError } from "../errors.ts";
import { readSchema, type SchemaObject } from "../fingerprint/schema.ts";
import { ownTables } from "../gate/own-tables.ts";
import type { Context } from "../look.ts";
import type { Migration } from "../migrations/folder.ts";
import { locateHistory } from "../migrations/history.ts";
import { nameApplication } from "../postgres/application-name.ts";
import { askFacts } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { migrationSettings, setForSession } from "../postgres/session-settings.ts";

/** A set's place in a scratch database. */
export type ScratchTarget = {
  /** Applies one file, in the manner of `headgate migrate`. */
  readonly apply: (migration: Migration) => Promise<void>;
  /** Undoes a migration with its undo file, in the same manner. */
  readonly undo: (migration: Migration, undoFile: Migration) => Promise<void>;
};

/**
 * Makes a history table in a scratch database, for one set of migrations.
 * @throws HeadgateError refused (77) without the rights
 */
export async function prepareTarget(
  { config, log, signal }: Context,
  session: Session,
  names: readonly string[],
): Promise<ScratchTarget> {
  const { scratch, database } = config;
  const { searchPath } = scratch?.kind === "named" ? scratch.settings : database.settings;
  const located = await locateHistory(session, names, signal);
  const historyTable = located ?? (await inNewSchema(session, names, searchPath, signal));
  if (historyTable === undefined) {
    throw new HeadgateError("refused", "the scratch database has no schema to work in", {
      fix: "create the schema public in it, or name one with --history-table schema.table",
    });
  }
  const facts = await askFacts(session, signal);
  const wanted = migrationSettings(facts, config.statementTimeoutMs);
  const target: Target = {
    session,
    isPooled: false,
    historyTable,
    hasJournal: false,
    ownTables: ownTables(config.sets),
    // Nobody else is in a scratch database.
    lockIsHeld: "true",
    findLoss: () => Promise.reject(new Error("a scratch database has no lock")),
    settings: await setForSession(session, wanted, signal),
    applicationName: ({ fileName }) => nameApplication(hostname(), fileName),
    lockManners: { budgetMs: config.ddlLockBudgetMs, showQueries: config.showQueries },
    openObserver: () => Promise.reject(new Error("a scratch database has no rows to wait for")),
    // Each file is applied up to twice, and that is no news.
    log: { ...log, info: log.debug },
  };
  await prepareHistory(target, { exists: false, rows: [] }, signal);
  const run = async (files: readonly Readable[], past: "applied" | "undone"): Promise<void> => {
    const phase = past === "applied" ? "migrate" : "rollback";
    await runFiles(target, files, { phase, past }, () => Promise.resolve(target), ignore, signal);
  };
  return {
    apply: (migration) => run(readPending([migration], false), "applied"),
    undo: ({ id, name, checksum: hash }, undoFile) => {
      const undoes = { id, name, hash, executedAt: null };
      return run(readUndos([{ ...undoFile, undoes }], false), "undone");
    },
  };
}

/** The schema that a URL names is in the database to migrate, but a scratch database has only what files make. */
async function inNewSchema(
  session: Session,
  [table = ""]: readonly string[],
  searchPath: string | undefined,
  signal: AbortSignal,
): Promise<readonly [schema: string, table: string] | undefined> {
  const [, quoted, plain] = /^(?:"((?:[^"]|"")+)"|([^\s",$]+))/.exec(searchPath ?? "") ?? [];
  const schema = quoted?.replaceAll('""', '"') ?? plain?.toLowerCase();
  if (schema === undefined || schema === "$user") return undefined;
  await createSchema(session, schema, signal);
  return [schema, table];
}

const ignore = (): void => undefined;

/** Reads the schema without headgate's own tables. */
export function readScratch(
  session: Session,
  { config, signal }: Context,
): Promise<readonly SchemaObject[]> {
  return readSchema(session, ownTables(config.sets), signal);
}
