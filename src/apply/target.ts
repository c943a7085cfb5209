import type { Loss } from "../lock/loss.ts";
import type { Migration } from "../migrations/folder.ts";
import type { Session } from "../postgres/session.ts";
import type { Log } from "../report/log.ts";
import type { LockManners } from "../table-locks/patience.ts";

/** Where and how migrations are applied. */
export type Target = {
  readonly session: Session;
  /** Whether a pooler stands between: then only what is inside one transaction belongs together. */
  readonly isPooled: boolean;
  /** Schema and table of the history, as the server resolved them. */
  readonly historyTable: readonly [string, string];
  /** Whether there is a journal beside the history, and it may be written. */
  readonly hasJournal: boolean;
  /** Tables of headgate's own, as configured: they are no part of the schema that migrations make. */
  readonly ownTables: readonly (readonly string[])[];
  /** An SQL condition: this run still has the migration lock. */
  readonly lockIsHeld: string;
  /** Finds out who has ended the lock. */
  readonly findLoss: () => Promise<Loss>;
  /** Settings for the session while a file runs. */
  readonly settings: Readonly<Record<string, string>>;
  /** Names the session for other replicas and for DBAs. */
  readonly applicationName: (migration: Migration) => string;
  readonly lockManners: LockManners;
  /** Opens another session to the same server, to look at what this one does. @param waitMs for a server that is not ready */
  readonly openObserver: (signal: AbortSignal, waitMs?: number) => Promise<Session>;
  readonly log: Log;
};
