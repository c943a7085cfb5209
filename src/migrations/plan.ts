import { HeadgateError } from "../errors.ts";
import { isSameText } from "./checksum.ts";
import type { Migration } from "./folder.ts";
import { type AppliedRow, builtIn, type History, newestOf } from "./history.ts";
import { newText } from "./new-file.ts";
import { sentenceOf } from "./problem.ts";

/** How the files of this image and the history of the database relate. */
export type Plan = {
  readonly applied: readonly Migration[];
  /** In the order in which they will be applied. */
  readonly pending: readonly Migration[];
  /** Applied, and edited or renamed since. */
  readonly changed: readonly { readonly migration: Migration; readonly row: AppliedRow }[];
  /** In the history below the newest file, but not on disk. */
  readonly missing: readonly AppliedRow[];
  /** Pending although a later one is applied. */
  readonly outOfOrder: readonly Migration[];
  /** In the history beyond the newest file: this image is older than the database. */
  readonly ahead: readonly AppliedRow[];
};

/** Compares by number, never by position: a row deleted by hand then accuses only itself. Pure. */
export function planMigrations(migrations: readonly Migration[], history: History): Plan {
  const rows = new Map(history.rows.map((row) => [row.id, row]));
  const files = new Set(migrations.map(({ id }) => id));
  const newestFile = migrations.at(-1)?.id ?? 0;
  const newestApplied = newestOf(history);

  const found = migrations.filter(({ id }) => rows.has(id));
  const changed = found.flatMap((migration) => {
    const row = rows.get(migration.id) as AppliedRow;
    return isSameText(row.hash, migration.fileName, migration.text) ? [] : [{ migration, row }];
  });
  const pending = migrations.filter(({ id }) => !rows.has(id));
  const unknown = history.rows.filter(({ id }) => !files.has(id) && id !== builtIn.id);
  return {
    applied: found.filter((migration) => !changed.some((entry) => entry.migration === migration)),
    pending,
    changed,
    missing: unknown.filter(({ id }) => id < newestFile),
    outOfOrder: pending.filter(({ id }) => id < newestApplied),
    ahead: unknown.filter(({ id }) => id > newestFile),
  };
}

/** Every reason not to apply this plan, each a whole sentence. */
export function planProblems(plan: Plan, failWhenAhead: boolean): string[] {
  return [
    ...plan.changed.map(({ migration, row }) => {
      const was =
        row.name === migration.name
          ? "edited"
          : `renamed or replaced (the history has ${row.id} ${row.name})`;
      return `${migration.path}: changed: ${was} after it was applied on ${row.executedAt ?? "an unknown date"}`;
    }),
    ...plan.missing.map(
      (row) => `${row.id} ${row.name}: missing: applied to the database, but not in the folder`,
    ),
    ...plan.outOfOrder.map(
      ({ path }) => `${path}: out of order: not applied, but a later migration is`,
    ),
    ...plan.pending.flatMap(({ path, defects }) =>
      defects.map((defect) => `${path}: ${sentenceOf(defect)}`),
    ),
    ...(failWhenAhead && plan.ahead.length > 0
      ? [`the database is ahead of this image (--on-ahead=fail): it has ${listNames(plan.ahead)}`]
      : []),
  ];
}

/**
 * @param placeFlags what a command to type needs to mean this folder and this history
 * @throws HeadgateError history_mismatch (65) listing every reason not to go on
 */
export function refuseUnlessSound(plan: Plan, failWhenAhead: boolean, placeFlags: string): void {
  const refusal = refusalOf(plan, failWhenAhead, placeFlags);
  if (refusal !== undefined) throw refusal;
}

/** @returns the refusal to go on, with every reason for it; undefined when there is none */
export function refusalOf(
  plan: Plan,
  failWhenAhead: boolean,
  placeFlags: string,
): HeadgateError | undefined {
  const problems = planProblems(plan, failWhenAhead);
  if (problems.length === 0) return undefined;
  return new HeadgateError(
    "history_mismatch",
    disagrees(plan)
      ? "the history and the files disagree; nothing was changed"
      : "files that are pending cannot be applied as they are; nothing was changed",
    {
      problems,
      fix: fixOf(plan, failWhenAhead, placeFlags),
    },
  );
}

function fixOf(plan: Plan, failWhenAhead: boolean, placeFlags: string): string {
  const { changed, missing, outOfOrder, ahead } = plan;
  if (changed.length + missing.length + outOfOrder.length > 0) {
    const restore = "restore the files that were applied; change the schema with a new file";
    return `${restore}${repairHint(changed, placeFlags)}`;
  }
  return failWhenAhead && ahead.length > 0
    ? "deploy an image at least as new as the database"
    : "correct the files";
}

/** Whether the file had nothing in it when it was applied, or what `headgate new` wrote for such a title. */
export function wasEmpty({ hash }: AppliedRow, { fileName, name }: Migration): boolean {
  const title = name.replaceAll("-", " ");
  const titles = [title, title.charAt(0).toUpperCase() + title.slice(1)];
  return ["", "\n", ...titles.map(newText)].some((text) => isSameText(hash, fileName, text));
}

/** The command to type where files were changed and the history is to follow them; "" where none was. */
export function repairHint(changed: Plan["changed"], placeFlags: string): string {
  const idsOf = (entries: Plan["changed"]): string =>
    entries
      .map(({ row }) => row.id)
      .toSorted((a, b) => a - b)
      .join(",");
  const command = (entries: Plan["changed"], flag: string): string =>
    `\`headgate repair ${idsOf(entries)} ${flag} --reason "…"${placeFlags}\``;
  const empty = changed.filter(({ row, migration }) => wasEmpty(row, migration));
  const others = changed.filter((entry) => !empty.includes(entry));
  return [
    ...(others.length === 0
      ? []
      : [`; if the database has what they say now, ${command(others, "--accept")}`]),
    ...(empty.length === 0
      ? []
      : [
          `; ${listNames(empty.map(({ row }) => row))} had nothing in it when it was applied: if it is the newest, ${command(empty, "--forget")} lets it be applied`,
        ]),
  ].join("");
}
/** Whether there is more against it than the files that are pending. */
const disagrees = ({ changed, missing, outOfOrder, pending, ahead }: Plan): boolean =>
  changed.length + missing.length + outOfOrder.length > 0 ||
  (ahead.length > 0 && pending.every(({ defects }) => defects.length === 0));

/** `4 add-index, 5 drop-old`, shortened when there are many. */
export function listNames(rows: readonly { id: number; name: string }[]): string {
  const shown = rows.slice(0, 5).map(({ id, name }) => `${id} ${name}`);
  return (
    shown.join(", ") + (rows.length > shown.length ? ` and ${rows.length - shown.length} more` : "")
  );
}
