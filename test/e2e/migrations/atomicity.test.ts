import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../../helpers/eventually.ts";
import { useServer } from "../../helpers/use-server.ts";
import { testOn } from "../../helpers/everywhere.ts";
import {
  type Artifact,
  artifacts,
  canUnshare,
  requireOrSkip,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ settings: { synchronous_commit: "on" } });
// So that what was committed survives the power cut.

const count = 12;

/** Files with two effects each, one at the beginning and one at the end of a few milliseconds. */
const migrations = makeMigrations(
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `${index + 1}_step-${index + 1}.sql`,
      `CREATE TABLE step_${index + 1} (id int);
      SELECT pg_sleep(0.005);
      CREATE INDEX step_${index + 1}_id ON step_${index + 1} (id);`,
    ]),
  ),
);

/** A generator of numbers from 0 to 1 that gives the same ones each time (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The history table as postgres-migrations makes it, with a trigger that takes its time to record. */
const slowHistory = `
  CREATE TABLE migrations (
    id integer PRIMARY KEY, name varchar(100) UNIQUE NOT NULL, hash varchar(40) NOT NULL,
    executed_at timestamp DEFAULT current_timestamp
  );
  CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.01); RETURN new; END $$;
  CREATE TRIGGER slow BEFORE INSERT ON migrations FOR EACH ROW EXECUTE FUNCTION be_slow();`;

/** The numbers of the files whose tables, whose indexes, and whose history rows are there. */
async function applied(database: string): Promise<number[]> {
  await eventually("the interrupted session is gone", async () => {
    const sql = `SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'headgate/%'`;
    return (await server.psql(database, sql)).length === 0;
  });
  const [found] = await server.psql<{ tables: number[]; indexes: number[] }>(
    database,
    `SELECT coalesce(array_agg(substr(relname, 6)::int ORDER BY 1) FILTER (WHERE relname ~ '^step_\\d+$'), '{}') AS tables,
      coalesce(array_agg(substring(relname from '\\d+')::int ORDER BY 1) FILTER (WHERE relname ~ '^step_\\d+_id$'), '{}') AS indexes
    FROM pg_class WHERE relname ~ '^step_'`,
  );
  const [table] = await server.psql(database, "SELECT to_regclass('migrations') AS name");
  const rows =
    table?.["name"] === null
      ? []
      : await server.psql<{ id: number }>(database, "SELECT id FROM migrations WHERE id > 0");
  const sorted = (numbers: readonly number[] = []): number[] => numbers.toSorted((a, b) => a - b);
  const recorded = sorted(rows.map(({ id }) => id));
  assert.deepEqual(sorted(found?.tables), recorded, "tables and history agree");
  assert.deepEqual(sorted(found?.indexes), recorded, "indexes and history agree");
  assert.deepEqual(
    recorded,
    Array.from({ length: recorded.length }, (_, index) => index + 1),
  );
  return recorded;
}

type Interruption = (
  database: string,
  replica: Awaited<ReturnType<typeof startHeadgate>>,
) => Promise<void>;

const interruptions: Record<string, Interruption> = {
  "its process is killed": async (_, replica) => {
    try {
      replica.signal("SIGKILL");
    } catch {
      // It had ended.
    }
  },
  "its session is terminated": async (database) => {
    await server.psql(
      database,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'headgate/%'`,
    );
  },
  "the server is cut off from power": async () => {
    await server.stop("kill");
    await server.start();
  },
};

/**
 * Interrupts replica after replica, until the time is over, at moments between their start and their end.
 * @returns how often, and after how many files
 */
async function interruptRepeatedly(
  artifact: Artifact,
  interrupt: Interruption,
  { seed, ms, pid1 }: { seed: number; ms: number; pid1: boolean },
): Promise<{ times: number; states: Set<number> }> {
  const random = randomNumbers(seed);
  const states = new Set<number>();
  let times = 0;
  const started = performance.now();
  // On a slow machine few moments fit into the time; then it goes on until there are enough different ones.
  const goesOn = (): boolean => {
    const spent = performance.now() - started;
    return spent < ms || (states.size <= 2 && spent < 60_000);
  };
  for (let round = 0; goesOn(); round++) {
    const database = await createDatabase(server);
    if (round % 2 === 1) await server.psql(database, slowHistory);
    const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
    for (let done = 0; done < count && goesOn();) {
      const replica = await startHeadgate(artifact, ["migrate", "--wait-timeout", "100ms"], {
        env,
        pid1,
      });
      // From before its first connection to several files later.
      if (random() < 0.8)
        await replica.waitForLog(({ msg }) => msg !== "configured").catch(() => {});
      await delay(random() * 60);
      await interrupt(database, replica);
      times++;
      const { exitCode, signal, stderr } = await replica.result;
      assert.ok(signal === "SIGKILL" || [0, 69].includes(exitCode ?? -1), stderr);
      const now = (await applied(database)).length;
      assert.ok(now >= done, "nothing that was recorded is lost");
      done = now;
      states.add(done);
    }
    // Running again converges.
    const last = await runHeadgate(artifact, ["migrate"], { env, pid1 });
    assert.equal(last.exitCode, 0, last.stderr);
    assert.equal((await applied(database)).length, count);
  }
  return { times, states };
}

for (const artifact of artifacts) {
  for (const [index, [what, interrupt]] of Object.entries(interruptions).entries()) {
    // Only the first one is about the process, and so about being PID 1.
    for (const pid1 of index === 0 ? [false, true] : [false]) {
      const place = pid1 ? ", as PID 1" : "";
      testOn(
        artifact,
        `M2 a file and its history row are committed together or not at all when ${what} at any moment${place}`,
        async (t) => {
          if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
          const seed = Number(process.env["HEADGATE_TEST_SEED"] || 1);
          const ms = pid1 ? 3000 : 6000;
          const { times, states } = await interruptRepeatedly(artifact, interrupt, {
            seed,
            ms,
            pid1,
          });
          const summary = `${times} interruptions, after ${[...states].join(", ")} files`;
          t.diagnostic(`HEADGATE_TEST_SEED=${seed}: ${summary}`);
          assert.ok(states.size > 2, summary);
        },
      );
    }
  }
}
