import { HeadgateError } from "../errors.ts";
import {
  askFacts,
  factColumns,
  mayOnTable,
  quoteLiteral,
  quoteTable,
  readFacts,
  type SessionFacts,
} from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import { sqlState } from "../postgres/sqlstate.ts";
import { columnOf, digestOfAll, rowsOfAll } from "./state-digest.ts";

/** One run of a migrator, as it is recorded. */
export type RunRecord = {
  readonly id: number;
  /** The fingerprint of its inputs. */
  readonly inputs: string;
  /** The digest of the migrator's own tables when it had ended; null when there was none to be had. */
  readonly state: string | null;
  /** The same when it began, or `absent`. Null where it is not known, as in all rows of older versions. */
  readonly stateBefore: string | null;
  /** How many rows these tables had when it had ended. */
  readonly rows: number | null;
  /** A hash of what its migrations are called in these tables; null when that is not known. */
  readonly versions: string | null;
  /** How often these tables had been changed by another hand until it began. */
  readonly changes: number | null;
  readonly outcome: "started" | "succeeded" | "failed";
  readonly command?: string;
  /** The application name of its sessions. */
  readonly application: string;
  /** How long it may live after it was told to stop, in milliseconds. */
  readonly graceMs: number;
  readonly by: string;
  readonly startedAt: string;
  readonly ms: number | null;
  /** Of a run that did not succeed: how these files failed first since they last succeeded, when and by whom. */
  readonly firstFailure?: string;
};

/** What one look at the database shows of a migrator. */
export type RunLook = {
  readonly facts: SessionFacts;
  /** Whether there is a table of records. */
  readonly exists: boolean;
  /** Whether that table has all the columns; one that an older version made does not. */
  readonly isFull: boolean;
  /** Oldest first; only the newest may not have succeeded. */
  readonly runs: readonly RunRecord[];
} & StateLook;

/** What it shows of the migrator's own tables. */
export type StateLook = {
  /** Their digest now. */
  readonly state?: string;
  /** How many rows they have. */
  readonly rows?: number;
  /** The versions that the database is at, where place.pointer names a column. */
  readonly pointers?: readonly string[];
  /** Why there is no digest. */
  readonly stateMissing?: string;
  /** It is only that none of them is there yet. */
  readonly isAbsent?: boolean;
};

/** The state now, as it is written down; null when it cannot be known. */
export const stateNow = ({ state, isAbsent }: StateLook): string | null =>
  state ?? (isAbsent === true ? "absent" : null);

/** Where records are kept and what they are about. */
export type RecordPlace = {
  /** Table, or schema and table. */
  readonly table: readonly string[];
  /** Tells the migrators of one table apart. */
  readonly name: string;
  /** The migrator's own tables. */
  readonly state: readonly (readonly string[])[];
  /** The column of the only such table that points at the version the database is at. */
  readonly pointer?: string;
};

/** Columns of newer versions, which a table of an older one lacks. */
export const newerColumns = {
  state_before: "text",
  state_rows: "bigint",
  versions: "text",
  changes: "integer",
  first_failure: "text",
} as const;

const runsOf = ({ table, name }: RecordPlace): string => {
  const names = Object.keys(newerColumns);
  // Asked for by name, they would be an error where they are not there.
  const newer = names.map((column) => `pg_catalog.to_jsonb(t)->>'${column}' as ${column}`);
  const isFull = `select count(*) = ${names.length} from pg_catalog.pg_attribute where not attisdropped
    and attrelid = ${quoteLiteral(quoteTable(table))}::regclass and attname in (${names.map(quoteLiteral).join(", ")})`;
  return `(select pg_catalog.json_agg(r order by r.id) from (select id, inputs, state, outcome, application, grace_ms, command, started_by,
    to_char(started_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as started_at,
    extract(epoch from ended_at - started_at) * 1000 as ms, ${newer.join(", ")}
    from ${quoteTable(table)} t where name = ${quoteLiteral(name)}) r) as runs, (${isFull}) as is_full`;
};

function stateColumns({ state: tables, pointer }: RecordPlace): string {
  const [table = []] = tables;
  if (tables.length === 0) return "null as state";
  const pointers = pointer === undefined || tables.length > 1 ? "null" : columnOf(table, pointer);
  return `${digestOfAll(tables)} as state, ${rowsOfAll(tables)} as state_rows, ${pointers} as pointers`;
}

