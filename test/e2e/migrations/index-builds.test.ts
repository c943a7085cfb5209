import assert from "node:assert/strict";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const noTransaction = "-- headgate: no-transaction\n";

/** A table whose `kind` is the same in every row, so that a unique index on it cannot be built. */
async function prepare(sql: string) {
  const database = await createDatabase(server);
  await server.psql(
    database,
    "CREATE TABLE notes (id int PRIMARY KEY, kind int, text text); INSERT INTO notes SELECT n, 1, 'x' FROM generate_series(1, 100) n",
  );
  const env = {
    DATABASE_URL: server.url(database),
    HEADGATE_MIGRATIONS: makeMigrations({ "1_index.sql": sql }),
  };
  return {
    database,
    env,
    query: (text: string) => server.psql(database, text),
    /** Of each index but the primary key, `name`, or `name INVALID`. */
    indexes: async (): Promise<string[]> => {
      const rows = await server.psql<{ name: string }>(
        database,
        `SELECT relname || CASE WHEN indisvalid AND indisready THEN '' ELSE ' INVALID' END AS name
        FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'notes'::regclass AND NOT indisprimary ORDER BY 1`,
      );
      return rows.map(({ name }) => name);
    },
  };
}

/** Leaves an INVALID index behind, as any tool does: the build fails on the second row with the same value. */
const leaveInvalid = (name: string, definition = "ON notes (kind)"): string =>
  `CREATE UNIQUE INDEX CONCURRENTLY ${name} ${definition}`;
/** Makes the same index possible. */
const makeUnique = "UPDATE notes SET kind = id";

