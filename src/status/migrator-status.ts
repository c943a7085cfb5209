import type { PreparedMigrator } from "../gate/prepare-sets.ts";
import { describeAhead, judgeOf, refusalOfAhead } from "../gate/verdict.ts";
import { askWhenReady } from "../look.ts";
import type { Verdict } from "../migrator/judge.ts";
import { lookAtRuns, type RunLook, type RunRecord } from "../migrator/records.ts";
import type { MigratorSet } from "../sets.ts";
import type { SetStatus } from "./set-status.ts";

/** Looks at what is recorded of a migrator, and whether it would be run now. Reads only, also from a standby. */
export async function migratorStatus(prepared: PreparedMigrator): Promise<SetStatus> {
  const { context, place } = prepared;
  const { session, answer } = await askWhenReady(context, { mustWrite: false }, (asked, limit) =>
    lookAtRuns(asked, place, limit),
  );
  session.end();
  const verdict = judgeOf(prepared, answer);
  const refusal = refusalOfAhead(verdict, context.config.failWhenAhead);
  return {
    text: toText(prepared, answer, verdict),
    json: toJson(prepared, answer, verdict),
    hasPending: verdict.kind === "due",
    problems: refusal === undefined ? [] : [refusal.message],
  };
}

function toText({ set, inputs, place }: PreparedMigrator, look: RunLook, verdict: Verdict): string {
  const files = inputs === undefined ? "none named" : `${inputs.files.length} files`;
  const state = set.state.map((names) => names.join(".")).join(", ");
  const last = look.runs.at(-1);
  return [
    ["migrator", set.command.join(" ")],
    ...(set.preset === undefined ? [] : [["preset", set.preset]]),
    ["directory", set.directory],
    [
      "inputs",
      `${files}${(inputs?.patterns ?? []).map((pattern) => `\n            ${pattern}`).join("")}`,
    ],
    ["state", state === "" ? "none named" : state],
    ["records", `${place.table.join(".")}, "${place.name}"`],
    ["latest run", last === undefined ? "none recorded" : describeRun(last)],
    ...(last?.outcome !== "failed" || last.firstFailure === undefined
      ? []
      : [["first failed", last.firstFailure]]),
    ["now", describeVerdict(verdict)],
    ["unknown", unknownOf(set)],
  ]
    .map(([label = "", value = ""]) => `${label.padEnd(11)} ${value}\n`)
    .join("");
}

/** The tools' own commands that list migrations. */
const listings: { readonly [preset: string]: string } = {
  alembic: "alembic current` and `alembic heads",
  knex: "knex migrate:status",
  prisma: "prisma migrate status",
  django: "manage.py showmigrations",
  rails: "rails db:migrate:status",
  flyway: "flyway info",
  liquibase: "liquibase status",
  dbmate: "dbmate status",
  "golang-migrate": "migrate version",
  sqitch: "sqitch status",
  typeorm: "typeorm migration:show",
};

function unknownOf({ preset }: MigratorSet): string {
  const listing = listings[preset ?? ""];
  return `which of its migrations are applied: ${listing === undefined ? "only the tool knows" : `\`${listing}\` tells`}`;
}

const describeRun = ({ outcome, startedAt, by, ms }: RunRecord): string =>
  `${outcome} at ${startedAt} by ${by}${ms === null ? "" : ` in ${ms} ms`}`;

function describeVerdict(verdict: Verdict): string {
  if (verdict.kind === "due") return `to be run: ${verdict.why}`;
  if (verdict.kind === "current") return "up to date";
  return `ahead of this image: ${describeAhead(verdict.run)}`;
}

function toJson({ set, inputs, place }: PreparedMigrator, look: RunLook, verdict: Verdict): object {
  return {
    migrator: set.command,
    preset: set.preset ?? null,
    directory: set.directory,
    inputs: { patterns: inputs?.patterns ?? [], files: inputs?.files ?? [] },
    state: set.state.map((names) => names.join(".")),
    records: { table: place.table.join("."), name: place.name },
    upToDate: verdict.kind !== "due",
    ahead: verdict.kind === "ahead",
    why: verdict.kind === "due" ? verdict.why : null,
    runs: look.runs.map(({ outcome, startedAt, by, ms, firstFailure }) => ({
      ...{ outcome, startedAt, by, ms },
      ...(outcome === "succeeded" ? {} : { firstFailure: firstFailure ?? null }),
    })),
  };
}
