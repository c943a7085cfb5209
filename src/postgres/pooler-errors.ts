/**
 * What PgBouncer says of itself. All of it has the code 08P01 and the severity FATAL, so only the words tell one thing
 * from another; they are never translated. Seen with PgBouncer 1.18.
 */
import { isServerError } from "./sqlstate.ts";

const says = (error: unknown, words: RegExp): boolean =>
  isServerError(error) && error.code === "08P01" && words.test(error.message);

/** It has no such database, and may get it yet, as a server may. */
export const isUnknownToPooler = (error: unknown): boolean => says(error, /^no such database\b/);

/** It does not know the user, or not by this password: it says the same of both, in the words of its `auth_type`. */
export const isRefusedByPooler = (error: unknown): boolean =>
  says(error, /^no such user\b|\bauthentication failed$/);

/** It passes on no settings of this kind, and never will as it is configured. */
export const isRefusedParameter = (error: unknown): boolean =>
  says(error, /^unsupported startup parameter/);

/** `pool_mode = statement`: whoever begins a transaction is shown out. */
export const isStatementPooling = (error: unknown): boolean =>
  says(error, /statement pooling mode/);
