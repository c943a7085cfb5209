import { type Stamp, stampHistory } from "../gate/stamp-history.ts";
import type { Context } from "../look.ts";
import { type Migration, readFolder } from "../migrations/folder.ts";

/** `headgate stamp ID`, `headgate stamp --from TOOL`: record files as applied that the database has already. */
export async function stamp(context: Context): Promise<number> {
  const { config } = context;
  const migrations = await readFolder(config.migrationsDir);
  const stamped = await stampHistory(context, migrations);
  const isWritten = config.stamp?.isConfirmed === true;
  const count = stamped.files.length;
  const end =
    count === 0
      ? "nothing is to be recorded\n"
      : isWritten
        ? ""
        : `nothing is written yet: the same with --yes records ${count === 1 ? "1 file" : `${count} files`} as applied\n`;
  return context.print(toTable(migrations, stamped, isWritten) + end);
}

function toTable(
  migrations: readonly Migration[],
  { files, recorded, reasons }: Stamp,
  isWritten: boolean,
): string {
  const stateOf = (migration: Migration): string => {
    if (files.includes(migration)) return isWritten ? "stamped" : "to stamp";
    return recorded.includes(migration) ? "recorded" : "pending";
  };
  const widths = {
    id: Math.max(2, ...migrations.map(({ id }) => String(id).length)),
    name: Math.max(4, ...migrations.map(({ name }) => name.length)),
  };
  const row = (id: string, state: string, name: string, reason: string): string =>
    `${id.padStart(widths.id)}  ${state.padEnd(8)}  ${name.padEnd(widths.name)}  ${reason}`.trimEnd();
  return [
    row("id", "state", "name", reasons.size === 0 ? "" : "known as"),
    ...migrations.map((migration) =>
      row(
        String(migration.id),
        stateOf(migration),
        migration.name,
        reasons.get(migration.id) ?? "",
      ),
    ),
    "",
  ].join("\n");
}
