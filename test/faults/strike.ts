import type pg from "pg";
import { alive } from "../helpers/proc.ts";
import type { Postgres } from "../helpers/postgres.ts";
import type { Proxy } from "../helpers/proxy.ts";
import type { Fault } from "./plan.ts";

/** Whom a fault may strike. */
export type Victim = {
  readonly server: Postgres;
  readonly database: string;
  /** Of headgate. */
  readonly pid: number;
  readonly proxy: Proxy;
  /** A session of ours on the server, opened beforehand because faults strike within milliseconds. */
  readonly admin: pg.Client;
};

/** What came of it. */
export type Strike = {
  /** Whether there still was a process, a session, a connection or a user of the server to strike. */
  readonly happened: boolean;
  /** What becomes of bytes that are on their way. */
  readonly verdict: "drop" | "forward";
  /** The crashed server's start. */
  readonly restart?: Promise<void>;
};

/** The sessions of headgate in a database. */
export const ourSessions = `from pg_stat_activity where datname = $1 and application_name like 'headgate/%'`;

const goneWithinMs = 10_000;

/** Lets a fault strike; returns when it has taken effect. */
export async function strike(fault: Fault, victim: Victim): Promise<Strike> {
  const { server, database, pid, proxy, admin } = victim;
  switch (fault) {
    case "SIGKILL of headgate":
      return { happened: signal(pid, "SIGKILL"), verdict: "drop" };
    case "SIGTERM to headgate":
      return { happened: signal(pid, "SIGTERM"), verdict: "forward" };
    case "end of its session": {
      const { rows } = await admin.query<{ ended: boolean }>(
        `select pg_terminate_backend(pid, ${goneWithinMs}) as ended ${ourSessions}`,
        [database],
      );
      return { happened: rows.some(({ ended }) => ended), verdict: "forward" };
    }
    case "cut of its connection": {
      const happened = proxy.open > 0 && alive(pid);
      proxy.cutAll();
      return { happened, verdict: "drop" };
    }
    case "crash of the server": {
      const happened = proxy.open > 0 && alive(pid);
      await server.stop("kill");
      const restart = server.start();
      // Whoever awaits it sees its error.
      restart.catch(() => {});
      return { happened, verdict: "forward", restart };
    }
  }
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  return alive(pid) && process.kill(pid, name);
}
