/** The schema is taken back: first the image, then the schema, as deploy/kubernetes/rollback says. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { clusterTest } from "./cluster.ts";
import { files, root } from "./images.ts";
import type { Space } from "./space.ts";

const replicas = 2;
const newest = files.at(-1) ?? "";
const own = Object.fromEntries(
  files.map((name) => [name, readFileSync(`${root}migrations/${name}`, "utf8")]),
);

clusterTest(
  "rollback",
  "C10 when the older image serves again, the newer one's Job takes the schema back; one that fails says why",
  async (space) => {
    await space.apply("demo-postgres");
    await space.apply("entrypoint", { release: "old", replicas });
    await space.rolledOut();
    await space.apply("entrypoint", { replicas });
    await space.rolledOut();
    await space.kubectl("rollout", "undo", "deployment/api");
    await space.rolledOut();
    assert.deepEqual(await space.history(), files, "the older image serves, the schema is ahead");

    await space.apply("rollback", { release: "old" });
    const wrongImage = await space.failed("rollback");
    assert.equal(wrongImage.exitCode, 65);
    assert.match(wrongImage.message, /^history_mismatch \(exit 65\): .*\n- 3 index-notes: missing/);
    assert.match(wrongImage.message, /use the newest image/);

    const wrong = { [`undo/${newest}`]: "-- undo\nDROP INDEX notes_created_at;\n" };
    await space.apply("rollback", { migrations: { ...own, ...wrong } });
    const failing = await space.failed("rollback");
    assert.equal(failing.exitCode, 1);
    const place = `migrations/undo/${newest}:2:1: index "notes_created_at" does not exist`;
    assert.ok(failing.message.startsWith(`sql_failed (exit 1): ${place}`), failing.message);
    assert.deepEqual(await space.history(), files);

    await space.apply("rollback");
    await space.completed("rollback");
    assert.deepEqual(await space.history(), files.slice(0, -1));
    assert.equal(await space.sql("select to_regclass('notes_created_at_idx') is null"), "t");
    assert.deepEqual(await undone(space), [newest]);

    const health = { status: "ok", migrations: files.length - 1 };
    assert.partialDeepStrictEqual(await space.get("/health"), health);
    assert.equal(await space.restarts("api"), 0);

    // Why the older image has to come first.
    await space.apply("entrypoint", { replicas });
    await space.rolledOut();
    assert.deepEqual(await space.history(), files, "the newer image has applied it again");
  },
);

/** The files that the Job's pods have undone. */
async function undone(space: Space): Promise<readonly unknown[]> {
  const lines = (await space.log("rollback")).filter(({ msg }) => msg === "undone");
  return lines.map(({ migration }) => migration);
}
