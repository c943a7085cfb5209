import type { Attempt } from "../postgres/connect.ts";
import { ConnectTimeout } from "../postgres/connect.ts";
import { NotWritable } from "../postgres/facts.ts";
import { poolerState } from "../postgres/pooler.ts";
import { ConnectionLost, MissingPassword } from "../postgres/session.ts";
import { isHbaRejection, isServerError, sqlState } from "../postgres/sqlstate.ts";
import { TlsRefused } from "../postgres/tls.ts";

/**
 * `retry`: waiting helps. `grace`: it may be a start-up race (a role, password or database made late), so it is
 * retried for a while. `fatal`: waiting cannot help. `mistake`: the configuration asks for what cannot be had.
 */
type Verdict = "retry" | "grace" | "fatal" | "mistake";

export type Judgement = {
  readonly verdict: Verdict;
  /** One word or two for the state the server is in; a log line is written when it changes. */
  readonly state: string;
  readonly address: string;
  readonly error: Error;
  /** What to do, where the state itself does not say it. */
  readonly fix?: string;
};

/** Network and resolver failures by their errno name, as people search for them. */
const networkStates: { readonly [code: string]: string } = {
  ENOTFOUND: "name not found",
  EAI_AGAIN: "name not resolved yet",
  ENODATA: "name not found",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection closed",
  EPIPE: "connection closed",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  ETIMEDOUT: "no answer",
  ENOENT: "no socket yet",
};

/**
 * Says of a failed attempt whether waiting can help. Judges by SQLSTATE and errno, not by message text, which is
 * translated; only a pooler's own text is read (postgres/pooler.ts).
 */
export function judge({ endpoint, error: thrown }: Attempt): Judgement {
  // A login may succeed at a pooler that gets its server, or the server's refusal, only with the first query.
  const said = thrown instanceof ConnectionLost ? thrown.cause : undefined;
  const error = isServerError(said) ? said : thrown;
  const address = endpoint.host.startsWith("/")
    ? endpoint.host
    : `${endpoint.host}:${endpoint.port}`;
  const say = (verdict: Verdict, state: string, fix?: string): Judgement => ({
    ...{ verdict, state, address, error },
    ...(fix === undefined ? {} : { fix }),
  });
  if (error instanceof NotWritable)
    return say("retry", error.isStandby ? "read-only standby" : "read-only");
  if (error instanceof ConnectTimeout) return say("retry", "no answer");
  if (error instanceof ConnectionLost) return say("retry", "connection closed");
  if (error instanceof MissingPassword) {
    return say(
      "fatal",
      "no password",
      "set PGPASSWORD, PGPASSWORD_FILE or put the password into the URL",
    );
  }
  if (error instanceof TlsRefused) {
    return say(
      "fatal",
      "TLS refused",
      "check sslmode, sslrootcert, channel_binding and the host name against the server and its certificate",
    );
  }
  const pooler = poolerState(error);
  if (pooler !== undefined) return say(pooler.kind, pooler.state, pooler.fix);
  if (!isServerError(error)) {
    const code = sqlState(error);
    if (code === "EACCES" || code === "EPERM")
      return say("fatal", "socket not permitted", "check the socket folder's permissions");
    return say("retry", networkStates[code] ?? "connection failed");
  }
  switch (error.code) {
    case "57P03":
      return say("retry", "starting up");
    case "57P01":
    case "57P02":
      return say("retry", "shutting down");
    case "53300":
      return say("retry", "too many connections");
    case "28P01":
      return say(
        "grace",
        "password refused",
        "check user and password; a role that does not exist looks the same",
      );
    case "3D000":
      return say("grace", "database missing", "create it, or pass --create-database");
    case "42501":
      return say("grace", "connect not granted", "grant connect on the database to the role");
    case "28000":
      return isHbaRejection(error)
        ? say(
            "fatal",
            "rejected by pg_hba.conf",
            "add a line for this user, database and address, or change sslmode",
          )
        : say("grace", "role missing", "create the role, or let it log in");
  }
  // Class 08 is also what PgBouncer reports while its server is down; 53 and 57 are the server's own state, XX its bug.
  if (/^(08|53|57|58|XX)/.test(error.code)) return say("retry", "server error");
  if (said !== undefined) return say("retry", "connection closed");
  return say(
    "fatal",
    "refused",
    "the server refused the session itself; check the connection options",
  );
}

const weight = { retry: 0, grace: 2, fatal: 3, mistake: 3 } as const;

/** How far an attempt got: a server that answered, even with "starting up", says more than a network that did not. */
const reach = ({ verdict, error }: Judgement): number =>
  weight[verdict] +
  (verdict === "retry" && (isServerError(error) || error instanceof NotWritable) ? 1 : 0);

/** Of several addresses the one that got furthest: its answer says most about what is wrong. */
export function judgeAll(attempts: readonly Attempt[]): Judgement {
  const [first, ...others] = attempts.map(judge);
  if (first === undefined) throw new Error("no address was tried");
  return others.reduce((best, next) => (reach(next) >= reach(best) ? next : best), first);
}
