import { checkFolder } from "../check/check-folder.ts";
import { type Finding, sortFindings } from "../check/finding.ts";
import { objection, type Report, toJson, toText } from "../check/report.ts";
import { type CheckedSet, type RoundTrip, roundTrip } from "../check/round-trip.ts";
import { rules } from "../check/rules.ts";
import { HeadgateError } from "../errors.ts";
import type { Context } from "../look.ts";
import { fence } from "../report/summary-text.ts";
import type { MigratorSet, SqlSet } from "../sets.ts";

/** `headgate check`: what can be said of the files before they meet a database that matters. */
export async function check(context: Context): Promise<number> {
  const { config } = context;
  const { annotates = false } = config.check ?? {};
  const sets = config.sets.filter((set): set is SqlSet => set.kind === "sql");
  const unknown = config.sets.flatMap((set) => (set.kind === "migrator" ? [notChecked(set)] : []));
  if (sets.length === 0) {
    throw new HeadgateError(
      "usage",
      `there is nothing that can be checked: ${unknown.join("; ")}`,
      {
        fix: "leave `headgate check` out, and try the migrations with `headgate migrate` on a database that is worth nothing; SQL files beside them are named with --migrations, or in --sets",
      },
    );
  }
  for (const what of unknown) context.log.warn({ phase: "check" }, `checked nothing of ${what}`);
  const checked: CheckedSet[] = [];
  for (const set of sets) {
    const folder = await checkFolder(context, set.migrationsDir);
    checked.push({ ...folder, historyTable: set.historyTable });
  }
  const found = checked.flatMap(({ findings }) => findings);
  const tell = (trip?: RoundTrip): Report => {
    const report: Report = {
      files: checked.reduce(
        (sum, { migrations, undoFiles }) => sum + migrations.length + undoFiles.size,
        0,
      ),
      ...(trip === undefined ? {} : { roundTrip: { up: trip.up, down: trip.down } }),
      findings: sortFindings([...found, ...(trip?.findings ?? [])]),
    };
    const text = config.json ? toJson(report) : toText(report, annotates);
    context.print(text, fence(toText(report, false)));
    return report;
  };
  const report = await withTrip(context, checked, found, tell);
  const against = objection(report, config.isStrict);
  if (against === undefined) return 0;
  throw new HeadgateError("history_mismatch", `the migrations have ${against}`, {
    fix: "correct the files; what is meant can be allowed with a reason",
  });
}

/** What cannot be known of files in another tool's language. */
function notChecked({ name, command, preset }: MigratorSet): string {
  const whose = preset ?? `\`${command.join(" ")}\``;
  const which = name === undefined ? "" : `set "${name}", `;
  return `${which}the migrations of ${whose}: only that tool can read what is in them`;
}

/** Tells what was found, with what a round trip shows if one is asked for. */
async function withTrip(
  context: Context,
  checked: readonly CheckedSet[],
  found: readonly Finding[],
  tell: (trip?: RoundTrip) => Report,
): Promise<Report> {
  if (context.config.check?.makesRoundTrip !== true) return tell();
  if (found.some(({ rule }) => rules[rule].preventsApplying)) {
    context.log.warn({ phase: "check" }, "made no round trip: these files cannot be applied");
    return tell();
  }
  const trip = await roundTrip(context, checked).catch((error: unknown) => {
    // What the files themselves say is worth as much without it.
    tell();
    throw error;
  });
  return tell(trip);
}
