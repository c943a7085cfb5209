import { HeadgateError } from "../errors.ts";
import { askWhenReady, type Context, lookWhenReady, type Need } from "../look.ts";
import { listNames, planMigrations, refusalOf } from "../migrations/plan.ts";
import { lookAtRuns } from "../migrator/records.ts";
import { isUnchecked } from "./after-check.ts";
import { elsewhereOf } from "./elsewhere.ts";
import { placeFlags } from "../sets.ts";
import { isSql, type Prepared, type PreparedMigrator, type PreparedSql } from "./prepare-sets.ts";
import { describeAhead, judgeOf, refusalOfAhead } from "./verdict.ts";

/** How far one set is, as `verify` and /health tell it. */
export type SetState = {
  readonly name?: string;
  /** The names of files; of a migrator, why it has to run. */
  readonly pending: readonly string[];
  /** What makes it impossible to go on. */
  readonly refusal?: HeadgateError;
  /** Something newer is applied, and that is no problem. */
  readonly ahead?: string;
  /** In words. */
  readonly summary: string;
};

/** Looks at one set after the other, each on a connection of its own. Reads only. */
export async function lookAtSets(
  sets: readonly Prepared[],
  patience: Omit<Need, "mustWrite">,
): Promise<readonly SetState[]> {
  const states: SetState[] = [];
  const need = { mustWrite: false, ...patience };
  for (const prepared of sets) {
    const { name } = prepared.set;
    const state = isSql(prepared)
      ? await lookAtSql(prepared, need)
      : await lookAtRun(prepared, need);
    states.push({ ...(name === undefined ? {} : { name }), ...state });
  }
  return states;
}

async function lookAtSql({ context, migrations }: PreparedSql, need: Need): Promise<SetState> {
  const { config } = context;
  const { session, answer } = await lookWhenReady(context, need);
  const { history } = answer;
  const ask = async () => ({
    isOwed: await isUnchecked(context, session, context.signal),
    elsewhere: await elsewhereOf(context, session, migrations, history, context.signal),
  });
  const { isOwed, elsewhere } = await ask().finally(() => session.end());
  const plan = planMigrations(migrations, history);
  const { pending, applied, ahead } = plan;
  const refusal = refusalOf(plan, config.failWhenAhead, placeFlags(config)) ?? elsewhere.refusal;
  if (refusal === undefined && pending.length === 0 && isOwed) {
    return { pending: ["--after"], summary: "the --after command of a run has not succeeded yet" };
  }
  return {
    pending: pending.map(({ fileName }) => fileName),
    ...(refusal === undefined ? {} : { refusal }),
    ...(ahead.length === 0 ? {} : { ahead: listNames(ahead) }),
    summary:
      migrations.length === 0
        ? `verified nothing: there are no migrations in ${context.config.migrationsDir}`
        : pending.length === 0
          ? `${applied.length} applied, none pending`
          : `${pending.length} of ${migrations.length} migrations are pending: ${listNames(pending)}`,
  };
}

async function lookAtRun(prepared: PreparedMigrator, need: Need): Promise<SetState> {
  const { context, place, inputs, set } = prepared;
  if (inputs === undefined || place.state.length === 0) throw notToBeKnown(set.command, context);
  const ask = (session: Parameters<typeof lookAtRuns>[0], limit: AbortSignal) =>
    lookAtRuns(session, place, limit);
  const { session, answer } = await askWhenReady(context, need, ask);
  session.end();
  const verdict = judgeOf(prepared, answer);
  const command = `\`${set.command.join(" ")}\``;
  if (verdict.kind === "due") {
    return { pending: [verdict.why], summary: `${command} is to be run: ${verdict.why}` };
  }
  const refusal = refusalOfAhead(verdict, context.config.failWhenAhead);
  const refused = refusal === undefined ? {} : { refusal };
  if (verdict.kind === "ahead") {
    const ahead = describeAhead(verdict.run);
    return { pending: [], ...refused, ahead, summary: `ahead of this image: ${ahead}` };
  }
  const summary = `as ${command} left it at ${verdict.run.startedAt}, none pending`;
  return { pending: [], ...refused, summary };
}

function notToBeKnown(command: readonly string[], { config }: Context): HeadgateError {
  return new HeadgateError(
    "usage",
    `\`headgate ${config.command}\` cannot know whether \`${command.join(" ")}\` has anything to do`,
    { fix: "name its files with --migrator-inputs and its table with --migrator-state" },
  );
}
