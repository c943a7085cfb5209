import { checkFolder } from "../check/check-folder.ts";
import { sortFindings } from "../check/finding.ts";
import { objection, type Report, toJson, toText } from "../check/report.ts";
import { type CheckedSet, type RoundTrip, roundTrip } from "../check/round-trip.ts";
import { HeadgateError } from "../errors.ts";
import type { Context } from "../look.ts";
import { print } from "../report/print.ts";
import type { SqlSet } from "../sets.ts";

/** `headgate check`: what can be said of the files before they meet a database that matters. */
export async function check(context: Context): Promise<number> {
  const { config } = context;
  const { makesRoundTrip = false, isStrict = false, annotates = false } = config.check ?? {};
  const sets = config.sets.filter((set): set is SqlSet => set.kind === "sql");
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
    print(config.json ? toJson(report) : toText(report, annotates));
    return report;
  };
  let report: Report;
  // Files that cannot be applied would only fail there again.
  const isHopeless = found.some(({ severity }) => severity === "error");
  if (!makesRoundTrip || isHopeless) report = tell();
  else {
    try {
      report = tell(await roundTrip(context, checked));
    } catch (error) {
      tell();
      throw error;
    }
  }
  const against = objection(report, isStrict);
  if (against === undefined) return 0;
  throw new HeadgateError("history_mismatch", `the migrations have ${against}`, {
    fix: "correct the files; what is meant can be allowed with a reason",
  });
}
