import { HeadgateError } from "../errors.ts";
import { isSql, prepareSets } from "../gate/prepare-sets.ts";
import type { Context } from "../look.ts";
import { print } from "../report/print.ts";
import { migratorStatus } from "../status/migrator-status.ts";
import type { SetStatus } from "../status/set-status.ts";
import { sqlStatus } from "../status/sql-status.ts";

/** `headgate status`: what is applied, pending, changed, missing, or ahead, of every set. */
export async function status(context: Context): Promise<number> {
  const { config } = context;
  const found: Named[] = [];
  for (const prepared of await prepareSets(context)) {
    const { name } = prepared.set;
    const own = isSql(prepared) ? await sqlStatus(prepared) : await migratorStatus(prepared);
    found.push({ ...own, ...(name === undefined ? {} : { name }) });
  }
  print(config.json ? `${JSON.stringify(toJson(found), null, 2)}\n` : toText(found));
  if (!config.exitCode) return 0;

  const problems = found.flatMap(({ name, problems: own }) =>
    own.map((problem) => (name === undefined ? problem : `${name}: ${problem}`)),
  );
  if (problems.length > 0) {
    throw new HeadgateError("history_mismatch", "the history and the files disagree", { problems });
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
