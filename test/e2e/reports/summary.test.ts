import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import {
  artifacts,
  type HeadgateResult,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { addMigrations, happy, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const [first] = artifacts;
assert.ok(first);
const artifact = first;

async function workplace(files = happy) {
  const database = await createDatabase(server);
  const folder = makeMigrations(files);
  const file = join(temporaryFolder("headgate-summary-"), "summary.md");
  const env = {
    ...{ DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder },
    HEADGATE_SUMMARY: file,
  };
  return {
    ...{ database, folder, file, env },
    run: (...args: string[]): Promise<HeadgateResult> => runHeadgate(artifact, args, { env }),
    /** What has been written since the last call. */
    written: (() => {
      let seen = 0;
      return (): string => {
        const text = readFileSync(file, "utf8");
        const news = text.slice(seen);
        seen = text.length;
        return news;
      };
    })(),
  };
}

/** The stretches of the timeline: name, whether it failed, from, to. */
function stretches(markdown: string): { name: string; crit: boolean; ms: number }[] {
  const [, chart = ""] = /```mermaid\ngantt\n([^]*?)```/.exec(markdown) ?? [];
  return [...chart.matchAll(/^ {2}([^:\n]+) :(crit, )?(\d+), (\d+)$/gm)].map(
    ([, name = "", crit, from, to]) => ({
      ...{ name, crit: crit !== undefined, ms: Number(to) - Number(from) },
    }),
  );
}

for (const each of artifacts) {
  testOn(
    each,
    "O4 a run's report tells before and after, and each file with its time and its wait for table locks",
    async () => {
      const { database, folder, env, written } = await workplace();
      assert.equal((await runHeadgate(each, ["migrate"], { env })).exitCode, 0);
      const one = written();
      assert.match(one, /^## `headgate migrate`: succeeded after \d+\.\d s\n\nDatabase `test_/);
      assert.match(one, /\| migrations \| 0 applied, 3 pending \| 3 applied, 0 pending \|/);
      for (const name of Object.keys(happy))
        assert.match(one, new RegExp(String.raw`\| \`${name}\` \| applied \| \d+ ms \| 0 ms \|`));
      assert.deepEqual(
        stretches(one).map(({ name }) => name),
        Object.keys(happy),
      );

      const reader = await server.connect(database);
      await reader.query("BEGIN; SELECT FROM accounts");
      addMigrations(folder, { "4_blocked.sql": "ALTER TABLE accounts ADD COLUMN age int" });
      const running = await startHeadgate(each, ["migrate"], { env });
      await running.waitForLog("waiting for a table lock");
      await reader.end();
      const { exitCode, stderr, lines } = await running.result;
      assert.equal(exitCode, 0, stderr);
      const got = lines.find(({ msg }) => msg === "got its table locks");
      const two = written();
      assert.match(
        two,
        new RegExp(String.raw`\| \`4_blocked\.sql\` \| applied \| \d+ ms \| ${got?.["ms"]} ms \|`),
      );
      assert.ok(Number(got?.["ms"]) > 0);
      assert.match(two, /\| 3 applied, 1 pending \| 4 applied, 0 pending \|/);

      assert.equal((await runHeadgate(each, ["--", "true"], { env })).exitCode, 0);
      const three = written();
      assert.match(three, /^## `headgate run`: became \S*\/true after/);
      assert.match(three, /\| 4 applied, 0 pending \| 4 applied, 0 pending \|/);
      assert.doesNotMatch(three, /mermaid/);
    },
  );
}

test("O4 the report of a failure has the statement's place, the cause and what to do", async () => {
  const { run, written } = await workplace({
    ...happy,
    "4_bad.sql": "SELECT 1;\nALTER TABLE accounts ADD COLUMN name text;\n",
  });
  assert.equal((await run("migrate")).exitCode, 1);
  const report = written();
  assert.match(report, /^## `headgate migrate`: exit code 1 after/);
  assert.match(report, /\n\*\*\S*4\\_bad\.sql:2:\d+: .*already exists.*\*\*\s\(SQLSTATE 42701\)\n/);
  assert.match(
    report,
    /\n```text\n1 \| SELECT 1;\n2 \| ALTER TABLE accounts ADD COLUMN name text;\n/,
  );
  assert.match(report, /\nTo do: correct the file and run again\n/);
  assert.match(report, /\| 0 applied, 4 pending \| 3 applied, 1 pending \|/);
  assert.deepEqual(stretches(report).at(-1)?.crit, true);
  assert.equal(stretches(report).at(-1)?.name, "4_bad.sql");
});

test("O4 every command writes a report, with what it printed", async () => {
  const { run, written } = await workplace();
  assert.equal((await run("status")).exitCode, 0);
  assert.match(written(), /^## `headgate status`: succeeded.*\n\n[^]*```text\nid {2}state/);
  assert.equal((await run("verify")).exitCode, 3);
  assert.match(written(), /^## `headgate verify`: exit code 3[^]*3 of 3 migrations are pending/);
  assert.equal((await run("wait")).exitCode, 0);
  assert.match(written(), /^## `headgate wait`: succeeded/);
  assert.equal((await run("migrate", "--lock-wait", "soon", "--wait-timeout", "x")).exitCode, 64);
  assert.match(written(), /exit code 64[^]*"x" is not a duration[^]*"soon" is not a duration/);
  assert.equal((await run("migrate")).exitCode, 0);
  assert.equal((await run("verify")).exitCode, 0);
  assert.match(written(), /```text\n3 applied, none pending\n```/);
});

test("O4 the report of a command that has no database names none", async () => {
  const files = { "1_a.sql": "SELECT 1;\n", "undo/1_a.sql": "SELECT 1;\n" };
  const { file, folder, database } = await workplace(files);
  const { exitCode, stderr } = await runHeadgate(
    artifact,
    ["check", "--roundtrip", "--migrations", folder, "--summary", file],
    { env: { HEADGATE_SCRATCH_URL: server.url(database) } },
  );
  assert.equal(exitCode, 0, stderr);
  assert.doesNotMatch(readFileSync(file, "utf8"), /undefined/);
});

test("O4 a summary that cannot be written is said, and no reason to fail", async () => {
  const { run, env, file } = await workplace();
  env.HEADGATE_SUMMARY = join(file, "..", "none", "summary.md");
  const { exitCode, lines } = await run("migrate");
  assert.equal(exitCode, 0);
  assert.equal(lines.at(-1)?.msg, "could not write the summary");
  assert.equal(existsSync(env.HEADGATE_SUMMARY), false);
});

test("P1 no password gets into a summary", async () => {
  const { run, written } = await workplace({
    "1_bad.sql": "ALTER ROLE postgres PASSWORD 'open-sesame' FROM nobody",
  });
  assert.equal((await run("migrate")).exitCode, 1);
  const report = written();
  assert.doesNotMatch(report, /open-sesame/);
  assert.ok(!report.includes(server.password));
});
