import { quoteLiteral, type SessionFacts } from "./facts.ts";
import type { Session } from "./session.ts";
import { sqlState } from "./sqlstate.ts";

/**
 * What the session that migrates sets for itself: it outlives slow statements, whatever limits the role or database
 * came with, it dies soon after its client does, and what it has committed outlives a crash of the server.
 * @param facts of the session as it came
 * @param statementTimeoutMs limit per statement; Infinity = none
 */
export function migrationSettings(
  { serverVersion, synchronousCommit }: SessionFacts,
  statementTimeoutMs: number,
): Record<string, string> {
  const since = (version: number, settings: Record<string, string>): Record<string, string> =>
    serverVersion >= version ? settings : {};
  return {
    statement_timeout: Number.isFinite(statementTimeoutMs)
      ? String(Math.ceil(statementTimeoutMs))
      : "0",
    lock_timeout: "0",
    idle_in_transaction_session_timeout: "0",
    ...since(140_000, { idle_session_timeout: "0" }),
    ...since(170_000, { transaction_timeout: "0" }),
    // Without it the backend of a killed client runs its statement to the end, and the lock with it: measured 5.5 s
    // against 0.5 s for a 6 s statement.
    ...since(140_000, { client_connection_check_interval: "500" }),
    // What is called applied must not be taken back; what is stronger, or was chosen to be `local`, stays.
    synchronous_commit: synchronousCommit === "off" ? "on" : synchronousCommit,
    // A vanished host is noticed after 10 + 3 × 5 s instead of two hours. No effect on a unix socket.
    tcp_keepalives_idle: "10",
    tcp_keepalives_interval: "5",
    tcp_keepalives_count: "3",
  };
}

/**
 * Sets them for the session.
 * @returns those that the server took: some platforms have no client_connection_check_interval (22023)
 */
export async function setForSession(
  session: Session,
  settings: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  try {
    await session.query(`select ${setConfigCalls(settings, false)}`, signal);
    return settings;
  } catch (error) {
    if (sqlState(error) !== "22023") throw error;
    const { client_connection_check_interval: _unsupported, ...supported } = settings;
    await session.query(`select ${setConfigCalls(supported, false)}`, signal);
    return supported;
  }
}

/** `set_config(…), set_config(…)` for a select list. @param isLocal until the end of the transaction only */
export function setConfigCalls(
  settings: Readonly<Record<string, string>>,
  isLocal: boolean,
): string {
  return Object.entries(settings)
    .map(
      ([name, value]) =>
        `pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, ${isLocal})`,
    )
    .join(", ");
}

/** The same as statements, `set … ; set …`: a tenth of a millisecond faster, but each is one statement more. */
export function setStatements(
  settings: Readonly<Record<string, string>>,
  isLocal: boolean,
): string {
  const scope = isLocal ? "local" : "session";
  return Object.entries(settings)
    .map(([name, value]) => `set ${scope} ${name} = ${quoteLiteral(value)}`)
    .join("; ");
}

/** Where and with which settings something is committed. */
type Committing = {
  readonly isPooled: boolean;
  readonly settings: Readonly<Record<string, string>>;
};

/**
 * SQL that goes before statements which are committed by themselves, in the same query: the settings of a session hold
 * for them already, but not behind a pooler.
 */
export function durably({ isPooled, settings }: Committing): string {
  const { synchronous_commit: wanted } = settings;
  return isPooled && wanted !== undefined
    ? `${setStatements({ synchronous_commit: wanted }, true)}; `
    : "";
}

const current = "pg_catalog.current_setting('synchronous_commit')";

/**
 * A commit that takes along what other sessions committed before it without waiting for the disk: the log is written
 * in order. It must write into the log itself, or the server does not wait; the message is for nobody.
 */
export const commitOfAll = `select pg_catalog.set_config('synchronous_commit', case ${current} when 'off' then 'on' else ${current} end, true);
  select pg_catalog.pg_logical_emit_message(true, 'headgate', '')`;
