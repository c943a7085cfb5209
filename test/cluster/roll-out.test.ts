/** The three variants from the first release to a roll-back, as a team would live through them. */
import assert from "node:assert/strict";
import { clusterTest } from "./cluster.ts";
import { brokenFile, files } from "./images.ts";
import type { Space } from "./space.ts";

const before = files.slice(0, -1);
const replicas = 2;
/** Who migrates. */
const migrators = { entrypoint: "api", "init-container": "api", job: "migrate" } as const;

for (const manifest of ["entrypoint", "init-container", "job"] as const) {
  const title = "C1 two releases roll out, a third that fails stops, the first comes back";
  clusterTest(manifest, title, async (space, cluster) => {
    const migrator = migrators[manifest];

    // Postgres and the API at once: headgate waits until it is ready.
    await space.apply("demo-postgres");
    await space.apply(manifest, { release: "old", replicas });
    await space.rolledOut();
    assert.deepEqual(await applied(space, migrator), before);
    await allServe(space, before.length);

    await space.apply(manifest, { replicas });
    await space.rolledOut();
    assert.deepEqual(await applied(space, migrator), files.slice(-1));
    await allServe(space, files.length);

    await space.apply(manifest, { release: "broken", replicas });
    const { exitCode, message } = await space.failed(migrator);
    assert.equal(exitCode, 1);
    assert.match(message, new RegExp(`^sql_failed \\(exit 1\\): migrations/${brokenFile}:2:1: `));
    assert.match(message, /42P01/);
    if (manifest === "job" && !cluster.unknown.includes("podFailurePolicy")) {
      await space.kubectl("wait", "job/migrate", "--for=condition=failed", "--timeout=20s");
      assert.equal((await space.pods("migrate")).length, 1, "it was not tried again");
    }
    // The old pods serve, the new one does not become ready.
    const { spec, status } = await deployment(space);
    assert.deepEqual(
      [spec.replicas, status.readyReplicas, status.updatedReplicas],
      [replicas, replicas, 1],
    );
    assert.partialDeepStrictEqual(await space.get("/health"), {
      status: "ok",
      migrations: files.length,
    });
    assert.deepEqual(await space.history(), files);

    await space.kubectl("rollout", "undo", "deployment/api", "--to-revision=1");
    await space.rolledOut();
    await allServe(space, files.length);
    if (manifest !== "job") {
      const ahead = (await space.log("api")).filter(({ msg }) => /database ahead/.test(msg));
      assert.equal(ahead.length, replicas);
      assert.match(String(ahead[0]?.["ahead"]), /index-notes/);
    }
  });
}

/** The files that the pods there have applied, each as often as it was. */
async function applied(space: Space, app: string): Promise<readonly unknown[]> {
  const lines = (await space.log(app)).filter(({ msg }) => msg === "applied");
  return lines.map(({ migration }) => migration);
}

async function allServe(space: Space, migrations: number): Promise<void> {
  assert.partialDeepStrictEqual(await space.get("/health"), { status: "ok", migrations });
  assert.equal((await space.pods("api")).length, replicas);
  assert.equal(await space.restarts("api"), 0);
}

async function deployment(space: Space): Promise<{
  spec: { replicas: number };
  status: { readyReplicas: number; updatedReplicas: number };
}> {
  return JSON.parse(await space.kubectl("get", "deployment", "api", "--output=json"));
}