/**
 * Reads the session's facts, the records and the digest of the migrator's own tables in one query.
 * @throws HeadgateError when the table of records is another tool's (65) or may not be read (77)
 */
export async function lookAtRuns(
  session: Session,
  place: RecordPlace,
  signal: AbortSignal,
): Promise<RunLook> {
  const ask = async (columns: string): Promise<Record<string, unknown>> => {
    const [result] = await session.query(`select ${factColumns}, ${columns}`, signal);
    return result?.rows[0] ?? {};
  };
  try {
    const row = await ask(`${runsOf(place)}, ${stateColumns(place)}`);
    return { facts: readFacts(row), exists: true, ...readRuns(row), ...stateOf(row) };
  } catch (error) {
    if (!["42P01", "3F000", "42703", "42501"].includes(sqlState(error))) throw error;
  }
  // One of them is not there, or not for us: each is asked for alone, which happens only where there is work to do.
  const facts = await askFacts(session, signal);
  const columns = [place.table, ...place.state].map(
    (table, index) => `${mayOnTable(table, "select")} as readable${index}`,
  );
  const answers = await ask(columns.join(", "));
  const [own, ...states] = columns.map((_, index) => answers[`readable${index}`] as boolean | null);
  const lacking = place.state.filter((_, index) => states[index] !== true);
  const state =
    lacking.length > 0
      ? {
          stateMissing: lackOf(lacking, answers, place),
          isAbsent: states.every((isReadable) => isReadable === null),
        }
      : stateOf(await ask(stateColumns(place)));
  if (own === null) return { facts, exists: false, isFull: true, runs: [], ...state };
  const runs = await ask(runsOf(place)).catch((error: unknown) => {
    throw notOurs(place.table, error);
  });
  return { facts, exists: true, ...readRuns(runs), ...state };
}

function lackOf(
  lacking: readonly (readonly string[])[],
  answers: Record<string, unknown>,
  { state }: RecordPlace,
): string {
  return lacking
    .map((table) =>
      answers[`readable${state.indexOf(table) + 1}`] === null
        ? `there is no table ${table.join(".")}`
        : `the table ${table.join(".")} may not be read`,
    )
    .join("; ");
}

function stateOf(row: Record<string, unknown>): StateLook {
  const { state, state_rows: rows, pointers } = row;
  if (typeof state !== "string") return { stateMissing: "no --migrator-state is named" };
  const known = Array.isArray(pointers) && pointers.every((each) => typeof each === "string");
  return { state, rows: Number(rows), ...(known ? { pointers } : {}) };
}

function readRuns(row: Record<string, unknown>): Pick<RunLook, "runs" | "isFull"> {
  const rows = (row["runs"] ?? []) as Record<string, unknown>[]; // the sum of no rows is NULL
  const number = (value: unknown): number | null => (value === null ? null : Number(value));
  const runs = rows.map((each) => ({
    id: Number(each["id"]),
    inputs: String(each["inputs"]),
    state: each["state"] as string | null,
    stateBefore: each["state_before"] as string | null,
    rows: number(each["state_rows"]),
    versions: each["versions"] as string | null,
    changes: number(each["changes"]),
    outcome: each["outcome"] as RunRecord["outcome"],
    application: String(each["application"]),
    graceMs: Number(each["grace_ms"]),
    command: String(each["command"]),
    by: String(each["started_by"]),
    startedAt: String(each["started_at"]),
    ms: each["ms"] === null ? null : Math.round(Number(each["ms"])),
    ...(typeof each["first_failure"] === "string" ? { firstFailure: each["first_failure"] } : {}),
  }));
  return { runs, isFull: row["is_full"] === true };
}

function notOurs(table: readonly string[], cause: unknown): unknown {
  const name = table.join(".");
  if (sqlState(cause) === "42501") {
    return new HeadgateError("refused", `the history table ${name} may not be read`, {
      fix: `grant select on ${quoteTable(table)} to the user headgate connects as`,
      cause,
    });
  }
  if (sqlState(cause) !== "42703") return cause;
  return new HeadgateError(
    "history_mismatch",
    `the table ${name} exists, but it does not hold runs of a migrator`,
    { fix: "another tool owns it; choose another name with --history-table", cause },
  );
}
