/** What arrives late, and what arrives all at once. */
import assert from "node:assert/strict";
import { clusterTest } from "./cluster.ts";
import { files } from "./images.ts";
import { gated, openGate } from "./gate.ts";
import { type Line, look, type Space } from "./space.ts";

const secret = ["secret", "generic", "database"];
const url = "--from-literal=url=postgres://app:only-for-this-demo@postgres/app";

clusterTest("entrypoint", "C4 no probe ends a migration", async (space) => {
  await space.apply("demo-postgres");
  await space.apply("entrypoint", { migrations: gated, replicas: 0 });
  const hasty = { name: "api", livenessProbe: { periodSeconds: 1, failureThreshold: 1 } };
  const patch = { spec: { template: { spec: { containers: [hasty] } } } };
  await space.kubectl("patch", "deployment/api", `--patch=${JSON.stringify(patch)}`);
  await space.kubectl("scale", "deployment/api", "--replicas=1");
  // A node that is busy takes longer to start Postgres than the probes take to fail.
  await look("the long migration is next", async () => {
    const gates = await space.sql("select count(*) from gate").catch(() => "");
    return gates === "1";
  });
  await look("more failing probes than the liveness probe would have patience for", async () => {
    const options = ["--field-selector=reason=Unhealthy", "--output=json"];
    const { items } = JSON.parse(await space.kubectl("get", "events", ...options)) as {
      items: { message: string; count: number }[];
    };
    return items.some(({ message, count }) => message.startsWith("Startup probe") && count > 1);
  });
  await openGate(space);
  await space.rolledOut();
  assert.equal(await space.restarts("api"), 0);
});

clusterTest(
  "job",
  "C5 a Postgres that comes too late costs one try, and no restart",
  async (space) => {
    await space.apply("job", { jobEnv: { HEADGATE_WAIT_TIMEOUT: "3s" }, replicas: 2 });
    await space.kubectl("create", ...secret, url);
    const { exitCode, message } = await space.failed("migrate");
    assert.equal(exitCode, 69);
    assert.match(
      message,
      /^not_ready \(exit 69\): Postgres was not ready within 3\d{3} ms: name not found/,
    );
    await space.apply("demo-postgres");
    await space.completed("migrate");
    await space.rolledOut();
    assert.deepEqual(await space.history(), files);
    assert.equal(await space.restarts("api"), 0);
  },
);

clusterTest("status", "C6 3 while migrations are pending, then 0", async (space) => {
  await space.apply("demo-postgres");
  await space.apply("status");
  const { exitCode } = await space.failed("status");
  assert.equal(exitCode, 3);
  assert.match(await space.kubectl("logs", "job/status"), /1 +pending/);
  assert.equal(await space.sql("select to_regclass('migrations') is null"), "t", "it only reads");
  await space.apply("job", { replicas: 1 });
  await space.completed("migrate");
  await space.apply("status");
  await space.completed("status");
});

clusterTest(
  "entrypoint",
  "C3 20 replicas start at once, one applies each file, 19 wait for it",
  async (space, _, t) => {
    const replicas = 20;
    await space.kubectl("create", ...secret, url);
    await space.apply("entrypoint", { migrations: gated, replicas: 0 });
    // As long as 20 pods take to start on a busy machine.
    await space.kubectl("set", "env", "deployment/api", "HEADGATE_WAIT_TIMEOUT=5m");
    await space.kubectl("scale", "deployment/api", `--replicas=${replicas}`);
    await all(replicas, "waiting", space);
    await space.apply("demo-postgres");
    await all(replicas - 1, "waiting for the lock", space);
    await openGate(space);
    await space.rolledOut();

    assert.equal(await space.restarts("api"), 0);
    const log = await space.log("api");
    const logged = (msg: string): readonly Line[] => log.filter((line) => line.msg === msg);
    assert.deepEqual(
      logged("applied").map(({ migration }) => migration),
      Object.keys(gated),
    );
    const times = logged("handed over").map(({ time }) => Date.parse(String(time)));
    assert.equal(times.length, replicas);
    t.diagnostic(`all became the server within ${Math.max(...times) - Math.min(...times)} ms`);
  },
);

async function all(count: number, wanted: string, space: Space): Promise<void> {
  const logged = async (): Promise<boolean> => {
    const lines = (await space.log("api")).filter(({ msg }) => msg === wanted);
    return new Set(lines.map(({ pod }) => pod)).size === count;
  };
  await look(`${count} pods have logged "${wanted}"`, logged, 120_000);
}
