import assert from "node:assert/strict";
import { hostname } from "node:os";
import {
  type Artifact,
  type HeadgateResult,
  type LaunchOptions,
  artifacts,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import {
  type MigrationFiles,
  addMigrations,
  happy,
  makeMigrations,
} from "../../helpers/migrations.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

/** Runs commands against one new database and one folder. */
async function workplace(artifact: Artifact, files: MigrationFiles = happy) {
  const database = await createDatabase(server);
  const folder = makeMigrations(files);
  const env = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder };
  return {
    database,
    folder,
    env,
    run: (...args: string[]): Promise<HeadgateResult> => runHeadgate(artifact, args, { env }),
    start: (args: string[], options: LaunchOptions = {}) =>
      startHeadgate(artifact, args, { ...options, env }),
  };
}

type Status = {
  historyTable: string | null;
  upToDate: boolean;
  migrations: { id: number; name: string; state: string; executedAt: string | null }[];
} & Record<"applied" | "pending" | "changed" | "missing" | "outOfOrder" | "ahead", number>;

/** The entries of `status --json` as `id state`, and its counts that are not zero. */
function summarize({ stdout }: HeadgateResult): Record<string, unknown> {
  const { migrations, ...counts } = JSON.parse(stdout) as Status;
  for (const { state, executedAt } of migrations) {
    const isRecorded = !["pending", "out of order"].includes(state);
    assert.equal(executedAt !== null, isRecorded, state);
    if (executedAt !== null) assert.match(executedAt, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
  }
  return {
    ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0)),
    entries: migrations.map(({ id, name, state }) => `${id} ${name} ${state}`),
  };
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "M7 migrate, verify and status agree on a database before, while and after it is migrated",
    async () => {
      const { run, folder, database } = await workplace(artifact);
      const names = ["1 create-accounts", "2 add-account-name", "3 index-account-names"];

      const early = await run("verify");
      assert.deepEqual([early.exitCode, early.stdout], [3, ""]);
      assert.match(
        early.lines.at(-1)?.msg ?? "",
        /3 of 3 migrations are pending: 1 create-accounts, 2/,
      );
      assert.equal((await run("status")).exitCode, 0);
      const before = await run("status", "--json", "--exit-code");
      assert.equal(before.exitCode, 3);
      assert.deepEqual(summarize(before), {
        ...{ historyTable: null, upToDate: false, pending: 3 },
        entries: names.map((name) => `${name} pending`),
      });
      const tables = "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace";
      assert.equal((await server.psql(database, tables)).length, 0, "they only read");

      const migrated = await run("migrate");
      assert.deepEqual([migrated.exitCode, migrated.stdout], [0, ""]);
      assert.deepEqual(
        migrated.lines.filter(({ msg }) => msg === "applied").map((line) => line["migration"]),
        Object.keys(happy),
      );
      assert.equal((await run("migrate")).exitCode, 0);
      const verified = await run("verify");
      assert.deepEqual([verified.exitCode, verified.stdout], [0, "3 applied, none pending\n"]);
      const after = await run("status", "--json", "--exit-code");
      assert.equal(after.exitCode, 0);
      assert.deepEqual(summarize(after), {
        ...{ historyTable: "migrations", upToDate: true, applied: 3 },
        entries: names.map((name) => `${name} applied`),
      });

      addMigrations(folder, { "4_broken.sql": "SELECT wrong;", "5_later.sql": "" });
      assert.equal((await run("migrate")).exitCode, 1);
      const partly = await run("verify");
      assert.equal(partly.exitCode, 3);
      assert.match(
        partly.lines.at(-1)?.msg ?? "",
        /2 of 5 migrations are pending: 4 broken, 5 later$/,
      );
      assert.equal((await run("status", "--exit-code")).exitCode, 3);
    },
  );

  testOn(
    artifact,
    "M6 status shows every state that files and history can be in, as a table and as JSON",
    async () => {
      const { run, env, database } = await workplace(artifact, {
        ...{
          "1_a.sql": "",
          "2_b.sql": "",
          "3_c.sql": "",
          "4_d.sql": "",
          "5_e.sql": "",
          "6_f.sql": "",
        },
      });
      assert.equal((await run("migrate")).exitCode, 0);
      await server.psql(database, "DELETE FROM migrations WHERE id = 3");
      env.HEADGATE_MIGRATIONS = makeMigrations({
        ...{ "1_a.sql": "", "2_b.sql": "SELECT 2;", "3_c.sql": "", "4_other.sql": "" },
      });
      const json = await run("status", "--json");
      assert.equal(json.exitCode, 0);
      assert.deepEqual(summarize(json), {
        ...{ historyTable: "migrations", upToDate: false },
        ...{ applied: 1, pending: 1, changed: 2, outOfOrder: 1, ahead: 2 },
        entries: [
          "1 a applied",
          "2 b changed",
          "3 c out of order",
          "4 other changed",
          "5 e ahead",
          "6 f ahead",
        ],
      });
      const table = await run("status");
      assert.equal(table.exitCode, 0);
      const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`;
      const by = String.raw`${time} +\d+ ms  postgres on ${hostname()}`;
      const rows = [
        "id  state +applied at +took  by +name",
        ` 1  applied +${by}  a`,
        ` 2  changed +${by}  b`,
        ` 3  out of order {2,}c`,
        ` 4  changed +${by}  other`,
        ` 5  ahead +${by}  e`,
        ` 6  ahead +${by}  f`,
      ];
      assert.match(table.stdout, new RegExp(`^${rows.join("\n")}\n$`));
      for (const args of [["status", "--exit-code"], ["verify"], ["migrate"]]) {
        assert.equal((await run(...args)).exitCode, 65, args.join(" "));
      }
    },
  );

  testOn(artifact, "M7 status and verify of an empty folder say so", async () => {
    const { run, folder } = await workplace(artifact, {});
    assert.equal((await run("status")).stdout, "no migrations\n");
    assert.deepEqual(summarize(await run("status", "--json", "--exit-code")), {
      ...{ historyTable: null, upToDate: true, entries: [] },
    });
    const nothing = `verified nothing: there are no migrations in ${folder}\n`;
    assert.equal((await run("verify")).stdout, nothing);
  });

  testOn(
    artifact,
    "L3 verify --wait ends with 0 when another replica has migrated, and looks without a lock",
    async () => {
      const { run, start, database } = await workplace(artifact);
      const waiting = await start(["verify", "--wait"]);
      await waiting.waitForLog("waiting for migrations");
      const advisory = await server.psql(
        database,
        "SELECT FROM pg_locks WHERE locktype = 'advisory'",
      );
      assert.equal(advisory.length, 0);
      assert.equal((await run("migrate")).exitCode, 0);
      const { exitCode, stdout } = await waiting.result;
      assert.deepEqual([exitCode, stdout], [0, "3 applied, none pending\n"]);
    },
  );

  testOn(artifact, "L5 verify --wait is bounded by --lock-wait and then ends with 3", async () => {
    const { run } = await workplace(artifact);
    const { exitCode, durationMs } = await run("verify", "--wait", "--lock-wait", "700ms");
    assert.equal(exitCode, 3);
    assert.ok(durationMs >= 700, `${durationMs} ms`);
  });

  testOn(
    artifact,
    "W1 verify is a probe: it tries once and says whether Postgres or the login is the trouble",
    async () => {
      const { run, env, database } = await workplace(artifact);
      assert.equal((await run("migrate")).exitCode, 0);
      env.DATABASE_URL = server.url(database, { port: await freePort() });
      assert.equal((await run("verify")).exitCode, 69);
      assert.equal((await run("status", "--wait-timeout", "300ms")).exitCode, 69);
      env.DATABASE_URL = server.url("no_such_database");
      assert.equal((await run("verify")).exitCode, 77);
      env.DATABASE_URL = server.url(database, { password: "wrong-password" });
      const refused = await run("verify");
      assert.equal(refused.exitCode, 77);
      assert.match(refused.lines.at(-1)?.msg ?? "", /password refused/);
    },
  );

  testOn(
    artifact,
    "W1 verify and status work on a database that is read-only, where migrate does not",
    async () => {
      const { run, database, folder } = await workplace(artifact);
      assert.equal((await run("migrate")).exitCode, 0);
      await server.psql(
        database,
        `ALTER DATABASE ${database} SET default_transaction_read_only = on`,
      );
      assert.equal((await run("verify")).exitCode, 0);
      assert.equal((await run("status", "--exit-code")).exitCode, 0);
      addMigrations(folder, { "4_more.sql": "" });
      assert.equal((await run("verify")).exitCode, 3);
      const { exitCode, lines } = await run("migrate", "--wait-timeout", "500ms");
      assert.equal(exitCode, 69);
      assert.match(lines.at(-1)?.msg ?? "", /read-only/);
    },
  );
}
