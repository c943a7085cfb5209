import { HeadgateError } from "../errors.ts";
import type { Migration } from "../migrations/folder.ts";
import type { AppliedRow } from "../migrations/history.ts";
import { quoteLiteral, quoteTable } from "../postgres/facts.ts";
import { durably } from "../postgres/session-settings.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import { addReason, createJournal, journalTable } from "./journal.ts";
import { askRights, mustBeAllowed } from "./prepare-history.ts";
import { accept, forget, recording } from "./record.ts";
import { forgetSteps } from "./step-table.ts";
import type { Target } from "./target.ts";

/** A row of the history that is to be changed; without a file it is to be forgotten. */
export type RowRepair = {
  readonly row: AppliedRow;
  readonly file?: Pick<Migration, "id" | "name" | "checksum">;
  /** Steps of its undo file are noted, none of which took effect. */
  readonly hasSteps?: boolean;
};

/** Adding the column waits for nobody who reads the journal for long, such as a dump, while replicas wait for the lock. */
const longestWait = "5s";

/**
 * Changes rows of the history, each with its line in the journal, in one transaction.
 * @throws HeadgateError refused (77) when the role may not, or the journal cannot keep the reason; lock_timeout (75)
 */
export async function repairRows(
  target: Target,
  changes: readonly RowRepair[],
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  const { session, historyTable } = target;
  const rights = await askRights(session, historyTable, signal);
  mustBeAllowed("insert", rights, historyTable);
  if (changes.some(({ file }) => file !== undefined)) mustBeAllowed("update", rights, historyTable);
  if (changes.some(({ file }) => file === undefined)) mustBeAllowed("delete", rights, historyTable);
  const prepared = { ...target, hasJournal: true };
  const statements = [
    ...(await prepareJournal(target, rights, signal)),
    ...changes.flatMap(({ row, file, hasSteps }) =>
      file === undefined
        ? [
            forget(prepared, row, reason),
            ...(hasSteps === true ? [forgetSteps(prepared, -row.id)] : []),
          ]
        : [accept(prepared, row, file, reason)],
    ),
  ];
  const settings = `${durably(target)}set local lock_timeout = '${longestWait}'`;
  const sql = `begin; ${settings}; ${statements.join("; ")}; commit`;
  try {
    await recording(target, "the repair", () => session.query(sql, signal));
  } catch (error) {
    if (session.failed()) await session.afterwards("rollback");
    if (sqlState(error) !== "55P03") throw error;
    throw new HeadgateError(
      "lock_timeout",
      `the tables of the history were locked for longer than ${longestWait} by another session; nothing was changed`,
      { fix: "see in pg_stat_activity who reads them for so long; then run again", cause: error },
    );
  }
}

/** @returns SQL that makes the journal one that keeps reasons */
async function prepareJournal(
  { session, historyTable }: Target,
  { journal, create }: Awaited<ReturnType<typeof askRights>>,
  signal: AbortSignal,
): Promise<string[]> {
  const table = quoteTable(journalTable(historyTable));
  if (journal === null && create) return [createJournal(historyTable)];
  if (journal === null) throw mayNot(`there is no journal, ${table}, and it may not be created`);
  if (!journal) throw mayNot(`the journal ${table} may not be written`);
  const oid = `pg_catalog.to_regclass(${quoteLiteral(table)})`;
  const [answer] = await session.query(
    `select pg_catalog.pg_has_role(relowner, 'usage') as owned, exists (select from pg_catalog.pg_attribute
      where attrelid = c.oid and attname = 'reason' and not attisdropped) as ready
    from pg_catalog.pg_class c where c.oid = ${oid}`,
    signal,
  );
  const { owned, ready } = answer?.rows[0] ?? {};
  if (ready === true) return [];
  if (owned !== true)
    throw mayNot(`the journal ${table} is an older one, without a column for the reason`);
  return [addReason(historyTable)];
}

function mayNot(what: string): HeadgateError {
  return new HeadgateError(
    "refused",
    `${what}, so that the reason would be lost; nothing was changed`,
    { fix: "set HEADGATE_DATABASE_URL to the URL of the tables' owner" },
  );
}
