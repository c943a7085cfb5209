import { refuseHalfUndone } from "../apply/half-undone.ts";
import { readPending } from "../apply/refuse.ts";
import { readSteps } from "../apply/step-table.ts";
import { copySchema } from "../copy/copy-schema.ts";
import { isInvalid } from "../copy/objects.ts";
import { elsewhereOf, warnOfUnreadTables } from "../gate/elsewhere.ts";
import {
  isSql,
  type Prepared,
  type PreparedMigrator,
  type PreparedSql,
} from "../gate/prepare-sets.ts";
import { judgeOf, refusalOfAhead } from "../gate/verdict.ts";
import { type Context, lookWhenReady } from "../look.ts";
import { builtIn, type History, locateHistory, lookAtHistory } from "../migrations/history.ts";
import { planMigrations, refuseUnlessSound } from "../migrations/plan.ts";
import { lookAtRuns, stateNow } from "../migrator/records.ts";
import { quoteLiteral } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { placeFlags } from "../sets.ts";
import { withScratch } from "../scratch/with-scratch.ts";
import { version } from "../version.ts";
import type { FilePlan, MigratorPlan, PlanReport, SetPlan } from "./report.ts";
import { describeFile, type Finder, finderOf } from "./describe-file.ts";
import { readSizes } from "./sizes.ts";
import { takeSnapshot } from "./snapshot.ts";
import { readFromText } from "./from-text.ts";
import { type Traced, type Tracer, traceFile } from "./trace.ts";

/** A set with what is to be applied of it. */
type Due = {
  readonly prepared: PreparedSql;
  readonly history: History;
  readonly files: readonly DueFile[];
};
type DueFile = ReturnType<typeof readPending>[number] & {
  /** How many of its steps are done already. */
  readonly done: number;
};

/** What the copy must agree in with the target, so that a statement means the same: among them what tells a rewrite. */
const meaningful = [
  ...["search_path", "TimeZone", "DateStyle", "IntervalStyle", "bytea_output"],
  ...["standard_conforming_strings", "default_table_access_method", "default_toast_compression"],
];

/**
 * Finds out what `migrate` would do, without doing it.
 * @throws HeadgateError what `migrate` would refuse beforehand; what `withScratch` throws
 */
export async function makePlan(context: Context, sets: readonly Prepared[]): Promise<PlanReport> {
  const { config } = context;
  const { session, answer } = await lookWhenReady(context, { mustWrite: false });
  try {
    const dues: Due[] = [];
    const migrators = new Map<Prepared, MigratorPlan>();
    for (const prepared of sets) {
      if (isSql(prepared)) dues.push(await findDue(prepared, session));
      else migrators.set(prepared, await lookAtMigrator(prepared, session));
    }
    const finder = finderOf(await readSizes(session, context.signal), answer.facts.serverVersion);
    const isTraced = config.scratch !== undefined && dues.some(({ files }) => files.length > 0);
    const notes: string[] = [];
    const traces = isTraced
      ? await traceAll(context, session, dues, finder, notes)
      : await readAll(context, session, dues, finder);
    if (config.scratch === undefined && dues.length > 0) {
      notes.push(
        "read from the text only, because there is no scratch database (--scratch-url, --scratch-create): which statements rewrite or scan a table is not known",
      );
    }
    return {
      version: 1,
      headgate: version,
      database: config.database.settings.database,
      analysis: config.scratch === undefined ? "syntax" : "traced",
      notes: [...notes, ...[...migrators].flatMap(noteOnMigrator)],
      sets: sets.map((prepared) => {
        const due = dues.find((each) => each.prepared === prepared);
        return toSetPlan(prepared, migrators.get(prepared) ?? null, due, (file) => {
          const { names, traced } = traces.get(file) ?? { names: finder.names, traced: [] };
          return describeFile(file, traced, { ...finder, names });
        });
      }),
    };
  } finally {
    session.end();
  }
}

