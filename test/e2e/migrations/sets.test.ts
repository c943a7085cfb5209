import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { artifacts, type HeadgateResult, runHeadgate } from "../../helpers/headgate.ts";
import { addMigrations, makeMigrations } from "../../helpers/migrations.ts";
import { makeMigratorProject } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer();

/** Two folders of SQL files and a migrator, as three services that share a database have them. */
async function prepare() {
  const billing = makeMigrations({ "1_bills.sql": "CREATE TABLE bills (id int)" });
  const users = makeMigrations({ "1_users.sql": "CREATE TABLE users (id int)" });
  const project = makeMigratorProject();
  const sets = [
    { name: "billing", migrations: billing, "history-table": "billing.migrations" },
    { name: "users", migrations: users, "history-table": "user_migrations" },
    {
      ...{ name: "things", migrator: JSON.parse(project.args[1] ?? "") as string[] },
      ...{ "migrator-dir": project.folder, "migrator-inputs": "steps/*" },
      "migrator-state": ["steps_done"],
    },
  ];
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database), HEADGATE_SETS: JSON.stringify(sets) };
  return { billing, users, project, sets, database, env };
}

const done = ({ lines }: HeadgateResult): unknown[] =>
  lines.flatMap(({ msg, set }) => (msg === "migrated" ? [set] : []));

for (const artifact of artifacts) {
  testOn(
    artifact,
    "L8 several sets are brought up to date in their order, each with its own table and lock",
    async () => {
      const { users, database, env } = await prepare();
      const results = await Promise.all(
        Array.from({ length: 5 }, () => runHeadgate(artifact, ["--", "echo", "serving"], { env })),
      );
      for (const { exitCode, stdout, stderr } of results) {
        assert.deepEqual([exitCode, stdout], [0, "serving\n"], stderr);
      }
      assert.deepEqual(results.flatMap(done).map(String).toSorted(), [
        "billing",
        "things",
        "users",
      ]);
      const [tables] = await server.psql(
        database,
        "SELECT (SELECT count(*)::int FROM billing.migrations) AS billing, (SELECT count(*)::int FROM user_migrations) AS users, (SELECT count(*)::int FROM headgate_runs) AS runs",
      );
      assert.deepEqual(tables, { billing: 2, users: 2, runs: 1 });

      addMigrations(users, { "2_more.sql": "ALTER TABLE users ADD COLUMN name text" });
      const verified = await runHeadgate(artifact, ["verify"], { env });
      assert.equal(verified.exitCode, 3);
      assert.match(verified.stderr, /users: 1 of 2 migrations are pending: 2 more/);
      const again = await runHeadgate(artifact, ["migrate"], { env });
      assert.deepEqual(done(again), ["users"]);
      const sound = await runHeadgate(artifact, ["verify"], { env });
      assert.match(
        sound.stdout,
        /^billing: 1 applied, none pending\nusers: 2 applied.*\nthings: as /,
      );
    },
  );
}

const [artifact] = artifacts;
assert.ok(artifact);

test("L8 a set that fails stops those behind it, and is named", async () => {
  const { users, database, env } = await prepare();
  addMigrations(users, { "2_bad.sql": "SELECT 1/0" });
  const failed = await runHeadgate(artifact, ["migrate"], { env });
  assert.equal(failed.exitCode, 1);
  assert.match(String(failed.lines.at(-1)?.msg), /division by zero/);
  assert.deepEqual(done(failed), ["billing"]);
  const found = await server.psql(database, "SELECT to_regclass('headgate_runs') AS runs");
  assert.deepEqual(found, [{ runs: null }]);
});

test("M6 status tells of every set, as text and as JSON", async () => {
  const { env } = await prepare();
  await runHeadgate(artifact, ["migrate"], { env });
  const text = await runHeadgate(artifact, ["status"], { env });
  assert.match(
    text.stdout,
    /^billing\n-------\n.*applied.*bills\n\nusers\n-----\n.*users\n\nthings\n------\nmigrator /s,
  );
  const json = await runHeadgate(artifact, ["status", "--json", "--exit-code"], { env });
  assert.equal(json.exitCode, 0);
  const { sets } = JSON.parse(json.stdout) as { sets: { name: string; upToDate: boolean }[] };
  assert.deepEqual(
    sets.map(({ name, upToDate }) => [name, upToDate]),
    [
      ["billing", true],
      ["users", true],
      ["things", true],
    ],
  );
});

test("M6 the sets may stand in a file, and every mistake in them is told at once", async () => {
  const { sets, env } = await prepare();
  const file = join(temporaryFolder("headgate-sets-"), "sets.json");
  writeFileSync(file, JSON.stringify(sets));
  const good = await runHeadgate(artifact, ["migrate", "--sets", file], { env });
  assert.equal(good.exitCode, 0, good.stderr);

  const refusal = async (value: unknown, ...args: string[]): Promise<string> => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const { exitCode, stderr } = await runHeadgate(artifact, ["migrate", ...args], {
      env: { ...env, HEADGATE_SETS: text },
    });
    assert.equal(exitCode, 64, stderr);
    return stderr;
  };
  const wrong = await refusal(
    [
      { name: "a", migratoins: "x" },
      { migrations: "x" },
      "b",
      { name: "c", migrator: "x | y", "migrator-inputs": [1] },
      { name: "d", "history-table": "1x" },
      { name: "d" },
    ],
    "--migrations",
    "elsewhere",
  );
  for (const each of [
    /HEADGATE_SETS: entry 1: unknown key \\"migratoins\\"; did you mean \\"migrations\\"/,
    /entry 2 has no \\"name\\"/,
    /entry 3 is not an object/,
    /entry 4: \\"migrator-inputs\\" is not a text, nor a list of texts/,
    /set \\"c\\", migrator: no shell reads it/,
    /set \\"d\\", history-table: \\"1x\\" is not a table name/,
    /two sets are called \\"d\\"/,
    /--migrations is given beside --sets/,
  ]) {
    assert.match(wrong, each);
  }
  assert.match(await refusal([{ name: "a" }, { name: "b" }]), /share the history table migrations/);
  assert.match(
    await refusal("/no/such/file"),
    /the file \/no\/such\/file cannot be read \(ENOENT\)/,
  );
  assert.match(await refusal("[{]"), /it is not JSON/);
  assert.match(await refusal("[]"), /not a list with at least one set/);

  const folders = await refusal([
    { name: "a", migrations: "/no/a", "history-table": "a" },
    { name: "b", migrations: "/no/b", "history-table": "b" },
  ]);
  assert.match(folders, /set \\"a\\": cannot read the migrations folder \/no\/a.*set \\"b\\"/);
});
