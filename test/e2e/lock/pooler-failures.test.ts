import assert from "node:assert/strict";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts, requireOrSkip, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { hasPooler, noPooler, startPooler } from "../../helpers/pooler.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { type ProxyHook, startProxy } from "../../helpers/proxy.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });

const answered = {
  "1_first.sql": "CREATE TABLE first ();",
  "2_marked.sql": "CREATE TABLE second (); SELECT 'the answer to be lost';",
  "3_third.sql": "CREATE TABLE third ();",
};

/** Drops the answer that has the marked row, which ends with the COMMIT, and cuts the connections. Only once. */
function cutAtAnswer(cut: () => void): ProxyHook {
  let isCut = false;
  return (moment, _burst, bytes) => {
    if (isCut || moment !== "answering" || !bytes.includes("the answer to be lost"))
      return undefined;
    isCut = true;
    setImmediate(cut);
    return Promise.resolve("drop");
  };
}

async function idsOf(database: string): Promise<unknown[]> {
  const rows = await server.psql(database, "SELECT id FROM migrations ORDER BY id");
  return rows.map((row) => row["id"]);
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L7 a pooler in statement mode is refused with 64 and the remedy, and is no bug",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const { port, stop } = await startPooler(server, { mode: "statement" });
      t.after(stop);
      const database = await createDatabase(server);
      const DATABASE_URL = server.url(database, { port, user: "api", password: "any" });
      const env = { DATABASE_URL, HEADGATE_MIGRATIONS: makeMigrations() };
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 64, stderr);
      assert.match(stderr, /a pooler in statement mode/);
      assert.match(stderr, /set HEADGATE_DATABASE_URL/);
      const tables = await server.psql(database, "SELECT to_regclass('migrations') AS history");
      assert.deepEqual(tables, [{ history: null }]);
    },
  );

  for (const auth of ["trust", "scram-sha-256"] as const) {
    testOn(
      artifact,
      `W1 what a pooler (auth_type=${auth}) does not know gets the grace period, and settings that it refuses end the waiting at once`,
      async (t) => {
        if (!requireOrSkip(t, hasPooler, noPooler)) return;
        const { port, stop } = await startPooler(server, { databases: ["known"], auth });
        t.after(stop);
        const known = { port, user: "api", password: "api-password" };
        const wait = async (database: string, login: object, params = {}, code = 77) => {
          const DATABASE_URL = server.url(database, { ...known, ...login, params });
          const args = ["wait", "--wait-timeout", "60s", "--auth-grace", "300ms"];
          const { exitCode, lines, stderr } = await runHeadgate(artifact, args, {
            env: { DATABASE_URL },
          });
          assert.equal(exitCode, code, stderr);
          return { states: lines.map(({ state }) => state), stderr };
        };
        assert.ok((await wait("nobodys", {})).states.includes("database unknown to the pooler"));
        const refused = "login refused by the pooler";
        assert.ok((await wait("postgres", { user: "stranger" })).states.includes(refused));
        if (auth !== "trust")
          assert.ok((await wait("postgres", { password: "wrong" })).states.includes(refused));
        const asked = { options: "-c statement_timeout=5s" };
        const options = await wait("postgres", {}, asked, 64);
        assert.match(options.stderr, /ignore_startup_parameters/);
        assert.doesNotMatch(options.stderr, /"waiting"/);
      },
    );
  }

  testOn(
    artifact,
    "M16 when the pooler loses the server in the middle of a file, it is looked up what became of the file, and a retry is worth it: 69",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      const { port, stop } = await startPooler(server, { serverPort: proxy.port });
      t.after(stop);
      const database = await createDatabase(server);
      const env = {
        DATABASE_URL: server.url(database, { port, user: "api", password: "any" }),
        HEADGATE_MIGRATIONS: makeMigrations({
          "1_slow.sql": "CREATE TABLE slow (); SELECT pg_sleep(60);",
        }),
      };
      const running = await startHeadgate(artifact, ["migrate"], { env });
      const asleep = `SELECT FROM pg_stat_activity WHERE datname = '${database}' AND wait_event = 'PgSleep'`;
      await eventually(
        "the file runs",
        async () => (await server.psql(database, asleep)).length > 0,
      );
      proxy.cutAll();
      const { exitCode, stderr } = await running.result;
      assert.equal(exitCode, 69, stderr);
      assert.match(stderr, /the connection to Postgres was lost while .*1_slow\.sql was applied/);
      // Before 14 the server goes on with the file, and notices nothing until its end.
      assert.match(
        stderr,
        server.major < 14
          ? /"not known: the file was either/
          : /the file was rolled back; the database/,
      );
      const tables = await server.psql(database, "SELECT to_regclass('slow') AS slow");
      assert.deepEqual(tables, [{ slow: null }]);
    },
  );

  testOn(
    artifact,
    "M16 when the pooler's answer to a COMMIT is lost, the file is found committed: 69, and never 'rolled back'",
    async (t) => {
      if (!requireOrSkip(t, hasPooler, noPooler)) return;
      const proxy = await startProxy(
        server.port,
        cutAtAnswer(() => proxy.cutAll()),
      );
      t.after(() => proxy.stop());
      const { port, stop } = await startPooler(server, { serverPort: proxy.port });
      t.after(stop);
      const database = await createDatabase(server);
      const HEADGATE_MIGRATIONS = makeMigrations(answered);
      const env = {
        DATABASE_URL: server.url(database, { port, user: "api", password: "any" }),
        HEADGATE_MIGRATIONS,
      };
      const { exitCode, lines, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 69, stderr);
      assert.match(String(lines.at(-1)?.["state"]), /^the file was committed together with/);
      assert.deepEqual(await idsOf(database), [0, 1, 2]);
      assert.equal((await runHeadgate(artifact, ["migrate"], { env })).exitCode, 0);
      assert.deepEqual(await idsOf(database), [0, 1, 2, 3]);
    },
  );

  testOn(
    artifact,
    "M16 without a pooler, too, a COMMIT whose answer is lost is found committed, and the next run goes on after it",
    async (t) => {
      const proxy = await startProxy(
        server.port,
        cutAtAnswer(() => proxy.cutAll()),
      );
      t.after(() => proxy.stop());
      const database = await createDatabase(server);
      const HEADGATE_MIGRATIONS = makeMigrations(answered);
      const env = { DATABASE_URL: server.url(database, { port: proxy.port }), HEADGATE_MIGRATIONS };
      const { exitCode, lines, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 69, stderr);
      assert.match(String(lines.at(-1)?.["state"]), /^the file was committed together with/);
      assert.deepEqual(await idsOf(database), [0, 1, 2]);
      const again = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(again.exitCode, 0, again.stderr);
      assert.deepEqual(await idsOf(database), [0, 1, 2, 3]);
    },
  );

  testOn(
    artifact,
    "M16 while the server is gone, nobody says what became of a file: it may be either",
    async (t) => {
      const proxy = await startProxy(server.port);
      t.after(() => proxy.stop());
      const database = await createDatabase(server);
      const env = {
        DATABASE_URL: server.url(database, { port: proxy.port }),
        HEADGATE_MIGRATIONS: makeMigrations({ "1_slow.sql": "SELECT pg_sleep(60);" }),
      };
      const running = await startHeadgate(artifact, ["migrate"], { env });
      const asleep = `SELECT FROM pg_stat_activity WHERE datname = '${database}' AND wait_event = 'PgSleep'`;
      await eventually(
        "the file runs",
        async () => (await server.psql(database, asleep)).length > 0,
      );
      await proxy.setMode("refuse");
      proxy.cutAll();
      const { exitCode, lines, stderr } = await running.result;
      assert.equal(exitCode, 69, stderr);
      assert.match(String(lines.at(-1)?.["state"]), /either rolled back, or committed/);
    },
  );

  testOn(
    artifact,
    "M16 an error of class 08 that a file itself raises is the file's failure, and no lost connection",
    async () => {
      const database = await createDatabase(server);
      const sql =
        "DO $$ BEGIN RAISE EXCEPTION 'the other server is away' USING ERRCODE = '08001'; END $$;";
      const env = {
        DATABASE_URL: server.url(database),
        HEADGATE_MIGRATIONS: makeMigrations({ "1_far.sql": sql }),
      };
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 1, stderr);
      assert.match(stderr, /1_far\.sql:1:1: the other server is away \(08001 /);
    },
  );
}
