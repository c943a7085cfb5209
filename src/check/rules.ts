/** What a finding means for whoever merges the file: it cannot work, or it may hurt during a deployment. */
export type Severity = "error" | "warning";

type Rule = {
  readonly severity: Severity;
  readonly why: string;
  /** What to do; absent where the finding itself says it better. */
  readonly fix?: string;
  /** Whether headgate does not even try to apply such files. */
  readonly preventsApplying?: true;
};

const laterRelease = "first release code that does without it; drop it in a later release";

/** All that `headgate check` finds, by name. The table in docs/commands/check.md is compared with it. */
const table = {
  "file-name": {
    severity: "error",
    why: "the order of the files and their names in the history come from their names",
    preventsApplying: true,
  },
  "duplicate-number": {
    severity: "error",
    why: "the number decides which of the two comes first, and the history has room for one",
    preventsApplying: true,
  },
  "duplicate-name": {
    severity: "error",
    why: "the history takes each name once",
    preventsApplying: true,
  },
  gap: {
    severity: "error",
    why: "a file that fills the gap later is out of order for every database that is past it",
  },
  unreadable: {
    severity: "error",
    why: "what cannot be read cannot be applied",
    preventsApplying: true,
  },
  encoding: {
    severity: "error",
    why: "files are sent to the server as UTF-8",
    preventsApplying: true,
  },
  directive: {
    severity: "error",
    why: "a directive that is not understood would be overlooked",
    preventsApplying: true,
  },
  syntax: {
    severity: "error",
    why: "the file cannot be sent to a server as it is",
    preventsApplying: true,
  },
  "transaction-control": {
    severity: "error",
    why: "a part of the file would be committed without its record",
    preventsApplying: true,
  },
  "outside-transaction": {
    severity: "error",
    why: "the server refuses it there (25001)",
    preventsApplying: true,
  },
  "foreign-mark": {
    severity: "error",
    why: "what another tool would leave out or do otherwise is run with the rest of the file",
    preventsApplying: true,
  },
  template: {
    severity: "error",
    why: "it is no SQL until the tool that it belongs to has filled it in",
    preventsApplying: true,
  },
  "undo-beside": {
    severity: "error",
    why: "it takes back what the migration before it has made",
    preventsApplying: true,
  },
  "not-written": {
    severity: "error",
    why: "once it is applied as it is, the SQL that is written later is never run",
    preventsApplying: true,
  },
  "empty-undo": {
    severity: "error",
    why: "a rollback would forget the migration, and leave all that it has made",
    preventsApplying: true,
  },
  "no-migration": {
    severity: "error",
    why: "a server would be started on a schema that nobody has made",
    preventsApplying: true,
  },
  unread: {
    severity: "error",
    why: "files are read that lie directly in the folder, and undo files in undo/; a server would be started without the others",
    fix: "move it up into the folder as N_name.sql, or out of it",
  },
  "undo-without-migration": {
    severity: "error",
    why: "an undo file belongs to the migration of the same name; this one is never run",
  },
  "no-undo": {
    severity: "warning",
    why: "a rollback stops at a migration that has no undo file",
  },
  edited: {
    severity: "error",
    why: "databases that have it applied refuse every migration after it (exit 65)",
    fix: "restore it, and change the schema with a new file",
  },
  removed: {
    severity: "error",
    why: "databases that have it applied refuse every migration after it (exit 65)",
    fix: "restore it, and undo what it does with a new file",
  },
  renamed: {
    severity: "error",
    why: "databases that have it applied refuse every migration after it (exit 65)",
    fix: "give it its old name",
  },
  "number-taken": {
    severity: "error",
    why: "once this is merged, two files have the same number",
  },
  "below-base": {
    severity: "error",
    why: "databases that have the later files applied refuse it as out of order (exit 65)",
  },
  "drop-table": {
    severity: "warning",
    why: "replicas of the release before still use it while the new ones start",
    fix: laterRelease,
  },
  "drop-column": {
    severity: "warning",
    why: "replicas of the release before still name it in their statements while the new ones start",
    fix: laterRelease,
  },
  "drop-object": {
    severity: "warning",
    why: "replicas of the release before may still use it while the new ones start",
    fix: laterRelease,
  },
  "rename-table": {
    severity: "warning",
    why: "replicas of the release before only know the old name",
    fix: "create a view of the old name in the same file, and drop it in a later release",
  },
  "rename-column": {
    severity: "warning",
    why: "replicas of the release before only know the old name",
    fix: "add a column, write both, fill it, read the new one; drop the old one in a later release",
  },
  "rename-object": {
    severity: "warning",
    why: "replicas of the release before only know the old name",
    fix: "add the new one beside it, and drop the old one in a later release",
  },
  "set-not-null": {
    severity: "warning",
    why: "replicas of the release before may still write NULL, or leave the column out",
    fix: "first release code that always writes it; set NOT NULL in a later release",
  },
  "add-required-column": {
    severity: "warning",
    why: "replicas of the release before leave it out of their INSERTs, which fail; so does this, if the table has rows",
    fix: "give it a DEFAULT; or add it without NOT NULL, and set that in a later release",
  },
  "change-type": {
    severity: "warning",
    why: "replicas of the release before read and write the old type",
    fix: "add a column of the new type, write both, fill it, read the new one; drop the old one in a later release",
  },
  "drop-default": {
    severity: "warning",
    why: "replicas of the release before that leave the column out get NULL, or fail",
    fix: "first release code that always writes it; drop the default in a later release",
  },
  "sql-fails": { severity: "error", why: "it fails on an empty scratch database" },
  "undo-differs": {
    severity: "error",
    why: "after a rollback the schema is another than the one the release before was made for",
    fix: "correct the undo file",
  },
  "redo-differs": {
    severity: "error",
    why: "a database that was rolled back once ends up with another schema than one that was not",
    fix: "make the undo file restore all that the migration finds",
  },
} as const satisfies { readonly [name: string]: Rule };

export type RuleName = keyof typeof table;

export const rules: { readonly [name in RuleName]: Rule } = table;
export const ruleNames = Object.keys(table) as readonly RuleName[];
