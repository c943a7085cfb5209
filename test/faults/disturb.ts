import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../helpers/eventually.ts";
import { type Artifact, type HeadgateResult, startHeadgate } from "../helpers/headgate.ts";
import type { Postgres } from "../helpers/postgres.ts";
import { type ProxyMoment, startProxy } from "../helpers/proxy.ts";
import { block, type Blocker } from "./blocker.ts";
import type { Phase, Point } from "./plan.ts";
import { ourSessions, type Strike, strike, type Victim } from "./strike.ts";
import { isComplete, queryIn } from "./wire.ts";

/** Where headgate runs. */
export type Place = {
  readonly artifact: Artifact;
  readonly server: Postgres;
  readonly database: string;
  readonly folder: string;
};

/** A run that met a fault, or was over before. */
export type Disturbed = {
  readonly result: HeadgateResult;
  /** The phase in which the fault really struck; undefined when it did not. */
  readonly struck: Phase | undefined;
  /** What headgate was saying then. */
  readonly saying: string;
  readonly restart?: Promise<void>;
};

/** Starts `headgate migrate`; the port is another one than the server's when something stands between them. */
export const startMigrate = ({ artifact, server, database, folder }: Place, port = server.port) =>
  startHeadgate(artifact, ["migrate", "--wait-timeout", "30s", "--lock-wait", "30s"], {
    env: {
      DATABASE_URL: server.url(database, { port, params: { sslmode: "disable" } }),
      HEADGATE_MIGRATIONS: folder,
    },
  });

/** Runs `headgate migrate` and lets a fault strike it at a point. */
export async function disturb(place: Place, point: Point): Promise<Disturbed> {
  const { server, database } = place;
  const admin = await server.connect("postgres", { host: server.socketDir });
  const saying: string[] = [];
  const answer: Buffer[] = [];
  const failures: unknown[] = [];
  let struck: Phase | undefined;
  let stroke: Strike | undefined;
  let blocker: Blocker | undefined;
  let acting: Promise<"drop" | "forward"> | undefined;
  let releasing: Promise<void> | undefined;

  const hit = async (phase: Phase): Promise<Strike["verdict"]> => {
    const { pid } = await running;
    const victim: Victim = { server, database, pid, proxy, admin };
    const sessions = await sessionsOf(victim, blocker !== undefined && !point.blockerGoesAtOnce);
    stroke = await strike(point.fault, victim);
    if (stroke.happened) struck = phase;
    releasing = release(victim, blocker, sessions).catch((error: unknown) => {
      failures.push(error);
    });
    return stroke.verdict;
  };

  const act = async (moment: ProxyMoment): Promise<"drop" | "forward"> => {
    switch (point.phase) {
      case "before it is sent":
      case "before its answer is heard":
      case "after its answer was heard":
        return hit(point.phase);
      case "a little after it was sent":
        await delay(point.delayMs);
        return hit(point.phase);
      case "while it waits for a lock": {
        if (moment === "asking") {
          blocker = await block(server, database, point.blocker);
          return "forward";
        }
        return hit((await waits(admin, database, () => proxy.held > 0)) ? point.phase : unheard);
      }
    }
  };

  const proxy = await startProxy(server.port, (moment, burst, bytes) => {
    if (burst !== point.burst || stroke !== undefined) return undefined;
    if (moment === "asking") saying.push(queryIn(bytes) ?? "");
    if (moment === "answering") answer.push(bytes);
    const isEarly = moment.startsWith("answer") && !isComplete(Buffer.concat(answer));
    if (isEarly || !momentsOf[point.phase].includes(moment)) return undefined;
    acting = act(moment).catch((error: unknown) => {
      failures.push(error);
      return "forward";
    });
    return acting;
  });
  const running = startMigrate(place, proxy.port);
  try {
    const result = await (await running).result;
    // It may have been faster than its fault.
    await acting;
    await releasing;
    if (failures.length > 0) throw failures[0];
    const { restart } = stroke ?? {};
    return {
      result,
      struck,
      saying: saying.join(""),
      ...(restart === undefined ? {} : { restart }),
    };
  } finally {
    await blocker?.end();
    await proxy.stop();
    await admin.end().catch(() => {});
  }
}

const unheard: Phase = "before its answer is heard";

const momentsOf: { readonly [phase in Phase]: readonly ProxyMoment[] } = {
  "before it is sent": ["asking"],
  "a little after it was sent": ["asked"],
  "while it waits for a lock": ["asking", "asked"],
  "before its answer is heard": ["answering"],
  "after its answer was heard": ["answered"],
};

/** Waits until a statement stands in a lock queue. @returns false when it was answered instead */
async function waits(
  admin: Victim["admin"],
  database: string,
  isAnswered: () => boolean,
): Promise<boolean> {
  const outcome = await eventually("it waits for a lock, or is answered", async () => {
    if (isAnswered()) return { waits: false };
    const sql = `select ${ourSessions} and state = 'active' and wait_event_type = 'Lock'`;
    const { rows } = await admin.query(sql, [database]);
    return rows.length > 0 && { waits: true };
  });
  return outcome.waits;
}

/** The sessions to wait for before the blocker may go. */
async function sessionsOf({ admin, database }: Victim, areWanted: boolean): Promise<number[]> {
  if (!areWanted) return [];
  const { rows } = await admin.query<{ pid: number }>(`select pid ${ourSessions}`, [database]);
  return rows.map(({ pid }) => pid);
}

async function release(
  { admin }: Victim,
  blocker: Blocker | undefined,
  sessions: readonly number[],
): Promise<void> {
  if (blocker === undefined) return;
  await eventually("the session that was blocked has gone", async () => {
    const { rows } = await admin
      .query("select from pg_stat_activity where pid = any($1)", [sessions])
      // After a crash nobody is there to ask.
      .catch(() => ({ rows: [] }));
    return rows.length === 0;
  });
  await blocker.end();
}
