import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type pg from "pg";
import type { Session } from "../../../src/postgres/session.ts";
import { splitStatements } from "../../../src/sql/statements.ts";
import { strongLocksOf, type Wanted } from "../../../src/sql/strong-locks.ts";
import { findBlockers } from "../../../src/table-locks/blockers.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";
import { alterations, type Case } from "./strong-locks/alterations.ts";
import { type Exception, exceptions, idle } from "./strong-locks/exceptions.ts";
import {
  connectHolders,
  hold,
  type Lock,
  locksHeldBack,
  locksInside,
  readConflicts,
  readLocks,
  ways,
} from "./strong-locks/observe.ts";
import { others, unnamed } from "./strong-locks/others.ts";
import { outside, outsideUnnamed, waiting } from "./strong-locks/outside.ts";
import { schema } from "./strong-locks/schema.ts";

/** What the server does, and what headgate says of it. */
type Seen = { wanted: Wanted; locks: readonly Lock[]; over: Set<string>; missed: Set<string> };

const server = await useServer({ own: true });
let database: string;
let monitor: pg.Client;
const seen = new Map<string, Seen>();

const known = <T extends Case>(list: readonly T[]): readonly T[] =>
  list.filter(({ since }) => since <= server.major);

before(async () => {
  database = await createDatabase(server);
  await server.psql(database, schema);
  monitor = await server.connect(database);
  await runAll();
  await compareAll();
});
after(async () => {
  await monitor.end();
});

/** Runs each statement and notes its locks. Those outside a transaction come first: one leaves behind what another needs. */
async function runAll(): Promise<void> {
  const client = await server.connect(database);
  const holder = await server.connect(database);
  const note = (sql: string, locks: readonly Lock[]): void => {
    const [statement] = splitStatements(sql).statements;
    assert.ok(statement !== undefined && !seen.has(sql), sql);
    const wanted = strongLocksOf(sql, statement);
    seen.set(sql, { wanted, locks, over: new Set(), missed: new Set() });
  };

  await holder.query("select pg_advisory_lock(42)");
  for (const { sql } of known([...outside, ...outsideUnnamed])) {
    note(sql, await locksHeldBack(client, monitor, sql));
    await client.query("drop index if exists slow.fresh");
  }
  await holder.query("begin; lock table waited.dropped, only waited.halves_1 in access share mode");
  for (const { sql } of known(waiting)) note(sql, await locksHeldBack(client, monitor, sql));
  await holder.query("rollback; select pg_advisory_unlock_all()");

  const inside = [...alterations, ...others, ...unnamed, ...exceptions, ...idle];
  for (const { sql } of known(inside)) note(sql, await locksInside(client, monitor, sql));
  await Promise.all([client.end(), holder.end()]);
}

/** Holds every relation in every mode, and compares whom each statement waits for with whom `findBlockers` finds. */
async function compareAll(): Promise<void> {
  const [client, holder] = [await server.connect(database), await server.connect(database)];
  const conflicts = await readConflicts(holder, client);
  await Promise.all([client.end(), holder.end()]);
  const holders = await connectHolders(server, database);
  const pids = holders.map(({ pid }) => pid);
  for (const way of ways) {
    await Promise.all(holders.map((holder) => hold(holder, way)));
    const held = Map.groupBy(await readLocks(monitor, pids), ({ pid }) => pid);
    const answers = new Map<string, Promise<Map<number | null, string[]>>>();
    for (const { wanted, locks, over, missed } of seen.values()) {
      const question = JSON.stringify(wanted.relations);
      const answer = answers.get(question) ?? blockersOf(wanted);
      answers.set(question, answer);
      const found = await answer;
      for (const pid of pids) {
        const waitedFor = (held.get(pid) ?? []).filter(({ oid, mode: theirs }) =>
          locks.some(({ oid: own, mode }) => own === oid && conflicts.has(`${theirs} ${mode}`)),
        );
        const probed = found.get(pid) ?? [];
        if (waitedFor.length === 0) for (const relation of probed) over.add(relation);
        if (probed.length === 0) for (const { relation } of waitedFor) missed.add(relation);
      }
    }
    await Promise.all(holders.map(({ client }) => client.query("rollback")));
  }
  await Promise.all(holders.map(({ client }) => client.end()));
}

async function blockersOf({ relations }: Wanted): Promise<Map<number | null, string[]>> {
  const session = {
    query: async (sql: string) => [await monitor.query(sql)],
  } as unknown as Session;
  const blockers = await findBlockers(session, relations, false, new AbortController().signal);
  assert.ok(
    blockers.length < 100,
    `only some of the blockers are told: ${JSON.stringify(relations)}`,
  );
  const byPid = Map.groupBy(blockers, ({ pid }) => pid);
  return new Map([...byPid].map(([pid, list]) => [pid, list.map(({ relation }) => relation)]));
}

/** Fails with all statements of which something else was seen than expected. */
function assertSeen(
  list: readonly Case[],
  describe: (seen: Seen) => unknown,
  expect: (one: Case) => unknown,
): void {
  const wrong = known(list).flatMap((one) => {
    const [actual, expected] = [describe(seen.get(one.sql) as Seen), expect(one)];
    return isDeepStrictEqual(actual, expected) ? [] : [{ sql: one.sql, actual, expected }];
  });
  assert.deepEqual(wrong, []);
}

const differences = ({ over, missed }: Seen): unknown => ({
  over: [...over].toSorted(),
  missed: [...missed].toSorted(),
});
const exact = { over: [], missed: [] };
const excepted = ({ over = [], missed = [] }: Partial<Exception>): unknown => ({ over, missed });

test("M5 the locks of ALTER are known before it runs, neither more nor less", () => {
  assertSeen(alterations, differences, () => exact);
});

test("M5 the locks of all other statements are known, neither more nor less", () => {
  assertSeen(others, differences, () => exact);
});

test("M5 the locks of statements outside a transaction are known, neither more nor less", () => {
  assertSeen([...outside, ...waiting], differences, excepted);
});

test("M5 what is not known exactly is known to be so, with the relations it is about", () => {
  assertSeen(exceptions, differences, excepted);
});

test("M5 where the text does not name the relations, it is known that there are some", () => {
  const describe = ({ wanted, locks }: Seen): unknown => [wanted, locks.length > 0];
  assertSeen([...unnamed, ...outsideUnnamed], describe, () => [
    { isStrong: true, relations: [] },
    true,
  ]);
});

test("M5 a statement is strong when it takes a strong lock on anything that was there, and only then", () => {
  const describe = ({ wanted, locks }: Seen): unknown => wanted.isStrong === locks.length > 0;
  assertSeen([...alterations, ...others, ...exceptions, ...outside], describe, () => true);
  assertSeen(
    waiting,
    ({ wanted }) => wanted.isStrong,
    () => false,
  );
  assertSeen(
    idle,
    ({ wanted, locks }) => [wanted.isStrong, locks.length],
    () => [true, 0],
  );
});
