/** The compose file of the repository in both its modes: what goes wrong. */
import assert from "node:assert/strict";
import { before } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { eventually } from "../helpers/eventually.ts";
import { addMigrations } from "../helpers/migrations.ts";
import { answer, buildDemo, containerTest, measured, graceMs, reportAtEnd } from "./engine.ts";
import { withMigrations, withVariable } from "./override.ts";
import { type Project, modes, startProject } from "./project.ts";

const bad = "ALTER TABLE notes ADD COLUMN extra int;\nALTER TABLE no_such ADD COLUMN x int;\n";
const slow = "ALTER TABLE notes ADD COLUMN extra int;\nSELECT pg_sleep(4);\n";
const good = "ALTER TABLE notes ADD COLUMN extra int;\n";

/** `restart: on-failure:3` */
const tries = 4;

before(buildDemo);

/** What a file that was rolled back must have left: nothing. */
async function assertNothingOfFour(project: Project): Promise<void> {
  const extra = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'extra'";
  assert.equal(await project.sql(extra), "0");
  assert.equal(await project.sql("SELECT max(id) FROM migrations"), "3");
}

async function assertFourServed(url: string): Promise<void> {
  assert.deepEqual(await answer(`${url}/health`), { status: "ok", migrations: 4 });
}

const ends = async (project: Project, service: string): Promise<unknown[]> =>
  (await project.states(service)).map(({ status, exitCode }) =>
    status === "exited" ? exitCode : status,
  );

for (const { mode, profiles, api, migrator } of modes) {
  const isSeparate = api !== migrator;

  containerTest(
    "docker-compose.yml",
    `${mode}: a failing migration keeps the API from starting and says why`,
    async (t) => {
      const { files, folder } = withMigrations({ "4_bad.sql": bad });
      const project = startProject(t, { files, profiles });
      const three = ["--scale", `${api}=3`, api];
      const up = await project.up(three, { mayFail: true });
      assert.equal(up.exitCode, 1, up.stderr);
      const reason = isSeparate
        ? /service "migrate" didn't complete successfully: exit 1/
        : /container \S+-api-\d (exited \(1\)|is unhealthy)/;
      assert.match(up.stderr, reason);

      // Each is tried again, which does not help, and is at an end then.
      const apis = isSeparate ? ["created", "created", "created"] : [1, 1, 1];
      await eventually("no replica is tried again", async () =>
        isDeepStrictEqual(await ends(project, api), apis),
      );
      assert.deepEqual(await ends(project, "migrate"), isSeparate ? [1] : []);
      const lines = await project.logs(migrator);
      const failures = lines.filter(({ level }) => level === "error");
      assert.equal(failures.length, tries * (isSeparate ? 1 : 3));
      for (const { msg } of failures) {
        assert.match(msg, /4_bad\.sql:2:\d+: .*relation "no_such" does not exist/);
      }
      await assertNothingOfFour(project);

      addMigrations(folder, { "4_bad.sql": good });
      await project.up(three);
      await assertFourServed(await project.url(api, 3));
    },
  );

  containerTest(
    "docker-compose.yml",
    `${mode}: \`down\` during a migration is fast, and the next \`up\` completes it`,
    async (t) => {
      const { files } = withMigrations({ "4_slow.sql": slow });
      const project = startProject(t, { files, profiles });
      const three = ["--scale", `${api}=3`, api];
      const up = project.compose(["up", "--detach", ...three], { mayFail: true });
      const sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
      const isSleeping = async () => (await project.sql(sleeping)) === "1";
      await eventually("the migration runs", isSleeping, 60_000);

      const down = await project.compose(["down"]);
      measured(t, "docker-compose.yml", `${mode}: \`down\` during a migration: ${down.ms} ms`);
      assert.ok(down.ms < graceMs, `${down.ms} ms`);
      const codes = isSeparate ? ["143"] : ["143", "143", "143"];
      assert.deepEqual(await project.exitCodes(migrator), codes);
      await up; // it waits for `migrate`, which was ended

      await project.up(["db"]);
      await assertNothingOfFour(project);
      await project.up(three);
      await assertFourServed(await project.url(api, 3));
    },
  );
}

containerTest(
  "docker-compose.yml",
  "`run migrate` before `up`: a failing migration leaves the old replicas serving",
  async (t) => {
    const profiles = ["separate"];
    const old = startProject(t, { profiles });
    await old.up(["api-separate"]);
    const { files } = withMigrations({ "4_bad.sql": bad });
    const next = startProject(t, { files, profiles, name: old.name });
    const migrate = await next.compose(["run", "--rm", "migrate"], { mayFail: true });
    assert.equal(migrate.exitCode, 1, migrate.stderr);
    assert.match(migrate.stderr, /4_bad\.sql:2:\d+: /);
    assert.equal((await old.states("api-separate"))[0]?.health, "healthy");
    await answer(`${await old.url("api-separate")}/health`);
  },
);

containerTest(
  "docker-compose.yml",
  "a replica that gave up waiting for Postgres (69) is started again, and serves when that is there",
  async (t) => {
    const project = startProject(t, { files: withVariable("HEADGATE_WAIT_TIMEOUT", "10s") });
    await project.compose(["up", "--detach", "--no-deps", "api"]);
    await eventually(
      "it has given up",
      async () =>
        (await project.logs("api")).some(
          ({ code, exitCode }) => code === "not_ready" && exitCode === 69,
        ),
      60_000,
    );
    await project.up(["db"]);
    assert.deepEqual(await answer(`${await project.url("api")}/health`), {
      status: "ok",
      migrations: 3,
    });
  },
);

containerTest(
  "docker-compose.yml",
  "a stop while headgate or the server is starting is heard at once",
  async (t) => {
    const project = startProject(t);
    await project.up(["--scale", "api=4", "api"]);
    for (let round = 1; round <= 3; round++) {
      await project.compose(["restart", "api"]);
      const stop = await project.compose(["stop", "api"]);
      const codes = await ends(project, "api");
      measured(
        t,
        "docker-compose.yml",
        `round ${round}: ${stop.ms} ms, exit codes ${codes.join(" ")}`,
      );
      assert.ok(stop.ms < graceMs, `${stop.ms} ms`);
      for (const code of codes) assert.ok(code === 0 || code === 143, String(code));
    }
  },
);

reportAtEnd();
