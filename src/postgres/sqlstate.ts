import { errorCode } from "../errors.ts";

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

/** Names of the SQLSTATEs that migrations meet (PostgreSQL, appendix A); others are shown by number only. */
const names: { readonly [code: string]: string } = {
  "08006": "connection_failure",
  "22001": "string_data_right_truncation",
  "22012": "division_by_zero",
  "22P02": "invalid_text_representation",
  "23502": "not_null_violation",
  "23503": "foreign_key_violation",
  "23505": "unique_violation",
  "23514": "check_violation",
  "25001": "active_sql_transaction",
  "25006": "read_only_sql_transaction",
  "25P02": "in_failed_sql_transaction",
  "28000": "invalid_authorization_specification",
  "28P01": "invalid_password",
  "2BP01": "dependent_objects_still_exist",
  "3D000": "invalid_catalog_name",
  "3F000": "invalid_schema_name",
  "40001": "serialization_failure",
  "40P01": "deadlock_detected",
  "42501": "insufficient_privilege",
  "42601": "syntax_error",
  "42701": "duplicate_column",
  "42703": "undefined_column",
  "42704": "undefined_object",
  "42710": "duplicate_object",
  "42804": "datatype_mismatch",
  "42809": "wrong_object_type",
  "42830": "invalid_foreign_key",
  "42883": "undefined_function",
  "42P01": "undefined_table",
  "42P04": "duplicate_database",
  "42P06": "duplicate_schema",
  "42P07": "duplicate_table",
  "42P16": "invalid_table_definition",
  "53100": "disk_full",
  "53200": "out_of_memory",
  "53300": "too_many_connections",
  "55006": "object_in_use",
  "55P03": "lock_not_available",
  "55P04": "unsafe_new_enum_value_usage",
  "57014": "query_canceled",
  "57P01": "admin_shutdown",
  "57P02": "crash_shutdown",
  "57P03": "cannot_connect_now",
  P0001: "raise_exception",
  XX000: "internal_error",
};

/** `42P01 undefined_table`. */
export function describeSqlState(code: string): string {
  return names[code] === undefined ? code : `${code} ${names[code]}`;
}
