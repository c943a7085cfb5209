import { HeadgateError } from "../errors.ts";
import { isServerError, type ServerError } from "./sqlstate.ts";

/*
 * PgBouncer says nearly everything of its own with one code, 08P01 (protocol_violation), and only its text tells a wrong
 * name from a full pool. The texts are English everywhere. They were read in the sources from 1.7 to 1.25, and those of
 * 1.18 are tested. A server's own error that PgBouncer passes on has the server's code, and needs none of this.
 */

/** What a pooler says of the session that it was asked for. */
export type PoolerState = {
  /** `retry`: it may pass. `grace`: it may be a start-up race. `mistake`: of the configuration. */
  readonly kind: "retry" | "grace" | "fatal" | "mistake";
  readonly state: string;
  readonly fix?: string;
};

/** What helps against whatever a pooler does. */
export const directly =
  "set HEADGATE_DATABASE_URL to the server's own address; the API may keep the pooled one";

const states: readonly (readonly [RegExp, PoolerState])[] = [
  [
    /^no such database|^database ".*" does not exist/,
    {
      kind: "grace",
      state: "database unknown to the pooler",
      fix: "name the database in [databases] of pgbouncer.ini, or correct the one that is asked for",
    },
  ],
  [
    /^no such user|^(password|SASL|PAM|LDAP|certificate|"trust") authentication failed|^auth failed|^login failed|^empty password/,
    {
      kind: "grace",
      state: "login refused by the pooler",
      fix: "check user and password against the pooler's auth_file, auth_query or auth_user",
    },
  ],
  [
    /^(unix socket )?login rejected/,
    {
      kind: "fatal",
      state: "rejected by the pooler",
      fix: "add a line for this user, database and address to the pooler's auth_hba_file",
    },
  ],
  [
    /^SSL required/,
    {
      kind: "fatal",
      state: "the pooler wants TLS",
      fix: "set sslmode=require or stronger",
    },
  ],
  [
    // 1.20 takes some of `options`, and says so of the rest.
    /^unsupported (options )?startup parameter/,
    {
      kind: "mistake",
      state: "the pooler takes no such parameter",
      fix: `take it out of the URL and PGOPTIONS and give it to the role (alter role … set …), or ${directly}; or name it in ignore_startup_parameters of pgbouncer.ini, which then drops it`,
    },
  ],
  [/^no more connections allowed|^too many connections/, { kind: "retry", state: "pooler full" }],
  [/^database ".*" is disabled/, { kind: "retry", state: "disabled in the pooler" }],
  [
    /^(query_wait_timeout|client_login_timeout)/,
    { kind: "retry", state: "no free connection in the pool" },
  ],
  [
    /^server login has been failing|^pgbouncer cannot connect to server|^server login failed|^server DNS lookup failed/,
    { kind: "retry", state: "the pooler has no server" },
  ],
];

/** @returns undefined for an error that is no pooler's own, or that says nothing of the kind */
export function poolerState(error: unknown): PoolerState | undefined {
  return isPoolers(error) ? states.find(([text]) => text.test(error.message))?.[1] : undefined;
}

/** Whether a pooler has no place for one more client; others come and go. */
export const isPoolerFull = (error: unknown): boolean =>
  poolerState(error)?.state === "pooler full";

/** Whether a pooler hands out a connection for one statement only: it then forbids transactions. */
export const forbidsTransactions = (error: unknown): boolean =>
  isPoolers(error) && /^transaction blocks not allowed/i.test(error.message);

/** @returns the refusal (64) to work through a pooler that does */
export function refusalOfStatementMode(cause: unknown): HeadgateError {
  return new HeadgateError(
    "usage",
    "the connection goes through a pooler in statement mode, which lets nobody begin a transaction; nothing was changed",
    {
      fix: "set HEADGATE_DATABASE_URL to the server's own address, or to a pool in session or transaction mode; the API may keep this one",
      cause,
    },
  );
}

/** The settings of PgBouncer that end what takes long, by what it then says. */
const limits = new Map([
  ["query timeout", "query_timeout"],
  ["query_timeout", "query_timeout"],
  ["transaction timeout", "transaction_timeout"],
  ["idle transaction timeout", "idle_transaction_timeout"],
  ["client_idle_timeout", "client_idle_timeout"],
]);

/** The setting of the pooler's by which it has ended a connection: another try meets the same limit. */
export function poolerLimit(error: unknown): string | undefined {
  return isPoolers(error) ? limits.get(error.message) : undefined;
}

/** What is to be done about such a limit. */
export const withoutLimit = (setting: string): string =>
  `raise ${setting} of the pooler, or ${directly}: another try meets the same limit`;

/** A server names the routine that raised an error; a pooler has none. */
function isPoolers(error: unknown): error is ServerError {
  return isServerError(error) && error.code === "08P01" && error.routine === undefined;
}
