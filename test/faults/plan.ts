import { dealer, pick, type Random, randomNumbers } from "./random.ts";

/** What happens to a run. */
export const faults = [
  "SIGKILL of headgate",
  "SIGTERM to headgate",
  "end of its session",
  "cut of its connection",
  "crash of the server",
] as const;
export type Fault = (typeof faults)[number];

/** When, as seen from a burst of messages that headgate sends. */
export const phases = [
  "before it is sent",
  "a little after it was sent",
  "while it waits for a lock",
  "before its answer is heard",
  "after its answer was heard",
] as const;
export type Phase = (typeof phases)[number];

/** Those who stand in the way of a concurrent build, and stop it at different stages: an old snapshot, writers, a lock. */
const users = ["reader", "writer", "owner"] as const;
/** Those who stop everything: one has all tables to himself, the other only those that headgate itself writes. */
const exclusives = ["owner", "archivist"] as const;

export type Point = {
  readonly fault: Fault;
  readonly phase: Phase;
  /** Which of the bursts, from 1. */
  readonly burst: number;
  readonly delayMs: number;
  /** Who holds the lock that is waited for. */
  readonly blocker: (typeof users)[number] | (typeof exclusives)[number];
  /** Whether the blocker goes when the fault strikes, or when the session that waits for it has gone. */
  readonly blockerGoesAtOnce: boolean;
};

export type Group = "transactional" | "stepwise";

export type Case = {
  readonly number: number;
  readonly group: Group;
  /** To choose one of the artifacts by. */
  readonly turn: number;
  readonly first: Point;
  /** Strikes the run that follows. */
  readonly second?: Point;
};

/** The bursts of a run: those that change something, and all others. From the login on they are counted from 1. */
export type Bursts = {
  readonly writing: readonly number[];
  readonly reading: readonly number[];
  /** Those that work in several transactions, and between them wait for whoever uses the table. */
  readonly concurrent: readonly number[];
  /** Not yet a session that the server could end. */
  readonly login: readonly number[];
};

const shareOfWriting = 0.75;
const shareOfConcurrent = 0.6;
const shareOfSecond = 0.3;
const shareOfHasty = 0.3;
const longestDelayMs = 10;
const firstAfterLogin = 4;
const shortestRun = 22;

/**
 * Chooses the cases of a group: each fault in each phase equally often, at bursts that are dealt like cards, so that
 * as many as possible have their turn.
 * @param rounds how many cases each pair of a fault and a phase gets
 * @param from the number of the first case
 */
export function planCases(
  group: Group,
  bursts: Bursts,
  { seed, rounds, from }: { seed: number; rounds: number; from: number },
): Case[] {
  const random = randomNumbers(seed * 1_000_003 + from);
  const writing = dealer(random, bursts.writing);
  const reading = dealer(random, bursts.reading);
  const concurrent = dealer(
    random,
    bursts.concurrent.flatMap((burst) => users.map((blocker) => ({ burst, blocker }))),
  );
  const count = Math.max(...bursts.writing, ...bursts.reading);
  const pairs = faults.flatMap((fault) => phases.map((phase) => ({ fault, phase })));
  const cases: Case[] = [];
  for (let round = 0; round < rounds; round++) {
    const pair = dealer(random, pairs);
    for (let index = 0; index < pairs.length; index++) {
      const { fault, phase } = pair();
      const mustWait = phase === "while it waits for a lock";
      const isConcurrent = mustWait && bursts.concurrent.length > 0 && random() < shareOfConcurrent;
      const deal = mustWait || random() < shareOfWriting ? writing : reading;
      let burst = deal();
      if (fault === "end of its session") while (bursts.login.includes(burst)) burst = reading();
      const point = pointAt(random, fault, phase, burst);
      const first = isConcurrent ? { ...point, ...concurrent() } : point;
      const hasSecond = random() < shareOfSecond;
      const second = secondPoint(random, first, count);
      cases.push({
        ...{ number: from + cases.length, group, turn: round + pairIndex(fault, phase), first },
        ...(hasSecond ? { second } : {}),
      });
    }
  }
  return cases;
}

const pairIndex = (fault: Fault, phase: Phase): number =>
  faults.indexOf(fault) * phases.length + phases.indexOf(phase);

function pointAt(random: Random, fault: Fault, phase: Phase, burst: number): Point {
  const delayMs = Math.floor(random() * longestDelayMs * 10) / 10;
  const blocker = pick(random, exclusives);
  return { fault, phase, burst, delayMs, blocker, blockerGoesAtOnce: random() < shareOfHasty };
}

/** A crash of the server only where it is to crash anyhow, because others may use it, too. */
function secondPoint(random: Random, first: Point, count: number): Point {
  const mayCrash = first.fault === "crash of the server";
  const fault = pick(random, mayCrash ? faults : faults.slice(0, -1));
  // It sets right what the first has left in the bursts that follow its login, and has as many as the first had left.
  const last = random() < 0.5 ? shortestRun : Math.max(shortestRun, count - first.burst);
  const burst = firstAfterLogin + Math.floor(random() * (last - firstAfterLogin));
  const point = pointAt(random, fault, pick(random, phases), burst);
  // Its first sessions have not asked the server yet to look after their client while they wait.
  return { ...point, blockerGoesAtOnce: true };
}

/** For people. */
export const describePoint = ({ fault, phase, burst, ...more }: Point): string => {
  const details = {
    "before it is sent": "",
    "a little after it was sent": ` (${more.delayMs} ms)`,
    "while it waits for a lock": ` (blocker: ${more.blocker}, gone ${more.blockerGoesAtOnce ? "at once" : "after its session"})`,
    "before its answer is heard": "",
    "after its answer was heard": "",
  };
  return `${fault} at burst ${burst}, ${phase}${details[phase]}`;
};
