import assert from "node:assert/strict";
import type pg from "pg";
import { eventually } from "../../helpers/eventually.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

/** A file that runs until the test lets it: the test's session has the lock that it asks for. */
const heldFiles = {
  "1_held.sql": "SELECT pg_advisory_xact_lock(42);",
  "2_create-notes.sql": "CREATE TABLE notes (id int);",
};

async function closeGate(database: string): Promise<pg.Client> {
  const gate = await server.connect(database);
  await gate.query("SELECT pg_advisory_lock(42)");
  return gate;
}

async function waitUntilHeld(database: string): Promise<void> {
  await eventually("file 1 runs", async () => {
    const sql = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted";
    return (await server.psql(database, sql)).length > 0;
  });
}

for (const artifact of artifacts) {
  testOn(artifact, "L8 a replica waits for a plain postgres-migrations process", async () => {
    const database = await createDatabase(server);
    const folder = makeMigrations(heldFiles);
    const gate = await closeGate(database);
    const plain = startPackage(server, database, folder);
    await waitUntilHeld(database);

    const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
    const bounded = await runHeadgate(artifact, ["migrate", "--lock-wait", "300ms"], { env });
    assert.equal(bounded.exitCode, 75, bounded.stderr);
    const replica = await startHeadgate(artifact, ["migrate"], { env });
    const line = await replica.waitForLog("waiting for the lock");
    assert.match(String(line["holder"]), /^another session \(pid \d+, 127\.0\.0\.1, since/);

    await gate.end();
    assert.deepEqual((await plain.applied).slice(1), Object.keys(heldFiles));
    const { exitCode, lines } = await replica.result;
    assert.equal(exitCode, 0);
    assert.ok(!lines.some(({ msg }) => msg === "applied"));
  });

  testOn(artifact, "L8 a plain postgres-migrations process waits for a replica", async () => {
    const database = await createDatabase(server);
    const folder = makeMigrations(heldFiles);
    const gate = await closeGate(database);
    const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
    const replica = await startHeadgate(artifact, ["migrate"], { env });
    await waitUntilHeld(database);

    const plain = startPackage(server, database, folder);
    await plain.waitForLog("Acquiring advisory lock");
    await eventually("it has asked for the lock, in vain", async () => {
      const sql = `SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND state = 'idle' AND query LIKE 'SELECT pg_try_advisory_lock(-8525285245963000605)%'`;
      return (await server.psql(database, sql)).length > 0;
    });
    await gate.end();
    assert.equal((await replica.result).exitCode, 0);
    assert.deepEqual(await plain.applied, []);
  });

  testOn(artifact, "L8 databases, schemas and history tables have locks of their own", async () => {
    const database = await createDatabase(server);
    await server.psql(database, "CREATE SCHEMA tenant_a; CREATE SCHEMA tenant_b");
    const held = makeMigrations(heldFiles);
    const free = makeMigrations({ "1_nothing.sql": "SELECT 1;" });
    const inSchema = (schema: string): string =>
      server.url(database, { params: { options: `-csearch_path=${schema}` } });
    const gate = await closeGate(database);
    const holder = await startHeadgate(artifact, ["migrate"], {
      env: { DATABASE_URL: inSchema("tenant_a"), HEADGATE_MIGRATIONS: held },
    });
    await waitUntilHeld(database);

    const migrate = (url: string, ...args: string[]) =>
      runHeadgate(artifact, ["migrate", "--lock-wait", "300ms", ...args], {
        env: { DATABASE_URL: url, HEADGATE_MIGRATIONS: free },
      });
    const others = {
      "another database": migrate(server.url(await createDatabase(server))),
      // The same files as those of the others, which a schema for each tenant is meant to have.
      "another schema of the search path": migrate(inSchema("tenant_b"), "--new-history"),
      "another schema by name": migrate(inSchema("tenant_a"), "--history-table", "c.migrations"),
      "another table": migrate(inSchema("tenant_a"), "--history-table", "other"),
    };
    for (const [what, run] of Object.entries(others)) {
      const { exitCode, stderr } = await run;
      assert.equal(exitCode, 0, `${what}: ${stderr}`);
    }

    // One table by two names is still one table.
    for (const name of ["tenant_a.migrations", 'TENANT_A."migrations"']) {
      const { exitCode, stderr } = await migrate(inSchema("tenant_b"), "--history-table", name);
      assert.equal(exitCode, 75, stderr);
    }
    await gate.end();
    assert.equal((await holder.result).exitCode, 0);
  });
}
