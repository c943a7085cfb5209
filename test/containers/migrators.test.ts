/** The compose file of the repository, unchanged, with a migrator of another tool in the image. */
import assert from "node:assert/strict";
import { before } from "node:test";
import { buildMigratorImage } from "../cluster/migrator-images.ts";
import { answer, buildDemo, containerTest, reportAtEnd } from "./engine.ts";
import { withImage } from "./override.ts";
import { modes, startProject } from "./project.ts";

before(buildDemo);

for (const tool of ["alembic", "knex"] as const) {
  const image = `headgate-demo:test-compose-${tool}`;
  for (const { mode, profiles, api, migrator } of modes) {
    containerTest(
      "docker-compose.yml",
      `T1 ${mode}: ${tool} is told the database, runs once, and three replicas serve`,
      async (t) => {
        await buildMigratorImage(tool, "headgate-demo", image);
        const project = startProject(t, { files: withImage(image), profiles });
        await project.up(["--scale", `${api}=3`, api]);
        for (const index of [1, 2, 3]) {
          assert.deepEqual(await answer(`${await project.url(api, index)}/health`), {
            status: "ok",
            migrations: 1,
          });
        }
        const starts = (await project.logs(migrator)).filter(
          ({ msg, phase }) => msg === "started" && phase === "migrator",
        );
        assert.equal(starts.length, 1);
        // Made by the tool, with the password that compose puts into a file.
        const table = tool === "knex" ? "knex_migrations" : "alembic_version";
        assert.equal(await project.sql(`SELECT count(*) FROM ${table}`), "1");
      },
    );
  }
}

reportAtEnd();
