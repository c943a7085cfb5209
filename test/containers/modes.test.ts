/** The compose file of the repository, unchanged, in both its modes: what goes well. */
import assert from "node:assert/strict";
import { before } from "node:test";
import { answer, buildDemo, containerTest, measured, docker, reportAtEnd } from "./engine.ts";
import { withSlowFirstBoot } from "./override.ts";
import { type Project, modes, startProject } from "./project.ts";

const files = ["1_create-notes.sql", "2_add-note-author.sql", "3_index-notes.sql"];
const healthy = { status: "ok", migrations: files.length };

before(buildDemo);

const applied = async (project: Project, migrator: string): Promise<unknown[]> =>
  (await project.logs(migrator))
    .filter(({ msg }) => msg === "applied")
    .map(({ migration }) => migration);

async function postNote(url: string, text: string): Promise<void> {
  await fetch(`${url}/notes`, { method: "POST", body: JSON.stringify({ text }) });
}

async function notesAt(url: string): Promise<string[]> {
  const notes = (await answer(`${url}/notes`)) as { text: string }[];
  return notes.map(({ text }) => text);
}

for (const { mode, profiles, api, migrator } of modes) {
  containerTest(
    "docker-compose.yml",
    `${mode}: ten replicas start at once; one migrates, all serve`,
    async (t) => {
      const project = startProject(t, { profiles });
      const up = await project.up(["--scale", `${api}=10`, api]);
      measured(
        t,
        "docker-compose.yml",
        `${mode}: \`up --wait\` of ten replicas on an empty database: ${up.ms} ms`,
      );

      const replicas = await project.states(api);
      assert.deepEqual(
        replicas.map(({ status, health }) => `${status}, ${health}`),
        Array.from({ length: 10 }, () => "running, healthy"),
      );
      for (let index = 1; index <= 10; index++) {
        assert.deepEqual(await answer(`${await project.url(api, index)}/health`), healthy);
      }
      await postNote(await project.url(api, 1), "from one");
      assert.deepEqual(await notesAt(await project.url(api, 10)), ["from one"]);

      assert.deepEqual(await applied(project, migrator), files);
      const ends = (await project.states("migrate")).map(({ exitCode }) => exitCode);
      assert.deepEqual(ends, migrator === "migrate" ? [0] : []);

      const top = await docker(["top", replicas[0]?.id ?? "", "-eo", "pid,uid,args"]);
      const servers = top.stdout.split("\n").filter((line) => line.endsWith(" node api.mjs"));
      const resident = servers.filter((line) => !line.includes("docker-init"));
      assert.match(resident.join("\n"), /^\d+\s+1000\s+node api\.mjs$/);
    },
  );

  containerTest(
    "docker-compose.yml",
    `${mode}: restarts of the database, the API, and the whole host`,
    async (t) => {
      const project = startProject(t, { profiles });
      const started = performance.now();
      await project.compose(["up", "--detach", api]);
      const url = await project.url(api);
      await answer(`${url}/health`);
      const coldMs = Math.round(performance.now() - started);
      measured(
        t,
        "docker-compose.yml",
        `${mode}: cold start, \`up\` to the first 200, on an empty database: ${coldMs} ms`,
      );
      await postNote(url, "kept");

      const [replica] = await project.states(api);
      await project.compose(["restart", "db"]);
      assert.deepEqual(await notesAt(url), ["kept"]);
      assert.deepEqual((await project.states(api))[0]?.id, replica?.id);

      const restart = await project.compose(["restart", api]);
      assert.deepEqual(await notesAt(await project.url(api)), ["kept"]);
      measured(t, "docker-compose.yml", `${mode}: restart of the API: ${restart.ms} ms`);

      // Power is cut and comes back: the engine starts what there was in any order, and looks at no depends_on.
      const [db] = await project.states("db");
      await docker(["kill", db?.id ?? "", replica?.id ?? ""]);
      await docker(["start", replica?.id ?? ""]);
      if (api === migrator) await project.waitForLog(api, "waiting");
      await docker(["start", db?.id ?? ""]);
      assert.deepEqual(await notesAt(await project.url(api)), ["kept"]);
      assert.deepEqual(await applied(project, migrator), files);
    },
  );

  containerTest(
    "docker-compose.yml",
    `${mode}: Postgres comes late, and listens on its socket first`,
    async (t) => {
      const project = startProject(t, { profiles, files: withSlowFirstBoot(8) });
      const replicas = migrator === api ? 3 : 1;
      const early = ["--no-deps", "--scale", `${migrator}=${replicas}`, migrator];
      await project.compose(["up", "--detach", ...early]);
      await project.waitForLog(migrator, "waiting");

      await project.compose(["up", "--detach", "db"]);
      const isReady = ["exec", "-T", "db", "pg_isready", "-U", "app", "-d", "app"];
      let fooled = 0;
      for (;;) {
        const overSocket = await project.compose(isReady, { mayFail: true });
        const [db] = await project.states("db");
        const overTcp = await project.compose([...isReady, "-h", "127.0.0.1"], { mayFail: true });
        if (overTcp.exitCode === 0) break;
        assert.equal(`${db?.status}, ${db?.health}`, "running, starting");
        if (overSocket.exitCode === 0) fooled++;
      }
      assert.ok(fooled > 0, "a health check without -h would have said ready");

      await project.waitForLog(migrator, "migrated");
      assert.deepEqual(await applied(project, migrator), files);
      await project.up(["--scale", `${api}=3`, api]);
      for (let index = 1; index <= 3; index++) {
        assert.deepEqual(await answer(`${await project.url(api, index)}/health`), healthy);
      }
    },
  );
}

reportAtEnd();