async function findDue(prepared: PreparedSql, session: Session): Promise<Due> {
  const { config, log, signal } = prepared.context;
  const { history } = await lookAtHistory(session, config.historyTable, signal);
  const plan = planMigrations(prepared.migrations, history);
  refuseUnlessSound(plan, config.failWhenAhead, placeFlags(config));
  const elsewhere = await elsewhereOf(
    prepared.context,
    session,
    prepared.migrations,
    history,
    signal,
  );
  if (elsewhere.refusal !== undefined) throw elsewhere.refusal;
  warnOfUnreadTables(log, elsewhere);
  const place = await locateHistory(session, config.historyTable, signal);
  const rows = (place && (await readSteps(session, place, signal))) ?? [];
  refuseHalfUndone(plan.pending, rows);
  const files = readPending(plan.pending, false).map((file) => ({
    ...file,
    done: rows.filter(({ migration, state }) => migration === file.migration.id && state === "done")
      .length,
  }));
  return { prepared, history, files };
}

async function lookAtMigrator(prepared: PreparedMigrator, session: Session): Promise<MigratorPlan> {
  const { context, set, place, inputs } = prepared;
  const look = await lookAtRuns(session, place, context.signal);
  const verdict = judgeOf(prepared, look);
  const refusal = refusalOfAhead(verdict, context.config.failWhenAhead);
  if (refusal !== undefined) throw refusal;
  return {
    command: set.command.join(" "),
    fingerprint: inputs?.fingerprint ?? null,
    state: stateNow(look),
    due: verdict.kind === "due" ? verdict.why : null,
  };
}

type Trace = { readonly names: Finder["names"]; readonly traced: readonly Traced[] };

/** Runs all files, in their order, on a copy. */
async function traceAll(
  context: Context,
  target: Session,
  dues: readonly Due[],
  { nameOf }: Finder,
  notes: string[],
): Promise<Map<DueFile, Trace>> {
  const { signal, log } = context;
  const prepare = await readSettings(target, signal);
  return withScratch(context, target, async (session) => {
    const started = performance.now();
    const notCopied = await copySchema(target, session, signal);
    const { relations: base } = await takeSnapshot(session, signal);
    const ms = Math.round(performance.now() - started);
    log.info({ phase: "scratch", relations: base.size, ms }, "copied the schema");
    notes.push(
      ...notCopied.map(({ kind, name, why }) => `not in the copy: ${kind} ${name} (${why})`),
    );
    const names: Finder["names"] = (oid) => {
      const { schema = "", name = String(oid), kind = "r", indexOf } = base.get(oid) ?? {};
      const named = nameOf({ schema, name, kind });
      return typeof indexOf === "number" ? { ...named, table: indexOf } : named;
    };
    const invalid = notCopied.filter(({ why }) => why === isInvalid).map(({ name }) => name);
    const tracer: Tracer = { session, base, invalid: new Set(invalid), prepare, signal };
    const traces = new Map<DueFile, Trace>();
    for (const file of dues.flatMap(({ files }) => files)) {
      traces.set(file, { names, traced: await traceFile(tracer, file, file.done) });
    }
    return traces;
  });
}

async function readAll(
  { signal }: Context,
  target: Session,
  dues: readonly Due[],
  finder: Finder,
): Promise<Map<DueFile, Trace>> {
  const traces = new Map<DueFile, Trace>();
  for (const file of dues.flatMap(({ files }) => files)) {
    traces.set(file, await readFromText(target, file, file.done, finder, signal));
  }
  return traces;
}

async function readSettings(target: Session, signal: AbortSignal): Promise<string> {
  const [result] = await target.query(
    `select name, setting from pg_catalog.pg_settings where name in (${meaningful.map(quoteLiteral).join(", ")})`,
    signal,
  );
  return (result?.rows ?? [])
    .map(
      ({ name, setting }) =>
        `select pg_catalog.set_config(${quoteLiteral(String(name))}, ${quoteLiteral(String(setting))}, false)`,
    )
    .join("; ");
}

function toSetPlan(
  { set }: Prepared,
  migrator: MigratorPlan | null,
  due: Due | undefined,
  describe: (file: DueFile) => FilePlan,
): SetPlan {
  return {
    name: set.name ?? null,
    historyTable: set.historyTable.join("."),
    migrator,
    applied: (due?.history.rows ?? [])
      .filter(({ id }) => id !== builtIn.id)
      .map(({ id, name, hash }) => ({ id, name, checksum: hash })),
    pending: (due?.files ?? []).map(describe),
  };
}

function noteOnMigrator([{ set }, { command, due }]: readonly [Prepared, MigratorPlan]): string[] {
  if (due === null) return [];
  const subject = set.name === undefined ? "" : `set "${set.name}": `;
  return [`${subject}\`${command}\` is another program; what it would do is not known`];
}
