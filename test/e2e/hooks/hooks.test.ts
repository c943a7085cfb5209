import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { eventually } from "../../helpers/eventually.ts";
import { testInPairs, testOn } from "../../helpers/everywhere.ts";
import {
  artifacts,
  type HeadgateResult,
  proc,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { addMigrations, happy, makeMigrations } from "../../helpers/migrations.ts";
import { makeMigratorProject } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

/** A program that keeps what it reads in a file, a line for each time it runs. */
function keeper(): { command: string; kept: () => unknown[] } {
  const file = join(temporaryFolder("headgate-hook-"), "kept");
  const kept = (): unknown[] =>
    existsSync(file)
      ? readFileSync(file, "utf8")
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line) as unknown)
      : [];
  return { command: JSON.stringify(["sh", "-c", `cat >> ${file}`]), kept };
}

async function prepare(migrations = makeMigrations()) {
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
  return { database, env, migrations };
}

const pending = [
  { id: 1, name: "create-accounts" },
  { id: 2, name: "add-account-name" },
  { id: 3, name: "index-account-names" },
];

const [first] = artifacts;
assert.ok(first);
const run = (args: string[], env: Record<string, string>): Promise<HeadgateResult> =>
  runHeadgate(first, args, { env });

for (const artifact of artifacts) {
  testOn(
    artifact,
    "H1 the hooks run around what is pending, once among ten replicas, and read the plan",
    async () => {
      const { env } = await prepare();
      const [one, other] = [keeper(), keeper()];
      const args = ["--before", one.command, "--after", other.command, "--", "echo", "serving"];
      const results = await Promise.all(
        Array.from({ length: 10 }, () => runHeadgate(artifact, args, { env })),
      );
      for (const { exitCode, stderr } of results) assert.equal(exitCode, 0, stderr);
      assert.deepEqual(one.kept(), [{ version: 1, pending }]);
      assert.deepEqual(other.kept(), [{ version: 1, pending }]);
      const lines = results.flatMap((result) => result.lines);
      const order = lines
        .filter(({ msg }) => ["started", "applied", "succeeded"].includes(String(msg)))
        .map(({ phase, msg }) => `${String(phase)} ${msg}`);
      assert.deepEqual(order, [
        ...["before started", "before succeeded"],
        ...pending.map(() => "migrate applied"),
        ...["after started", "after succeeded"],
      ]);

      const again = await runHeadgate(artifact, args, { env });
      assert.equal(again.exitCode, 0);
      assert.equal(one.kept().length + other.kept().length, 2, "nothing pending, no hooks");
    },
  );

  testOn(artifact, "H1 a hook before that fails keeps everything as it was", async () => {
    const { database, env } = await prepare();
    const args = ["--before", "sh -c 'echo no space left >&2; exit 3'", "--", "echo", "serving"];
    for (const _ of [1, 2]) {
      const { exitCode, stdout, lines } = await runHeadgate(artifact, args, { env });
      assert.deepEqual([exitCode, stdout], [1, ""]);
      assert.match(
        String(lines.at(-1)?.msg),
        /^the --before command `.*` ended with exit code 3; nothing was applied$/,
      );
      assert.equal(lines.at(-1)?.["excerpt"], "no space left");
    }
    const [found] = await server.psql(database, "SELECT to_regclass('accounts') AS accounts");
    assert.deepEqual(found, { accounts: null });
  });

  testOn(
    artifact,
    "H1 until the hook after succeeds no server starts, however often it is tried",
    async () => {
      const { env } = await prepare();
      const proof = join(temporaryFolder("headgate-proof-"), "fine");
      const args = ["--after", `test -e ${proof}`, "--", "echo", "serving"];
      for (const _ of [1, 2, 3]) {
        const { exitCode, stdout, stderr } = await runHeadgate(artifact, args, { env });
        assert.deepEqual([exitCode, stdout], [1, ""], stderr);
        assert.match(stderr, /the migrations are applied/);
      }
      const verify = (): Promise<HeadgateResult> =>
        runHeadgate(artifact, ["verify", ...args.slice(0, 2)], { env });
      const owed = await verify();
      assert.equal(owed.exitCode, 3, owed.stderr);
      assert.match(owed.stderr, /the --after command of a run has not succeeded yet/);
      writeFileSync(proof, "");
      const fine = await runHeadgate(artifact, args, { env });
      assert.deepEqual([fine.exitCode, fine.stdout], [0, "serving\n"]);
      assert.ok(fine.lines.some(({ msg }) => String(msg).includes("still owed")));
      assert.equal((await verify()).exitCode, 0);
      const calm = await runHeadgate(artifact, args, { env });
      assert.ok(!calm.lines.some(({ phase }) => phase === "after"));
    },
  );
}

