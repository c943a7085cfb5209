import assert from "node:assert/strict";
import type pg from "pg";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ settings: { max_prepared_transactions: "5" } });

async function prepare(sql: string) {
  const database = await createDatabase(server);
  await server.psql(
    database,
    "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'a'); CREATE TABLE notes (user_id int)",
  );
  const folder = makeMigrations({ "1_alter.sql": sql });
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
  return { database, env };
}

/** A session that has read the table and forgotten to end its transaction. */
async function forgetTransaction(database: string, sql = "SELECT FROM users"): Promise<pg.Client> {
  const client = await server.connect(database, { application_name: "forgetful" });
  await client.query(`BEGIN; ${sql}`);
  return client;
}

const waitsForLock = (database: string): Promise<unknown[]> =>
  server.psql(
    database,
    "SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
  );

const alter = "ALTER TABLE users ADD COLUMN age int;";

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M5 a statement that needs a strong lock does not queue behind an old transaction, and reads go on",
    async () => {
      const { database, env } = await prepare(alter);
      const blocker = await forgetTransaction(database);
      await eventually("the transaction is old", async () => {
        const sql =
          "SELECT FROM pg_stat_activity WHERE application_name = 'forgetful' AND datname = current_database() AND xact_start < clock_timestamp() - interval '0.3 s'";
        return (await server.psql(database, sql)).length === 1;
      });
      const running = await startHeadgate(artifact, ["migrate"], { env });
      const line = await running.waitForLog("waiting for a table lock");
      assert.match(
        String(line["blockers"]),
        /forgetful \(pid \d+, user postgres, idle in transaction, transaction open for [\d.]+ s, holds AccessShareLock on users\)/,
      );
      assert.equal(line["tries"], 0);
      for (let look = 0; look < 50; look++) {
        assert.deepEqual(await waitsForLock(database), [], "nobody waits in the lock queue");
      }
      await blocker.end();
      const { exitCode, lines } = await running.result;
      assert.equal(exitCode, 0);
      assert.ok(lines.some(({ msg }) => msg === "applied"));
    },
  );

  testOn(
    artifact,
    "M5 when the budget is spent it exits 75 with nothing changed and names who blocks, without their queries",
    async () => {
      const { database, env } = await prepare(`CREATE TABLE made (id int); ${alter}`);
      const blocker = await forgetTransaction(
        database,
        "SELECT FROM users WHERE name = 'a secret'",
      );
      for (const show of [false, true]) {
        const { exitCode, lines } = await runHeadgate(
          artifact,
          ["migrate", "--ddl-lock-budget", "700ms", ...(show ? ["--show-queries"] : [])],
          { env },
        );
        assert.equal(exitCode, 75);
        const last = lines.at(-1) ?? {};
        assert.match(
          last.msg ?? "",
          /1_alter\.sql: its table locks could not be had within \d+ ms .*nothing of it was changed/,
        );
        assert.match(String(last["problems"]), /^blocked by forgetful \(pid \d+, /);
        assert.equal(String(last["problems"]).includes("a secret"), show);
        assert.deepEqual(await waitsForLock(database), []);
      }
      const left = await server.psql(
        database,
        "SELECT FROM pg_class WHERE relname = 'made' UNION ALL SELECT FROM migrations WHERE id = 1",
      );
      assert.equal(left.length, 0);
      await blocker.end();
    },
  );

  testOn(
    artifact,
    "M5 a lock that only running shows is tried for a short time, and the whole file again",
    async () => {
      const { database, env } = await prepare(
        "CREATE TABLE made (id int); DO $$ BEGIN EXECUTE 'ALTER TABLE us' || 'ers ADD COLUMN age int'; END $$; INSERT INTO made VALUES (1);",
      );
      const blocker = await forgetTransaction(database);
      const running = await startHeadgate(artifact, ["migrate"], { env });
      const line = await running.waitForLog("waiting for a table lock");
      assert.ok(Number(line["tries"]) >= 1);
      const reader = await server.connect(database);
      // Each read waits for as long as a try may take; without a limit it would wait until the blocker ends.
      for (let read = 0; read < 20; read++) await reader.query("SELECT FROM users");
      await reader.end();
      await blocker.end();
      const { exitCode } = await running.result;
      assert.equal(exitCode, 0);
      assert.equal((await server.psql(database, "SELECT FROM made")).length, 1);
    },
  );

  testOn(
    artifact,
    "M5 an UPDATE may wait for a row as long as it takes, because nobody waits behind it",
    async () => {
      const { database, env } = await prepare(
        "UPDATE users SET name = 'b'; ALTER TABLE notes ADD COLUMN text text;",
      );
      const blocker = await forgetTransaction(database, "UPDATE users SET name = 'c'");
      const running = await startHeadgate(artifact, ["migrate"], { env });
      await eventually("the UPDATE waits for longer than a try for a table lock", async () => {
        const sql =
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query_start < clock_timestamp() - interval '1.2 s'";
        return (await server.psql(database, sql)).length === 1;
      });
      await blocker.query("COMMIT");
      await blocker.end();
      const { exitCode, lines } = await running.result;
      assert.equal(exitCode, 0);
      assert.ok(!lines.some(({ msg }) => msg === "waiting for a table lock"));
    },
  );

  testOn(artifact, "M5 a deadlock with live traffic makes the file start again", async () => {
    const { database, env } = await prepare(
      "INSERT INTO notes VALUES (1); ALTER TABLE notes ADD COLUMN a int; SELECT pg_advisory_xact_lock(7); DELETE FROM users;",
    );
    await server.psql("postgres", `ALTER DATABASE ${database} SET deadlock_timeout = '50ms'`);
    const other = await server.connect(database, { application_name: "other" });
    await other.query(
      "SET deadlock_timeout = '60s'; BEGIN; UPDATE users SET name = 'z'; SELECT pg_advisory_lock(7)",
    );
    const running = await startHeadgate(artifact, ["migrate"], { env });
    await eventually(
      "headgate waits while it has locked notes",
      async () => (await waitsForLock(database)).length === 1,
    );
    // Now each has what the other wants; headgate's session notices first.
    const reading = other.query("SELECT FROM notes");
    await reading;
    await other.query("COMMIT; SELECT pg_advisory_unlock_all()");
    await other.end();
    const { exitCode, stderr } = await running.result;
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual(await server.psql(database, "SELECT user_id, a FROM notes"), [
      { user_id: 1, a: null },
    ]);
  });

  testOn(
    artifact,
    "M5 sessions are ended only when --cancel-blockers says so, only idle ones, and only old ones",
    async () => {
      const { database, env } = await prepare(alter);
      const [idle, active] = [
        await forgetTransaction(database),
        await server.connect(database, { application_name: "active" }),
      ];
      const sleeping = active.query("SELECT pg_sleep(1.5) FROM users");
      await eventually("the reader is at work", async () => {
        const sql =
          "SELECT FROM pg_stat_activity WHERE application_name = 'active' AND state = 'active' AND datname = current_database()";
        return (await server.psql(database, sql)).length === 1;
      });
      idle.on("error", () => {});
      const young = await runHeadgate(
        artifact,
        ["migrate", "--cancel-blockers", "1h", "--ddl-lock-budget", "500ms"],
        { env },
      );
      assert.equal(young.exitCode, 75);
      await idle.query("SELECT 1");
      const { exitCode, lines, stderr } = await runHeadgate(
        artifact,
        ["migrate", "--cancel-blockers", "300ms"],
        { env },
      );
      assert.equal(exitCode, 0, stderr);
      const ended = lines.filter(
        ({ msg }) => msg === "ended an idle transaction (--cancel-blockers)",
      );
      assert.equal(ended.length, 1);
      assert.match(String(ended[0]?.["blocker"]), /^forgetful/);
      await assert.rejects(idle.query("SELECT 1"));
      assert.equal((await sleeping).rowCount, 1);
      await active.end();
    },
  );

  testOn(artifact, "M5 a prepared transaction that blocks is named", async () => {
    const { database, env } = await prepare(alter);
    await server.psql(
      database,
      "BEGIN; SELECT FROM users; CREATE TABLE x (); PREPARE TRANSACTION 'left over'",
    );
    const { exitCode, lines } = await runHeadgate(
      artifact,
      ["migrate", "--ddl-lock-budget", "600ms"],
      { env },
    );
    assert.equal(exitCode, 75);
    assert.match(String(lines.at(-1)?.["problems"]), /the prepared transaction left over/);
    await server.psql(database, "ROLLBACK PREPARED 'left over'");
  });

  testOn(artifact, "M5 a file may set its own limits", async () => {
    const { database, env } = await prepare(
      `-- headgate: ddl-lock-budget=400ms\n-- headgate: lock-timeout=50ms\n-- headgate: statement-timeout=2s\n${alter}`,
    );
    const blocker = await forgetTransaction(database);
    const { exitCode, lines } = await runHeadgate(artifact, ["migrate"], { env });
    assert.equal(exitCode, 75);
    const waited = Number(/within (\d+) ms/.exec(lines.at(-1)?.msg ?? "")?.[1]);
    assert.ok(waited >= 400 && waited < 60_000, `${waited} ms`);
    await blocker.end();

    const slow = await prepare(
      "-- headgate: statement-timeout=100ms\nALTER TABLE users ADD COLUMN age int; SELECT pg_sleep(60);",
    );
    const timedOut = await runHeadgate(artifact, ["migrate"], { env: slow.env });
    assert.equal(timedOut.exitCode, 1);
    assert.equal(timedOut.lines.at(-1)?.["sqlstate"], "57014");

    const wrong = await prepare(
      "-- headgate: lock-timout=5s\n-- headgate: statement-timeout=soon\nSELECT 1;",
    );
    const refused = await runHeadgate(artifact, ["migrate"], { env: wrong.env });
    assert.equal(refused.exitCode, 65);
    assert.match(
      String(refused.lines.at(-1)?.["problems"]),
      /"lock-timout=5s" is not a directive of headgate; did you mean lock-timeout\?.*"statement-timeout=soon" needs a duration/s,
    );
  });

  testOn(
    artifact,
    "M5 a strong lock in a file without a transaction is taken with the same care",
    async () => {
      const { database, env } = await prepare(
        `-- headgate: no-transaction\nINSERT INTO notes VALUES (1); ${alter} VACUUM FULL users;`,
      );
      const blocker = await forgetTransaction(database);
      const refused = await runHeadgate(artifact, ["migrate", "--ddl-lock-budget", "500ms"], {
        env,
      });
      assert.equal(refused.exitCode, 75);
      assert.match(
        refused.lines.at(-1)?.msg ?? "",
        /1_alter\.sql step 2 of 3: its table locks could not be had/,
      );
      await blocker.end();
      assert.equal((await runHeadgate(artifact, ["migrate"], { env })).exitCode, 0);
      assert.equal((await server.psql(database, "SELECT FROM notes")).length, 1);
    },
  );
}
