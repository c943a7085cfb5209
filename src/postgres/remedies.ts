import type { ServerError } from "./sqlstate.ts";

const tooSlow =
  "raise --statement-timeout, or make the statement smaller; where that option is off, the file or its role has set the limit";
const cancelled =
  "somebody has cancelled the statement (pg_cancel_backend): find out who and why, then run again";

const remedies: { readonly [code: string]: (error: ServerError) => string } = {
  "42501": () =>
    "grant the missing right to the user headgate connects as, or set HEADGATE_DATABASE_URL to the owner's",
  "57014": ({ message }) => {
    // One code for both; only the text tells, in the server's language.
    if (message.endsWith("due to user request")) return cancelled;
    return message.endsWith("due to statement timeout") ? tooSlow : `${tooSlow}; or ${cancelled}`;
  },
  "25001": ({ routine = "" }) =>
    routine.endsWith("_check_hook")
      ? "put SET TRANSACTION at the top of the file: it must come before any query"
      : "put `-- headgate: no-transaction` on the first line of the file, and the statement alone into it",
  "40001": () =>
    "run again when the other transactions are done, or let the file run at READ COMMITTED",
  "53100": () => "free disk space on the server and run again",
  "53200": ({ hint = "" }) =>
    hint.includes("max_locks_per_transaction")
      ? "raise max_locks_per_transaction on the server, or split the file: every table and index that it touches takes a lock until it ends"
      : "give the server more memory, or the file less to do at once; then run again",
  "53400": () => "raise the limit of the server's that is named, then run again",
};

/** What to do about an error of the server, where its remedy is known. */
export const remedyOf = (error: ServerError): string | undefined => remedies[error.code]?.(error);
