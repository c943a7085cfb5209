import { errorCode } from "../errors.ts";
import { conditionNames } from "./sqlstate-names.ts";

/** The fields of an ErrorResponse that headgate reads, as `pg` names them. */
export type ServerError = Error & {
  readonly code: string;
  readonly severity?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly position?: string;
  readonly where?: string;
  /** The C function that raised it: the one field that does not change with the server's language. */
  readonly routine?: string;
};

/** Whether the server itself reported this error (it then has an SQLSTATE of five characters). */
export function isServerError(error: unknown): error is ServerError {
  return error instanceof Error && /^[0-9A-Z]{5}$/.test(sqlState(error)) && "severity" in error;
}

/**
 * Whether it is said with the error that the session is over: by its severity, which poolers do not translate, or by class
 * 08. A server raises class 08 also for connections of its own (dblink, postgres_fdw) and goes on; it then names the
 * routine, which a pooler never does.
 */
export function saysGoodbye({ severity = "", code, routine }: ServerError): boolean {
  return /^(FATAL|PANIC)$/.test(severity) || (code.startsWith("08") && routine === undefined);
}

/**
 * Whether the server could not do it now, and may be able to later: serialization_failure, and class 53, no room (disk,
 * memory, locks).
 */
export const mayPass = (error: unknown): error is ServerError =>
  isServerError(error) && /^(40001|53...)$/.test(error.code);

/** The SQLSTATE, or the errno name of a network error, or "". */
export function sqlState(error: unknown): string {
  return errorCode(error);
}

/**
 * Whether pg_hba.conf has no line that lets this user in from here, encrypted as it is. The server says 28000 also of a
 * role that does not exist; only the C routine tells the two apart.
 */
export function isHbaRejection(error: unknown): boolean {
  return (
    isServerError(error) && error.code === "28000" && error.routine !== "InitializeSessionUserId"
  );
}

/** `42P01 undefined_table`; a code that PostgreSQL does not define, such as a migration's own, stands alone. */
export function describeSqlState(code: string): string {
  const name = conditionNames().get(code);
  return name === undefined ? code : `${code} ${name}`;
}
