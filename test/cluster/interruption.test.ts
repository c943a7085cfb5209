/** A pod that migrates is taken away, as from a node under pressure: one second, then SIGKILL. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { clusterTest } from "./cluster.ts";
import { gated, openGate } from "./gate.ts";
import { look, type Space } from "./space.ts";

clusterTest(
  "job",
  "C2 a pod killed in a transaction leaves nothing, the next one migrates",
  async (space, _, t) => {
    await space.apply("demo-postgres");
    await space.apply("job", { migrations: gated, replicas: 1 });
    const next = await kill(space, "migrate", "2_long", t);
    assert.deepEqual(await space.history(), ["1_gate.sql"]);
    assert.equal(await space.sql("select count(*) from effects"), "0");

    await openGate(space);
    await space.completed("migrate");
    await space.rolledOut();
    assert.deepEqual(await space.history(), Object.keys(gated));
    assert.equal(await space.sql("select count(*) from effects"), "1");
    assert.deepEqual(await appliedBy(space, "migrate"), [[next, "2_long.sql"]]);
  },
);

clusterTest(
  "entrypoint",
  "C2 a pod killed in an index build leaves the next one to finish it",
  async (space, _, t) => {
    const first = { "1_notes.sql": "CREATE TABLE notes AS SELECT generate_series(1, 1000) AS id;" };
    const both = {
      ...first,
      "2_index.sql": `-- headgate: no-transaction
CREATE INDEX CONCURRENTLY notes_id ON notes (id);
`,
    };
    await space.apply("demo-postgres");
    await space.apply("entrypoint", { migrations: first, replicas: 2 });
    await space.rolledOut();
    // The build waits for every transaction that could have written to the table before it.
    const endTransaction = await space.openTransaction("insert into notes values (0)");
    await space.apply("entrypoint", { migrations: both, replicas: 2 });
    const next = await kill(space, "api", "2_index", t);
    assert.equal(
      await space.sql(invalid),
      "t",
      "the index of the first build is there, and INVALID",
    );
    assert.partialDeepStrictEqual(await space.get("/health"), { status: "ok", migrations: 1 });

    await endTransaction();
    await space.rolledOut();
    assert.deepEqual(await space.history(), Object.keys(both));
    assert.equal(await space.sql(invalid), "f");
    assert.equal(await space.sql("select count(*) from migrations_steps"), "0");
    assert.deepEqual(await appliedBy(space, "api"), [[next, "2_index.sql"]]);
  },
);

const invalid = "select not indisvalid from pg_index where indexrelid = 'notes_id'::regclass";

/** @returns the pod that runs the file; another one than `not` */
async function migrating(space: Space, file: string, not?: string): Promise<string> {
  return look(`a pod that runs ${file}`, async () => {
    const query = "select application_name from pg_stat_activity where state = 'active'";
    const names = (await space.sql(query).catch(() => "")).split("\n");
    const [, pod] = names.map((name) => name.split(" ")).find(([, , on]) => on === file) ?? [];
    return pod === not ? undefined : pod;
  });
}

/** Kills the pod that runs the file. @returns the pod that runs it then */
async function kill(space: Space, app: string, file: string, t: TestContext): Promise<string> {
  const victim = await migrating(space, file);
  // A kubelet of 1.20 kills only the containers that it has seen run, and looks again after a minute.
  await look("the kubelet has seen it", async () =>
    (await space.pods(app)).some(
      ({ metadata, status }) => metadata.name === victim && status.phase === "Running",
    ),
  );
  const began = performance.now();
  await space.kubectl("delete", "pod", victim, "--grace-period=1", "--wait=false");
  const next = await migrating(space, file, victim);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  t.diagnostic(`${next} took over ${seconds} s after ${victim} was deleted`);
  return next;
}

async function appliedBy(space: Space, app: string): Promise<readonly unknown[]> {
  const lines = (await space.log(app)).filter(({ msg }) => msg === "applied");
  return lines.map(({ pod, migration }) => [pod, migration]);
}
