import type { Session } from "./session.ts";

/** What one query after login tells about the session and its server. */
export type SessionFacts = {
  /** The backend that answered; differs from the handshake's behind a pooler. */
  readonly pid: number;
  readonly isStandby: boolean;
  readonly isReadOnly: boolean;
  /** As in `server_version_num`: 180004. */
  readonly serverVersion: number;
  /** `on`, `off`, `local` …: what a commit waits for before it counts as done. */
  readonly synchronousCommit: string;
  readonly searchPath: string;
};

/**
 * The columns of `SessionFacts`, to put into any query's select list. A transaction that begins in recovery stays
 * read-only when the server is promoted meanwhile; then nobody has set default_transaction_read_only.
 */
export const factColumns = `pg_backend_pid() as pid,
  pg_is_in_recovery() or (current_setting('transaction_read_only') = 'on'
    and current_setting('default_transaction_read_only') = 'off') as standby,
  current_setting('transaction_read_only') = 'on' as read_only,
  current_setting('server_version_num')::int as version,
  current_setting('synchronous_commit') as synchronous_commit,
  current_setting('search_path') as search_path`;

/** Reads the columns of `factColumns` from a row. */
export function readFacts(row: Record<string, unknown>): SessionFacts {
  return {
    pid: Number(row["pid"]),
    isStandby: row["standby"] === true,
    isReadOnly: row["read_only"] === true,
    serverVersion: Number(row["version"]),
    synchronousCommit: String(row["synchronous_commit"]),
    searchPath: String(row["search_path"]),
  };
}

/** SQL: the number of this database. Numbers of tables mean something together with it only. */
export const thisDatabase =
  "(select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())";

/** The server answers, but takes no writes. */
export class NotWritable extends Error {
  readonly isStandby: boolean;
  constructor(isStandby: boolean) {
    super(
      isStandby
        ? "the server is a read-only standby"
        : "the server is read-only (default_transaction_read_only)",
    );
    this.isStandby = isStandby;
  }
}

/** @throws NotWritable unless the session is on a primary that accepts writes */
export function mustBeWritable(facts: SessionFacts): void {
  if (facts.isStandby || facts.isReadOnly) throw new NotWritable(facts.isStandby);
}

/** Asks for the facts alone. */
export async function askFacts(session: Session, signal: AbortSignal): Promise<SessionFacts> {
  const [result] = await session.query(`select ${factColumns}`, signal);
  return readFacts(result?.rows[0] ?? {});
}

/** A literal that means the same whatever `standard_conforming_strings` says. */
export function quoteLiteral(text: string): string {
  const escaped = text.replaceAll("'", "''");
  return text.includes("\\") ? ` E'${escaped.replaceAll("\\", "\\\\")}'` : `'${escaped}'`;
}

/** An identifier in double quotes. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Schema-qualified when a schema is given. */
export function quoteTable(names: readonly string[]): string {
  return names.map(quoteName).join(".");
}

/** SQL: whether the role has a right on a table; null where there is no such table. */
export function mayOnTable(
  names: readonly string[],
  right: "select" | "insert" | "update" | "delete",
): string {
  return `pg_catalog.has_table_privilege(pg_catalog.to_regclass(${quoteLiteral(quoteTable(names))})::oid, '${right}')`;
}
