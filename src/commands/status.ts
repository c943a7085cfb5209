import { HeadgateError } from "../errors.ts";
import { isSql, prepareSets } from "../gate/prepare-sets.ts";
import type { Context } from "../look.ts";
import { driftText, findDrift } from "../status/drift.ts";
import { migratorStatus } from "../status/migrator-status.ts";
import type { SetStatus } from "../status/set-status.ts";
import { sqlStatus } from "../status/sql-status.ts";

/** `headgate status`: what is applied, pending, changed, missing, or ahead, of every set. */
export async function status(context: Context): Promise<number> {
  const { config, log } = context;
  const sets = await prepareSets(context);
  const found: Named[] = [];
  for (const prepared of sets) {
    const { name } = prepared.set;
    const own = isSql(prepared) ? await sqlStatus(prepared) : await migratorStatus(prepared);
    found.push({ ...own, ...(name === undefined ? {} : { name }) });
  }
  const drift = config.drift ? await findDrift(context, sets) : undefined;
  const json = { ...toJson(found), ...(drift === undefined ? {} : { drift }) };
  const text = `${toText(found)}${drift === undefined ? "" : `\n${driftText(drift)}`}`;
  context.print(config.json ? `${JSON.stringify(json, null, 2)}\n` : text);
  if (drift !== undefined && "differences" in drift && drift.differences.length > 0)
    log.warn({ phase: "status", objects: drift.differences.length }, "found drift");
  if (!config.exitCode) return 0;

  const problems = found.flatMap(({ name, problems: own }) =>
    own.map((problem) => (name === undefined ? problem : `${name}: ${problem}`)),
  );
  if (problems.length > 0) {
    const [fix] = found.flatMap((set) => (set.problems.length > 0 ? (set.fix ?? []) : []));
    throw new HeadgateError("history_mismatch", "the history and the files disagree", {
      problems,
      ...(fix === undefined ? {} : { fix }),
    });
  }
  return found.some(({ hasPending }) => hasPending) ? 3 : 0;
}

type Named = SetStatus & { readonly name?: string };

/** One set that has no name is the whole result. */
function toJson(found: readonly Named[]): object {
  const [first] = found;
  if (first !== undefined && first.name === undefined) return first.json;
  return { sets: found.map(({ name, json }) => ({ name, ...json })) };
}

function toText(found: readonly Named[]): string {
  return found
    .map(({ name, text }) =>
      name === undefined ? text : `${name}\n${"-".repeat(name.length)}\n${text}`,
    )
    .join("\n");
}
