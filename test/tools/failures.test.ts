/** What is told of a migration that fails, in the tool's own words: each tool is run. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { artifacts, runHeadgate } from "../helpers/headgate.ts";
import { useServer } from "../helpers/use-server.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { webhook } from "../helpers/webhook.ts";
import { knex } from "./node-tools.ts";
import { alembic } from "./python-tools.ts";
import {
  environmentOf,
  fiveSteps,
  makeProject,
  requireTool,
  type Step,
  type Tool,
} from "./tool.ts";
import { tools } from "./tools.ts";

const server = await useServer();
const [artifact] = artifacts;
assert.ok(artifact);

const cause = 'relation "nots" does not exist';
const statement = "ALTER TABLE nots ADD COLUMN done boolean";
const wrongStep: Step = {
  up: ["INSERT INTO applied VALUES (3)", "ALTER TABLE nots\n  ADD COLUMN done boolean"],
};

/** How each tool calls its third migration, and whether it prints the statement. */
const words: { readonly [preset: string]: { migration: string; saysStatement: boolean } } = {
  alembic: { migration: "revision 0003 (alembic/versions/0003_step.py:9)", saysStatement: true },
  django: { migration: "things.0003_step", saysStatement: false },
  sqitch: { migration: "deploy/step3.sql:4", saysStatement: false },
  dbmate: { migration: "20260101000003_step.sql", saysStatement: false },
  knex: { migration: "20260101000003_step.js", saysStatement: true },
  "node-pg-migrate": { migration: "1767200000003_step", saysStatement: true },
  typeorm: { migration: "Step1767200000003", saysStatement: true },
};

async function prepare(tool: Tool, steps: readonly Step[]) {
  const database = await createDatabase(server);
  const project = makeProject(tool, steps);
  const termination = join(temporaryFolder("headgate-termination-"), "log");
  const env = { ...environmentOf(server, database), HEADGATE_TERMINATION_LOG: termination };
  const boot = (more: Record<string, string> = {}) =>
    runHeadgate(artifact as (typeof artifacts)[number], ["migrate", "--migrator", tool.preset], {
      cwd: project.folder,
      env: { ...env, ...more },
    });
  return { database, boot, message: () => readFileSync(termination, "utf8") };
}

for (const tool of tools.filter(({ preset }) => preset !== "drizzle")) {
  test(`T2 a failure of ${tool.preset} names migration, statement and cause in log, termination message and webhook`, async (t) => {
    if (!requireTool(t, tool)) return;
    const { boot, message } = await prepare(tool, [...fiveSteps.slice(0, 2), wrongStep]);
    const { url, told } = await webhook(t);
    const { exitCode, lines, stderr } = await boot({ HEADGATE_NOTIFY_URL: url });
    assert.equal(exitCode, 1, stderr);
    const { migration = "", saysStatement } = words[tool.preset] ?? {};
    const error = lines.find(({ level }) => level === "error");
    for (const text of [String(error?.msg), message().split("\n")[0] ?? "", told.at(-1) ?? ""]) {
      assert.ok(text.includes(` in ${migration}: ${cause}`), text);
      assert.equal(text.includes(`the statement: ${statement}`), saysStatement, text);
    }
    assert.equal(error?.["migration"], migration);
    assert.equal(String(error?.["cause"]).startsWith(cause), true);
  });
}

test("T2 drizzle-kit prints nothing of a failure, and that is said", async () => {
  const { drizzle } = await import("./node-tools.ts");
  const { boot } = await prepare(drizzle, [...fiveSteps.slice(0, 2), wrongStep]);
  const { exitCode, lines } = await boot();
  assert.equal(exitCode, 1);
  assert.match(String(lines.at(-1)?.["fix"]), /in the lines above, or in Postgres' own log/);
});

/** What is built without a transaction stays, and is in the way of the next try. */
const halfStep: Step = {
  up: ["CREATE INDEX CONCURRENTLY things_name ON things (name)", ...wrongStep.up.slice(1)],
  inTransaction: false,
};

for (const tool of [alembic, knex]) {
  test(`T2 a later try of ${tool.preset} does not bury why it failed first, and a success forgets it`, async (t) => {
    if (!requireTool(t, tool)) return;
    const { boot, message, database } = await prepare(tool, [...fiveSteps.slice(0, 2), halfStep]);
    const first = await boot();
    assert.equal(first.exitCode, 1);
    assert.ok(String(first.lines.at(-1)?.msg).includes(cause), first.stderr);
    assert.equal(first.lines.at(-1)?.["problems"], undefined);

    // Knex leaves its lock row behind when it is stopped, but not here.
    const { url, told } = await webhook(t);
    for (const _ of [1, 2]) {
      const later = await boot({ HEADGATE_NOTIFY_URL: url });
      assert.equal(later.exitCode, 1);
      assert.match(String(later.lines.at(-1)?.msg), /relation "things_name" already exists/);
      for (const text of [JSON.stringify(later.lines.at(-1)?.["problems"]), message(), told.at(-1)])
        assert.match(
          String(text),
          /these files first failed at \d{4}-\d\d-\d\d [\d:]+ UTC, run by headgate.*"nots\\*" does not exist/,
        );
    }

    await server.psql(database, "DROP INDEX things_name; CREATE TABLE nots (id int)");
    assert.equal((await boot()).exitCode, 0);
    await server.psql(
      database,
      `DROP TABLE ${tool === knex ? "knex_migrations" : "alembic_version"}`,
    );
    const again = await boot();
    assert.equal(again.exitCode, 1, "its own table is gone, and the tables are not");
    assert.equal(again.lines.at(-1)?.["problems"], undefined);
  });
}
