import { poolerLimit, withoutLimit } from "../postgres/pooler.ts";
import { ConnectionLost, type Session } from "../postgres/session.ts";
import { isServerError } from "../postgres/sqlstate.ts";
import { withTimeout } from "../deadline.ts";

/** Who has ended a lock that was held, and what is to be done. */
export type Loss = { readonly why: string; readonly fix: string };

/** What the session has heard of its end by now is enough for an answer. */
const patienceMs = 1000;

/**
 * Finds out why a session has its lock no longer.
 * @param session the one that took it
 * @param isPooled whether the work was done on another one: then nothing that was done there can give the lock up
 */
export async function findLoss(session: Session, isPooled: boolean): Promise<Loss> {
  const limit = withTimeout(
    new AbortController().signal,
    patienceMs,
    () => new ConnectionLost("no answer"),
  );
  const error: unknown = await session.query("select", limit.signal).then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof ConnectionLost ? thrown.cause : thrown),
  );
  limit.clear();
  if (error === undefined && !isPooled) {
    return {
      why: "its own session gave it up",
      fix: "remove pg_advisory_unlock_all or DISCARD from the file; then run again",
    };
  }
  const said = error instanceof Error ? ` (${error.message})` : "";
  const setting = poolerLimit(error);
  if (setting !== undefined) {
    return {
      why: `the pooler ended the connection that held it, by its setting ${setting}`,
      fix: withoutLimit(setting),
    };
  }
  if (isServerError(error) && error.routine !== undefined) {
    return {
      why: `the server or an administrator ended the session that held it${said}`,
      fix: "look into the server's log for who did; then run again",
    };
  }
  return {
    why: `the pooler or the network closed the connection that held it${said}`,
    fix: "look into the pooler's log; then run again",
  };
}
