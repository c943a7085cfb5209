import { sleep, withTimeout } from "../deadline.ts";
import { HeadgateError } from "../errors.ts";
import type { Migration } from "../migrations/folder.ts";
import { quoteLiteral, quoteTable, thisDatabase } from "../postgres/facts.ts";
import { poolerLimit, withoutLimit } from "../postgres/pooler.ts";
import type { ConnectionLost, Session } from "../postgres/session.ts";
import type { Target } from "./target.ts";

/** What became of a file whose connection was lost, as far as it can be seen. */
export type Outcome = "committed" | "rolled back" | "unknown";

/** For a server that restarts, or a backend that has not noticed yet. */
const lookMs = 3000;
const pauseMs = 50;

/**
 * Looks on another connection what became of a file. What was done on a lost one may go on, or be committed, unseen: only
 * when it is over does the history tell.
 */
export async function lookUpOutcome(
  target: Target,
  migration: Migration,
  signal: AbortSignal,
): Promise<Outcome> {
  const { id, checksum, undoes } = migration;
  // The row of a migration that is undone by steps goes before the first of them.
  if (undoes === null || (undoes !== undefined && !migration.directives.isTransactional))
    return "unknown";
  const table = quoteTable(target.historyTable);
  const noted = `select from ${table} where id = ${id} and hash = ${quoteLiteral(undoes?.hash ?? checksum)}`;
  const limit = withTimeout(signal, lookMs, () => new Error("no answer"));
  let observer: Session | undefined;
  const finds = async (condition: string): Promise<boolean> => {
    const [answer] = (await observer?.query(`select ${condition} as found`, limit.signal)) ?? [];
    return answer?.rows[0]?.["found"] === true;
  };
  try {
    observer = await target.openObserver(limit.signal, lookMs);
    // Whoever has run again by now may have applied it.
    while (await finds(`exists (${workIn(target)})`)) await sleep(pauseMs, limit.signal);
    const isDone = (await finds(`exists (${noted})`)) === (undoes === undefined);
    return isDone ? "committed" : "rolled back";
  } catch {
    return "unknown";
  } finally {
    limit.clear();
    observer?.end();
  }
}

/**
 * A query that finds the work of the lost connection while it goes on: its backend; or, behind a pooler, which hands out any,
 * the lock that `holdHistory` takes.
 */
function workIn({ session, isPooled, historyTable }: Target): string {
  if (!isPooled) {
    return `select from pg_catalog.pg_stat_activity where pid = ${session.handshakePid}`;
  }
  return `select from pg_catalog.pg_locks where locktype = 'relation' and mode = 'RowExclusiveLock'
    and database = ${thisDatabase} and relation = pg_catalog.to_regclass(${quoteLiteral(quoteTable(historyTable))}) and pid <> pg_catalog.pg_backend_pid()`;
}

/** SQL that makes a transaction known to `lookUpOutcome` until it ends. It takes no snapshot. */
export const holdHistory = ({ historyTable }: Target): string =>
  `lock table ${quoteTable(historyTable)} in row exclusive mode`;

/** @returns the failure to be reported (69), with what is known of the file that was on its way */
export function connectionLost(
  cause: ConnectionLost,
  current: Migration | undefined,
  phase: "migrate" | "rollback",
  outcome: Outcome,
): HeadgateError {
  const verb = phase === "migrate" ? "was applied" : "was run";
  const during =
    current === undefined ? "the history table was prepared" : `${current.path} ${verb}`;
  const isAtomic = current?.directives.isTransactional === true && current.undoes !== null;
  const [state, fix] = wordsFor(outcome, isAtomic);
  const setting = poolerLimit(cause.cause);
  return new HeadgateError(
    "not_ready",
    `the connection to Postgres was lost while ${during}: ${cause.message}`,
    {
      fix: setting === undefined || outcome === "committed" ? fix : withoutLimit(setting),
      details: {
        phase,
        ...(current === undefined ? {} : { migration: current.fileName, state }),
      },
      cause,
    },
  );
}

function wordsFor(outcome: Outcome, isAtomic: boolean): readonly [state: string, fix: string] {
  if (outcome === "committed") {
    return ["the file was committed together with its record", "run again: it goes on after it"];
  }
  if (!isAtomic) {
    return [
      "what the step did that was running is not known; the steps before it are done",
      "run again: it goes on with the step that was running",
    ];
  }
  return outcome === "rolled back"
    ? ["the file was rolled back; the database is as it was before it", "run again"]
    : [
        "not known: the file was either rolled back, or committed together with its record",
        "run again: the next run sees which it was",
      ];
}
