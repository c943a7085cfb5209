/** The variants, unchanged, with a migrator of another tool in the image. */
import assert from "node:assert/strict";
import { clusterTest } from "./cluster.ts";
import { image, type Release, tags } from "./images.ts";
import { buildMigratorImage } from "./migrator-images.ts";

const build = (release: "alembic" | "alembic-broken" | "knex"): Promise<void> =>
  buildMigratorImage(release, `${image}:${tags.now}`, `${image}:${tags[release]}`);

const migrators = { entrypoint: "api", "init-container": "api", job: "migrate" } as const;

for (const manifest of ["entrypoint", "init-container", "job"] as const) {
  for (const tool of ["alembic", "knex"] as const satisfies readonly Release[]) {
    clusterTest(manifest, `T1 ${tool} is told the database, and all pods serve`, async (space) => {
      await build(tool);
      await space.apply("demo-postgres");
      await space.apply(manifest, { release: tool, replicas: 2 });
      await space.rolledOut();
      assert.deepEqual(await space.get("/health"), { status: "ok", migrations: 1 });
      const starts = (await space.log(migrators[manifest])).filter(
        ({ msg, phase }) => msg === "started" && phase === "migrator",
      );
      assert.equal(starts.length, 1);
      await space.apply("status", { release: tool });
      await space.completed("status");
    });
  }
}

clusterTest(
  "job",
  "T2 the termination message of a Job whose migrator fails names revision, statement and cause",
  async (space) => {
    await build("alembic-broken");
    await space.apply("demo-postgres");
    await space.apply("job", { release: "alembic-broken", replicas: 1 });
    const { exitCode, message } = await space.failed("migrate");
    assert.equal(exitCode, 1);
    assert.match(
      message,
      /^sql_failed \(exit 1\): .* in revision 0002 \(alembic\/versions\/0002_broken\.py:\d+\): relation "nots" does not exist; the statement: ALTER TABLE nots ADD COLUMN likes int\n/,
    );
  },
);
