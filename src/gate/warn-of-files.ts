import type { Plan } from "../migrations/plan.ts";
import { listPathsBriefly } from "../migrations/unread.ts";
import type { Log } from "../report/log.ts";
import type { PreparedSql } from "./prepare-sets.ts";

/** What was dangerous to apply, and not only impossible. */
const wasRunWhole = ["foreign-mark", "undo-beside"];

/** Says which files of a folder are not read although they may be meant. */
export function warnOfUnread({ context, unread }: PreparedSql): void {
  if (unread.length === 0) return;
  context.log.warn(
    { phase: "look", folder: context.config.migrationsDir, files: listPathsBriefly(unread) },
    "found files that may be migrations and are not read: only those directly in the folder are",
  );
}

/** Says which applied files may have undone what they made. */
export function warnOfApplied(log: Log, { applied, changed }: Plan): void {
  const files = [...applied, ...changed.map(({ migration }) => migration)]
    .filter(({ defects }) => defects.some(({ rule }) => wasRunWhole.includes(rule)))
    .map(({ fileName }) => fileName);
  if (files.length === 0) return;
  log.warn(
    { phase: "look", files: listPathsBriefly(files) },
    "found applied files that hold what undoes them, or marks of another tool: if headgate ran them, see that what they make is there",
  );
}