test("H1 the hooks of a migrator know its command, and a failed one makes it run again", async () => {
  const project = makeMigratorProject();
  const database = await createDatabase(server);
  const env = { DATABASE_URL: server.url(database) };
  const { command, kept } = keeper();
  const args = ["migrate", ...project.args, "--before", command];
  const failed = await run([...args, "--after", "false"], env);
  assert.equal(failed.exitCode, 1);
  const fine = await run([...args, "--after", "true"], env);
  assert.equal(fine.exitCode, 0, fine.stderr);
  assert.deepEqual(
    (kept() as { why: string; migrator: string[]; pending: unknown[] }[]).map((plan) => [
      plan.why,
      plan.migrator.length,
      plan.pending,
    ]),
    [
      ["no successful run is recorded", 2, []],
      ["the latest run of these files failed", 2, []],
    ],
  );
});

test("P1 a hook sees the container's variables, but no secret of headgate's own", async () => {
  const { env } = await prepare();
  const own = { ...env, HEADGATE_DATABASE_URL: env.DATABASE_URL, BACKUP_BUCKET: "s3://backups" };
  const { exitCode, lines } = await run(["migrate", "--before", "env"], own);
  assert.equal(exitCode, 0);
  const said = lines.filter(({ phase }) => phase === "before").map(({ msg }) => String(msg));
  assert.ok(said.includes("BACKUP_BUCKET=s3://backups"));
  assert.ok(said.some((line) => line.startsWith("DATABASE_URL=")));
  assert.ok(!said.some((line) => line.startsWith("HEADGATE_DATABASE_URL")));
});

test("H2 the position in the write-ahead log is told before anything is applied, and named where that is allowed", async () => {
  const { database, env, migrations } = await prepare();
  const mark = async (url: string): Promise<Record<string, unknown> | undefined> => {
    const { exitCode, lines, stderr } = await run(["migrate"], { ...env, DATABASE_URL: url });
    assert.equal(exitCode, 0, stderr);
    return lines.find(({ msg }) => msg === "marked");
  };
  const before = await server.psql<{ wal: string }>(
    database,
    "SELECT pg_current_wal_lsn()::text AS wal",
  );
  const marked = await mark(env.DATABASE_URL);
  assert.match(String(marked?.["restorePoint"]), /^headgate \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const [order] = await server.psql<{ fits: boolean }>(
    database,
    `SELECT '${String(marked?.["wal"])}'::pg_lsn BETWEEN '${before[0]?.wal}' AND pg_current_wal_lsn() AS fits`,
  );
  assert.equal(order?.fits, true);

  await server.psql(
    database,
    `CREATE ROLE plain_${database} LOGIN PASSWORD 'plain-role-only'; GRANT ALL ON SCHEMA public TO plain_${database};
    ALTER TABLE migrations OWNER TO plain_${database}`,
  );
  addMigrations(migrations, { "4_more.sql": "CREATE TABLE more (id int)" });
  const user = { user: `plain_${database}`, password: "plain-role-only" };
  const plain = await mark(server.url(database, user));
  assert.ok(plain?.["wal"] !== undefined && plain["restorePoint"] === undefined);
});

testInPairs(
  "S1 SIGTERM while a hook runs ends it, and nothing is applied",
  async ({ artifact, pid1 }) => {
    const { database, env } = await prepare(makeMigrations(happy));
    const args = ["migrate", "--before", "sh -c 'echo copying; sleep 60'"];
    const running = await startHeadgate(artifact, args, { env, pid1 });
    await running.waitForLog("copying");
    const children = proc.children(running.pid);
    const began = performance.now();
    running.signal("SIGTERM");
    const { exitCode } = await running.result;
    assert.equal(exitCode, 143);
    assert.ok(performance.now() - began < 3000);
    await eventually("the hook is gone", () => !children.some(proc.alive));
    const [found] = await server.psql(database, "SELECT to_regclass('accounts') AS accounts");
    assert.deepEqual(found, { accounts: null });
  },
);

test("L6 a hook whose headgate lost the lock is stopped, and nothing is applied", async () => {
  const { database, env } = await prepare();
  const running = await startHeadgate(
    first,
    ["migrate", "--before", "sh -c 'echo copying; sleep 60'"],
    {
      env,
    },
  );
  await running.waitForLog("copying");
  await server.psql(
    database,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'headgate/%' AND datname = current_database()",
  );
  const { exitCode, stderr } = await running.result;
  assert.equal(exitCode, 69);
  assert.match(stderr, /the session that holds the migration lock was lost/);
});
