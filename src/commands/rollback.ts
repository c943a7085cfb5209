import { rollBack } from "../gate/roll-back.ts";
import type { Context } from "../look.ts";
import { readFolder } from "../migrations/folder.ts";
import { readUndoFiles } from "../migrations/undo-files.ts";

/** `headgate rollback`: undo the last migration, or several, from undo files. */
export async function rollback(context: Context): Promise<number> {
  const { migrationsDir } = context.config;
  const migrations = await readFolder(migrationsDir);
  await rollBack(context, { migrations, undoFiles: readUndoFiles(migrationsDir, migrations) });
  return 0;
}
