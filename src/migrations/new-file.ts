import { hasStatement } from "../sql/statements.ts";

/** The whole text of a migration that `headgate new` writes. @param title as it was typed */
export const newText = (title: string): string => `-- ${title}\n`;

/** The whole text of the undo file beside it. */
export const newUndoText = (fileName: string): string => `-- Undoes ${fileName}.\n`;

/** `Add user's e-mail!` → `add-users-e-mail`: letters and digits, in lower case. */
export function slugOf(title: string): string {
  return title
    .normalize("NFC")
    .toLowerCase()
    .replace(/['’]/g, "")
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "");
}

/**
 * Whether a migration is still as `headgate new` wrote it: no SQL, and its title the only comment. Directives may have
 * been added, and git may have changed the line end.
 * @param name as in the history
 */
export function isUnwritten(name: string, sql: string): boolean {
  if (hasStatement(sql)) return false;
  const lines = sql.split(/[\r\n]+/).filter((line) => line.trim() !== "");
  const [title, ...others] = lines.filter((line) => !/^\s*--\s*headgate:/.test(line));
  const [, text] = /^-- (.*)$/.exec(title ?? "") ?? [];
  return text !== undefined && others.length === 0 && slugOf(text) === slugOf(name);
}