for (const artifact of artifacts) {
  for (const [what, build, left] of [
    ["of its name", "CREATE UNIQUE INDEX CONCURRENTLY notes_kind ON notes (kind)", "notes_kind"],
    [
      "of its name, with IF NOT EXISTS",
      'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "notes_kind" ON public.notes USING btree (kind ASC)',
      "notes_kind",
    ],
    ["of its definition, without a name", "CREATE UNIQUE INDEX CONCURRENTLY ON notes (kind)", ""],
  ] as const) {
    testOn(
      artifact,
      `M4 an INVALID index ${what} that another tool left behind is dropped and built again`,
      async () => {
        const { env, query, indexes } = await prepare(`${noTransaction}${build};`);
        await assert.rejects(query(leaveInvalid(left)), /could not create unique index/);
        assert.deepEqual(await indexes(), [`notes_kind${left === "" ? "_idx" : ""} INVALID`]);
        await query(makeUnique);
        const { exitCode, lines, stderr } = await runHeadgate(artifact, ["migrate"], { env });
        assert.equal(exitCode, 0, stderr);
        assert.ok(
          lines.some(
            ({ level, msg }) => level === "warn" && msg?.startsWith("dropped an INVALID index"),
          ),
        );
        assert.deepEqual(await indexes(), [`notes_kind${left === "" ? "_idx" : ""}`]);
      },
    );
  }

  testOn(artifact, "M4 a build that failed is found and built again by the next run", async () => {
    const { env, query, indexes } = await prepare(
      `${noTransaction}${leaveInvalid("notes_kind")};\nCREATE INDEX CONCURRENTLY IF NOT EXISTS notes_text ON notes (lower(text)) WHERE id > 5;`,
    );
    const failed = await runHeadgate(artifact, ["migrate"], { env });
    assert.equal(failed.exitCode, 1);
    assert.deepEqual(await indexes(), ["notes_kind INVALID"]);
    await query(makeUnique);
    assert.equal((await runHeadgate(artifact, ["migrate"], { env })).exitCode, 0);
    assert.deepEqual(await indexes(), ["notes_kind", "notes_text"]);
  });

  testOn(
    artifact,
    "M4 IF NOT EXISTS in a file with a transaction does not accept an INVALID index either",
    async () => {
      const { env, query, indexes } = await prepare(
        "SELECT 1; CREATE UNIQUE INDEX IF NOT EXISTS notes_kind ON notes (kind);",
      );
      await assert.rejects(query(leaveInvalid("notes_kind")));
      await query(makeUnique);
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual(await indexes(), ["notes_kind"]);
    },
  );

  testOn(
    artifact,
    "M4 an INVALID index of the same name and another definition is left alone, and refused with 65",
    async () => {
      const { env, query, indexes } = await prepare(
        `${noTransaction}CREATE INDEX CONCURRENTLY IF NOT EXISTS notes_kind ON notes (kind);`,
      );
      await assert.rejects(query(leaveInvalid("notes_kind")));
      const { exitCode, lines } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 65);
      assert.match(
        lines.at(-1)?.msg ?? "",
        /INVALID index "public"\."notes_kind" .*it is UNIQUE USING btree \(kind\), the file wants USING btree \(kind\)/,
      );
      assert.match(String(lines.at(-1)?.["fix"]), /DROP INDEX CONCURRENTLY "public"\."notes_kind"/);
      assert.deepEqual(await indexes(), ["notes_kind INVALID"]);
    },
  );

  testOn(
    artifact,
    "M4 what a failed REINDEX CONCURRENTLY left behind is dropped before the next one",
    async () => {
      const { env, query, indexes } = await prepare(
        `${noTransaction}REINDEX TABLE CONCURRENTLY notes;`,
      );
      await query("CREATE INDEX notes_kind ON notes (kind)");
      // Stands for a REINDEX that was killed: an INVALID index under the name that it gives to the new one.
      await assert.rejects(query(leaveInvalid("notes_kind_ccnew")));
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual(await indexes(), ["notes_kind"]);
    },
  );

  testOn(
    artifact,
    "M4 an INVALID index of a touched table that the file has nothing to do with is named in a warning",
    async () => {
      const { env, query, indexes } = await prepare(
        `${noTransaction}CREATE INDEX CONCURRENTLY notes_text ON notes (text);`,
      );
      await assert.rejects(query(leaveInvalid("forgotten")));
      const { exitCode, lines } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0);
      const warning = lines.find(({ msg }) => msg?.startsWith("found an INVALID index"));
      assert.equal(warning?.["index"], '"public"."forgotten"');
      assert.deepEqual(await indexes(), ["forgotten INVALID", "notes_text"]);
    },
  );

  testOn(
    artifact,
    "M4 a concurrent build waits for old transactions, however short the limits are, and says for whom",
    async () => {
      const { env, database, indexes } = await prepare(
        `${noTransaction}CREATE INDEX CONCURRENTLY notes_kind ON notes (kind);`,
      );
      const writer = await server.connect(database, { application_name: "slow writer" });
      await writer.query("BEGIN; UPDATE notes SET kind = 2 WHERE id = 1");
      const running = await startHeadgate(artifact, ["migrate", "--statement-timeout", "100ms"], {
        env,
      });
      const line = await running.waitForLog("still working");
      assert.equal(line["doing"], "waiting for writers before build");
      assert.match(
        String(line["waitingFor"]),
        /^slow writer \(pid \d+, idle in transaction, transaction open for \d/,
      );
      await writer.query("COMMIT");
      await writer.end();
      assert.equal((await running.result).exitCode, 0);
      assert.deepEqual(await indexes(), ["notes_kind"]);
    },
  );

  testOn(
    artifact,
    "M4 a concurrent build that waits for a table lock says who has it",
    async () => {
      const { env, database, indexes } = await prepare(
        `${noTransaction}CREATE INDEX CONCURRENTLY notes_kind ON notes (kind);`,
      );
      const holder = await server.connect(database, { application_name: "locker" });
      await holder.query("BEGIN; LOCK TABLE notes");
      const running = await startHeadgate(artifact, ["migrate"], { env });
      const line = await running.waitForLog("still working");
      assert.match(String(line["waitingFor"]), /^locker \(pid \d+, idle in transaction/);
      await holder.query("COMMIT");
      await holder.end();
      assert.equal((await running.result).exitCode, 0);
      assert.deepEqual(await indexes(), ["notes_kind"]);
    },
  );

  testOn(artifact, "M4 a build that was killed half-way is done by the next run", async () => {
    const { env, database, query, indexes } = await prepare(
      `${noTransaction}CREATE INDEX CONCURRENTLY notes_kind ON notes (kind);`,
    );
    const writer = await server.connect(database);
    await writer.query("BEGIN; UPDATE notes SET kind = 2 WHERE id = 1");
    const running = await startHeadgate(artifact, ["migrate"], { env });
    await eventually("the build has begun", async () => (await indexes()).length === 1);
    running.signal("SIGKILL");
    await running.result;
    await query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'headgate/%'",
    );
    await writer.query("COMMIT");
    await writer.end();
    assert.deepEqual(await indexes(), ["notes_kind INVALID"]);
    const { exitCode, lines } = await runHeadgate(artifact, ["migrate"], { env });
    assert.equal(exitCode, 0);
    assert.ok(lines.some(({ msg }) => msg === "found an unfinished step; running it again"));
    assert.deepEqual(await indexes(), ["notes_kind"]);
  });
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M4 what a failed REINDEX left is dropped also while an index is built in a copy of the database, where tables have the same numbers",
    async (t) => {
      const { database, env, query, indexes } = await prepare(
        `${noTransaction}REINDEX INDEX CONCURRENTLY notes_text;`,
      );
      await query("CREATE INDEX notes_text ON notes (text)");
      const copy = `${database}_copy`;
      await server.psql("postgres", `CREATE DATABASE ${copy} TEMPLATE ${database}`);
      const open = async (name: string) => {
        const client = await server.connect(name);
        t.after(() => client.end());
        return client;
      };
      // Fails while it waits for the writer.
      const writer = await open(database);
      await writer.query("BEGIN; UPDATE notes SET text = 'y' WHERE id = 1");
      const reindexing = await open(database);
      await reindexing.query("SET lock_timeout = '100ms'");
      await assert.rejects(reindexing.query("REINDEX INDEX CONCURRENTLY notes_text"));
      await writer.query("ROLLBACK");
      assert.deepEqual(await indexes(), ["notes_text", "notes_text_ccnew INVALID"]);

      const otherWriter = await open(copy);
      await otherWriter.query("BEGIN; UPDATE notes SET text = 'y' WHERE id = 1");
      const building = (await open(copy)).query(
        "CREATE INDEX CONCURRENTLY notes_kind ON notes (kind)",
      );
      await eventually("it is being built", async () => {
        const sql = "SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'";
        return (await server.psql(copy, sql)).length > 0;
      });
      const { exitCode, stderr } = await runHeadgate(artifact, ["migrate"], { env });
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual(await indexes(), ["notes_text"]);
      await otherWriter.query("ROLLBACK");
      await building;
    },
  );
}
