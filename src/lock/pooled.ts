import { randomBytes } from "node:crypto";
import { setConfigCalls } from "../postgres/session-settings.ts";
import type { Session } from "../postgres/session.ts";
import { type LockKey, toLockKey } from "./key.ts";
import { matches, type LockKeys } from "./lock.ts";

/** A key that nobody else has: while it is held, the transaction that took it lives. */
export function newToken(): LockKey {
  return toLockKey(randomBytes(8).readBigInt64BE());
}

/**
 * Tries once to take the lock behind a pooler. A session's lock would stay with a backend that the pooler hands to
 * others; the lock of a transaction cannot leave it. The transaction stays open, on this connection alone, as long as
 * the lock is wanted. Idle and READ COMMITTED it holds no snapshot, for which CREATE INDEX CONCURRENTLY would wait.
 * @param token is taken with it, because the backend that answers now may soon hold the same lock for another client
 * @param settings that keep the transaction alive
 */
export async function tryPooledLock(
  session: Session,
  { own, shared }: LockKeys,
  token: LockKey,
  settings: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<boolean> {
  const alsoShared =
    shared === undefined
      ? ""
      : `when not pg_catalog.pg_try_advisory_xact_lock_shared(${shared.key}) then false`;
  const results = await session.query(
    `begin isolation level read committed; select ${setConfigCalls(settings, true)};
    select case when not pg_catalog.pg_try_advisory_xact_lock(${own.key}) then false ${alsoShared}
      else pg_catalog.pg_try_advisory_xact_lock(${token.key}) end as held`,
    signal,
  );
  const isHeld = results.flatMap(({ rows }) => rows).some((row) => row["held"] === true);
  if (!isHeld) await session.query("rollback", signal);
  return isHeld;
}

/** The condition that the transaction which took this token still lives, on whatever connection. */
export function hasToken(token: LockKey): string {
  return `exists (select from pg_catalog.pg_locks where granted and ${matches(token)})`;
}
