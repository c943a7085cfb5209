import assert from "node:assert/strict";
import { hostname } from "node:os";
import type pg from "pg";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import {
  type Artifact,
  type LaunchOptions,
  type RunningHeadgate,
  artifacts,
  canUnshare,
  requireOrSkip,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { startProxy } from "../../helpers/proxy.ts";

const server = await useServer({ own: true });

/** A file that runs until the test lets it: the test's session has the lock that it asks for. */
const heldFile = "SELECT pg_advisory_xact_lock(42);";

async function closeGate(database: string): Promise<pg.Client> {
  const gate = await server.connect(database);
  await gate.query("SELECT pg_advisory_lock(42)");
  return gate;
}

/** The sessions that wait for the gate, that is, run `heldFile`. */
async function atTheGate(database: string): Promise<{ pid: number; name: string }[]> {
  return server.psql(
    database,
    `SELECT pid, application_name AS name FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE locktype = 'advisory' AND objid = 42 AND NOT granted AND datname = current_database()`,
  );
}

const migrate = (
  artifact: Artifact,
  env: Record<string, string>,
  args: string[] = [],
  options: LaunchOptions = {},
): Promise<RunningHeadgate> => startHeadgate(artifact, ["migrate", ...args], { ...options, env });

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L2 replicas that wait never deadlock with CREATE INDEX CONCURRENTLY",
    async () => {
      for (let round = 1; round <= 3; round++) {
        const database = await createDatabase(server);
        await server.psql(
          database,
          `CREATE TABLE notes (id int, text text);
        INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 50000) n`,
        );
        const migrations = makeMigrations({
          "1_index-notes.sql":
            "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY notes_text ON notes (text);",
        });
        const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };

        // The index build waits for this transaction, and the replicas for the index build.
        const writer = await server.connect(database);
        await writer.query("BEGIN; INSERT INTO notes VALUES (0)");
        const holder = await migrate(artifact, env);
        await holder.waitForLog("locked");
        const waiters = await Promise.all(Array.from({ length: 12 }, () => migrate(artifact, env)));
        for (const waiter of waiters) await waiter.waitForLog("waiting for the lock");
        await writer.end();

        for (const replica of [holder, ...waiters]) {
          const { exitCode, stderr } = await replica.result;
          assert.equal(exitCode, 0, `round ${round}: ${stderr}`);
          assert.doesNotMatch(stderr, /40P01/);
        }
        const [index] = await server.psql<{ indisvalid: boolean }>(
          database,
          "SELECT indisvalid FROM pg_index WHERE indexrelid = 'notes_text'::regclass",
        );
        assert.deepEqual(index, { indisvalid: true });
      }
      assert.doesNotMatch(server.log(), /deadlock detected/);
    },
  );

  testOn(
    artifact,
    "L2 a replica holds no connection between its looks, and no transaction or place in a queue during them",
    async (t) => {
      const database = await createDatabase(server);
      const migrations = makeMigrations({ "1_held.sql": heldFile });
      const gate = await closeGate(database);
      const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
      const holder = await migrate(artifact, env);
      const [{ pid: holderPid } = { pid: 0 }] = await eventually("the file runs", async () => {
        const found = await atTheGate(database);
        return found.length > 0 && found;
      });

      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      const waiter = await migrate(artifact, {
        DATABASE_URL: server.url(database, { port: proxy.port }),
        HEADGATE_MIGRATIONS: migrations,
      });
      const looks = new Set<number>();
      const pauses = new Set<number>();
      await eventually("ten looks, and the pauses between them", async () => {
        if (proxy.open === 0) pauses.add(proxy.connections);
        const sessions = await server.psql<{ pid: number; state: string; queued: boolean }>(
          database,
          `SELECT pid, state, EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND NOT granted) AS queued
        FROM pg_stat_activity a WHERE datname = current_database()
          AND application_name LIKE 'headgate/%' AND pid <> ${holderPid}`,
        );
        for (const { pid, state, queued } of sessions) {
          looks.add(pid);
          assert.ok(
            !queued && !state.startsWith("idle in transaction"),
            `${state}, queued ${queued}`,
          );
        }
        return proxy.connections >= 10 && pauses.size >= 5 && looks.size > 0;
      });
      // The end of one look may be seen after the beginning of the next.
      assert.ok(proxy.maxOpen <= 2, `${proxy.maxOpen} connections at a time`);

      await gate.end();
      for (const replica of [holder, waiter]) assert.equal((await replica.result).exitCode, 0);
    },
  );

  for (const pid1 of [false, true]) {
    const place = pid1 ? "as PID 1" : "as an ordinary process";
    testOn(
      artifact,
      `L5 waiting for another replica is bounded by --lock-wait, and names who has the lock, ${place}`,
      async (t) => {
        if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
        const database = await createDatabase(server);
        const migrations = makeMigrations({ "1_empty.sql": "", "2_held-file.sql": heldFile });
        const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
        const gate = await closeGate(database);
        const holder = await migrate(artifact, env, [], { pid1 });
        const [{ pid, name } = { pid: 0, name: "" }] = await eventually("file 2 runs", async () => {
          const found = await atTheGate(database);
          return found.length > 0 && found;
        });
        const host = hostname();
        assert.match(name, /^headgate\/\d+\.\d+\.\d+ \S+ 2_held-file$/);
        assert.ok(host.endsWith(name.split(" ")[1] ?? "?"), `${name} names the host ${host}`);

        const waiter = await runHeadgate(artifact, ["--", "echo", "serving"], {
          env: { ...env, HEADGATE_LOCK_WAIT: "1500ms" },
          pid1,
        });
        assert.equal(waiter.exitCode, 75, waiter.stderr);
        assert.equal(waiter.stdout, "");
        assert.ok(waiter.durationMs >= 1500, `${waiter.durationMs} ms`);
        const who = new RegExp(
          `${name} \\(pid ${pid}, 127\\.0\\.0\\.1, since \\d{4}-\\d\\d-\\d\\dT[\\d:]+Z\\)`,
        );
        const progress = waiter.lines.filter(({ msg }) => msg === "waiting for the lock");
        assert.ok(progress.length > 0);
        for (const line of progress) assert.match(String(line["holder"]), who);
        const failure = waiter.lines.at(-1);
        assert.match(failure?.msg ?? "", who);
        assert.match(failure?.msg ?? "", /nothing was changed/);
        assert.equal(failure?.["code"], "lock_timeout");
        assert.match(String(failure?.["fix"]), /--lock-wait/);

        await gate.end();
        assert.equal((await holder.result).exitCode, 0);
        const after = await runHeadgate(artifact, ["--", "echo", "serving"], { env });
        assert.deepEqual([after.exitCode, after.stdout], [0, "serving\n"]);
      },
    );
  }

  testOn(
    artifact,
    "L5 an ordinary role sees the holder's name, though not its address",
    async () => {
      const database = await createDatabase(server);
      const role = `reader_${database}`;
      await server.psql(database, `CREATE ROLE ${role} LOGIN PASSWORD 'reader-password'`);
      const migrations = makeMigrations({ "1_held.sql": heldFile });
      const gate = await closeGate(database);
      const holder = await migrate(artifact, {
        DATABASE_URL: server.url(database),
        HEADGATE_MIGRATIONS: migrations,
      });
      await holder.waitForLog("locked");
      await eventually("the file runs", async () => (await atTheGate(database)).length > 0);
      await server.psql(database, `GRANT SELECT ON migrations TO ${role}`);
      const waiter = await runHeadgate(artifact, ["migrate", "--lock-wait", "200ms"], {
        env: {
          DATABASE_URL: server.url(database, { user: role, password: "reader-password" }),
          HEADGATE_MIGRATIONS: migrations,
        },
      });
      assert.equal(waiter.exitCode, 75, waiter.stderr);
      assert.match(waiter.stderr, /headgate\/[^ ]+ [^ ]+ 1_held \(pid \d+, address not visible\)/);
      await gate.end();
      assert.equal((await holder.result).exitCode, 0);
    },
  );
}
