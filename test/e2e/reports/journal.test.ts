import assert from "node:assert/strict";
import { hostname } from "node:os";
import { test } from "node:test";
import { version } from "../../../src/version.ts";
import { artifacts, type HeadgateResult, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { addMigrations, happy, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const [first] = artifacts;
assert.ok(first);
const artifact = first;

async function workplace(files = happy, user?: string) {
  const database = await createDatabase(server);
  const folder = makeMigrations(files);
  const url = user === undefined ? server.url(database) : server.url(database, { user });
  const env = { DATABASE_URL: url, HEADGATE_MIGRATIONS: folder };
  const run = (...args: string[]) => runHeadgate(artifact, args, { env });
  return { database, folder, env, run };
}

type Entry = {
  id: number;
  ms: number | null;
  by: { host: string; headgate: string; dbUser: string } | null;
};
type Status = {
  migrations: Entry[];
  drift: {
    unknown?: string;
    since?: string;
    by?: string;
    differences?: { kind: string; name: string }[];
  };
};

type Run = (...args: string[]) => Promise<HeadgateResult>;

const statusOf = async (run: Run, ...args: string[]): Promise<Status> => {
  const { stdout, stderr, exitCode } = await run("status", "--json", ...args);
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as Status;
};

for (const each of artifacts) {
  testOn(
    each,
    "O2 status tells how long each migration took, and who applied it from where",
    async () => {
      const { run, env } = await workplace({
        "1_quick.sql": "SELECT 1",
        "2_slow.sql": "SELECT pg_sleep(0.25)",
        "3_steps.sql":
          "-- postgres-migrations disable-transaction\nSELECT pg_sleep(0.1);\nSELECT pg_sleep(0.15);",
      });
      assert.equal((await runHeadgate(each, ["migrate"], { env })).exitCode, 0);
      const { migrations } = await statusOf(run);
      const by = { host: hostname(), headgate: version, dbUser: "postgres" };
      assert.deepEqual(
        migrations.map((entry) => entry.by),
        [by, by, by],
      );
      const [quick, slow, steps] = migrations.map(({ ms }) => Number(ms));
      assert.ok(Number(quick) < 200, `quick took ${quick} ms`);
      assert.ok(Number(slow) >= 250, `slow took ${slow} ms`);
      assert.ok(Number(steps) >= 250, `steps took ${steps} ms`);
    },
  );
}

test("O2 nothing is noted when nothing is applied", async () => {
  const { run, database } = await workplace();
  assert.equal((await run("migrate")).exitCode, 0);
  const count = () => server.psql(database, "SELECT event, at FROM migrations_journal ORDER BY at");
  const before = await count();
  assert.deepEqual(
    before.map(({ event }) => event as string),
    ["applied", "applied", "applied", "schema"],
  );
  for (const args of [["migrate"], ["status"], ["verify"], ["--", "true"]]) {
    assert.equal((await run(...args)).exitCode, 0);
  }
  assert.deepEqual(await count(), before);
});

test("O2 a role that may not make a table migrates all the same, and status says what it knows", async () => {
  const { run, database, folder } = await workplace(happy, "lesser");
  await server.psql(database, "CREATE ROLE lesser LOGIN PASSWORD '" + server.password + "'");
  await server.psql(
    database,
    `CREATE TABLE accounts (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE);
    ALTER TABLE accounts OWNER TO lesser; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    CREATE TABLE migrations (id integer PRIMARY KEY, name varchar(100) UNIQUE NOT NULL, hash varchar(40) NOT NULL,
      executed_at timestamp DEFAULT current_timestamp);
    GRANT SELECT, INSERT ON migrations TO lesser`,
  );
  addMigrations(folder, {
    ...{ "1_create-accounts.sql": "SELECT 1", "3_index-account-names.sql": "SELECT 1" },
  });
  const migrated = await run("migrate");
  assert.equal(migrated.exitCode, 0, migrated.stderr);
  const { migrations } = await statusOf(run);
  assert.deepEqual(
    migrations.map(({ id, ms, by }) => ({ id, ms, by })),
    [1, 2, 3].map((id) => ({ id, ms: null, by: null })),
  );
  assert.match(String((await statusOf(run, "--drift")).drift.unknown), /no run has noted/);
});

test("O2 a migration and its line in the journal are committed together", async () => {
  const { run, database } = await workplace({
    ...happy,
    "4_fails.sql": "CREATE TABLE half (id int); SELECT 1/0",
  });
  assert.equal((await run("migrate")).exitCode, 1);
  const rows = await server.psql(
    database,
    "SELECT migration FROM migrations_journal WHERE event = 'applied' ORDER BY migration",
  );
  assert.deepEqual(rows, [{ migration: 1 }, { migration: 2 }, { migration: 3 }]);
});

test("O2 a role that may not read the table of steps is told which right it lacks, and that at once", async () => {
  const { run, database, env } = await workplace({
    "1_steps.sql": "-- headgate: no-transaction\nSELECT 1;\nSELECT 1/0;",
  });
  assert.equal((await run("migrate")).exitCode, 1);
  await server.psql(
    database,
    `CREATE ROLE onlooker LOGIN PASSWORD '${server.password}'; GRANT SELECT ON migrations TO onlooker`,
  );
  const url = server.url(database, { user: "onlooker" });
  for (const args of [["status"], ["plan"], ["stamp", "1"], ["rollback"]]) {
    const { exitCode, stderr } = await runHeadgate(artifact, args, {
      env: { ...env, DATABASE_URL: url },
    });
    assert.equal(exitCode, 77, stderr);
    assert.match(stderr, /grant select on .*migrations_steps/);
  }
});

test("O3 status --drift names what was changed by hand since the last run, and nothing when it is undone", async () => {
  const { run, database } = await workplace();
  assert.equal((await run("migrate")).exitCode, 0);
  const clean = await run("status", "--drift");
  assert.match(clean.stdout, /\nno drift since \d{4}-.*, when postgres on .* migrated\n$/);

  await server.psql(
    database,
    "DROP INDEX accounts_name_idx; ALTER TABLE accounts ALTER email DROP NOT NULL; CREATE TABLE extra ()",
  );
  const drifted = await run("status", "--drift", "--exit-code");
  assert.equal(drifted.exitCode, 0);
  assert.match(
    drifted.stdout,
    /\ndrift: 3 objects have changed since .*\n {2}- column public\.accounts\.email was "text not null", is "text"\n {2}- index public\.accounts_name_idx is gone\n {2}- relation public\.extra is new: table\n$/,
  );
  assert.equal(
    drifted.lines.some(({ level, msg }) => level === "warn" && msg === "found drift"),
    true,
  );
  const { drift } = await statusOf(run, "--drift");
  assert.deepEqual(
    drift.differences?.map(({ kind, name }) => `${kind} ${name}`),
    ["column public.accounts.email", "index public.accounts_name_idx", "relation public.extra"],
  );

  await server.psql(
    database,
    "CREATE INDEX accounts_name_idx ON accounts (name); ALTER TABLE accounts ALTER email SET NOT NULL; DROP TABLE extra",
  );
  assert.deepEqual((await statusOf(run, "--drift")).drift.differences, []);
});

test("O3 after a run that failed half-way drift is said to be unknown, and known again after the next", async () => {
  const { run, folder } = await workplace();
  assert.equal((await run("migrate")).exitCode, 0);
  addMigrations(folder, { "4_ok.sql": "CREATE TABLE four ()", "5_bad.sql": "SELECT 1/0" });
  assert.equal((await run("migrate")).exitCode, 1);
  assert.match(String((await statusOf(run, "--drift")).drift.unknown), /cut off after it had/);
  addMigrations(folder, { "5_bad.sql": "SELECT 1" });
  assert.equal((await run("migrate")).exitCode, 0);
  assert.deepEqual((await statusOf(run, "--drift")).drift.differences, []);
});

test("O3 after a file without a transaction failed half-way drift is said to be unknown, too", async () => {
  const { run, folder } = await workplace();
  assert.equal((await run("migrate")).exitCode, 0);
  const file = (last: string): Record<string, string> => ({
    "4_steps.sql": `-- headgate: no-transaction\nCREATE TABLE four ();\n${last};`,
  });
  addMigrations(folder, file("SELECT 1/0"));
  assert.equal((await run("migrate")).exitCode, 1);
  assert.match(String((await statusOf(run, "--drift")).drift.unknown), /cut off after it had/);
  addMigrations(folder, file("SELECT 1"));
  assert.equal((await run("migrate")).exitCode, 0);
  assert.deepEqual((await statusOf(run, "--drift")).drift.differences, []);
});

test("O3 what was made by hand and then stamped is no drift, and took no time", async () => {
  const { run, database, folder } = await workplace();
  assert.equal((await run("migrate")).exitCode, 0);
  await server.psql(database, "CREATE TABLE hotfix ()");
  addMigrations(folder, { "4_hotfix.sql": "CREATE TABLE hotfix ()" });
  assert.equal((await run("stamp", "4", "--yes")).exitCode, 0);
  const { drift, migrations } = await statusOf(run, "--drift");
  assert.deepEqual(drift.differences, []);
  assert.equal(migrations.at(-1)?.ms, null);
  assert.equal(migrations.at(-1)?.by?.dbUser, "postgres");
});

test("O3 drift does not wait for a table that another session keeps locked, and says so", async () => {
  const { run, database } = await workplace({
    "1_a.sql": "CREATE TABLE a (b int); CREATE POLICY p ON a USING (b > 0)",
  });
  assert.equal((await run("migrate")).exitCode, 0);
  const other = await server.connect(database);
  await other.query("BEGIN; LOCK TABLE a");
  const { drift } = await statusOf(run, "--drift");
  await other.end();
  assert.match(String(drift.unknown), /another session keeps a table locked/);
});

test("O3 a rollback is in the journal, and what it leaves is no drift", async () => {
  const { run, database, folder } = await workplace();
  addMigrations(folder, { "undo/3_index-account-names.sql": "DROP INDEX accounts_name_idx" });
  assert.equal((await run("migrate")).exitCode, 0);
  const undone = await run("rollback");
  assert.equal(undone.exitCode, 0, undone.stderr);
  const rows = await server.psql(
    database,
    "SELECT migration, event, host FROM migrations_journal WHERE event = 'undone'",
  );
  assert.deepEqual(rows, [{ migration: 3, event: "undone", host: hostname() }]);
  assert.deepEqual((await statusOf(run, "--drift")).drift.differences, []);
  assert.equal((await run("migrate")).exitCode, 0);
  assert.deepEqual((await statusOf(run, "--drift")).drift.differences, []);
});

/** Two sets of migrations in one database. */
async function twoSets() {
  const database = await createDatabase(server);
  const users = makeMigrations({ "1_users.sql": "CREATE TABLE users (id int)" });
  const bills = makeMigrations({ "1_bills.sql": "CREATE TABLE bills (id int)" });
  const sets = [
    { name: "users", migrations: users },
    { name: "bills", migrations: bills, "history-table": "billing.migrations" },
  ];
  const env = { DATABASE_URL: server.url(database), HEADGATE_SETS: JSON.stringify(sets) };
  const run = (...args: string[]) => runHeadgate(artifact, args, { env });
  return { database, users, bills, run };
}

test("O3 sets that share a database are compared with the latest run of any of them", async () => {
  const { database, users, run } = await twoSets();
  assert.equal((await run("migrate")).exitCode, 0);
  assert.match((await run("status", "--drift")).stdout, /\nno drift since/);
  addMigrations(users, { "2_more.sql": "ALTER TABLE users ADD COLUMN name text" });
  assert.equal((await run("migrate")).exitCode, 0);
  assert.match((await run("status", "--drift")).stdout, /\nno drift since/);
  await server.psql(database, "DROP TABLE bills");
  assert.match(
    (await run("status", "--drift")).stdout,
    /column public\.bills\.id is gone\n {2}- relation public\.bills is gone\n$/,
  );
});

test("O3 when one set went well and another failed half-way, what the failed one applied is no drift", async () => {
  const { users, bills, run } = await twoSets();
  assert.equal((await run("migrate")).exitCode, 0);
  addMigrations(users, { "2_more.sql": "ALTER TABLE users ADD COLUMN name text" });
  addMigrations(bills, { "2_ok.sql": "CREATE TABLE more ()", "3_bad.sql": "SELECT 1/0" });
  assert.equal((await run("migrate")).exitCode, 1);
  assert.match((await run("status", "--drift")).stdout, /\ndrift unknown: .* cut off after it had/);
});
