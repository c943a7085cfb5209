/**
 * The order in which Argo CD would apply the manifests, played by kubectl. Argo CD itself cannot be had here, so what
 * is shown is that the Jobs and the order do what they are meant to, not that Argo CD reads the annotations so.
 */
import assert from "node:assert/strict";
import { files, type Release } from "../cluster/images.ts";
import { look, type Space } from "../cluster/space.ts";
import { deployTest } from "./deploy-test.ts";
import { inSpace } from "./in-space.ts";
import { apply, fitToServer, kustomize, type Manifest } from "./manifests.ts";

const needs = ["docker", "cluster"] as const;
const before = files.slice(0, -1);

deployTest(
  { files: "argocd/staging", how: "ran as an emulation", needs },
  "a sync migrates in an init container",
  async (t) => {
    await inSpace(t, async (space) => {
      assert.deepEqual(await sync(space, "argocd/staging", "old"), ["Service", "Deployment"]);
      assert.deepEqual(await sync(space, "argocd/staging", "now"), ["Service", "Deployment"]);
      assert.deepEqual(await space.history(), files);
    });
  },
);

deployTest(
  { files: "argocd/production", how: "ran as an emulation", needs },
  "hooks migrate before the sync and look after it; a failure stops the sync, and keeps its log",
  async (t) => {
    await inSpace(t, async (space) => {
      const hooks = ["status-before", "migrate"];
      const whole = [...hooks, "Service", "Deployment", "status-after"];
      assert.deepEqual(await sync(space, "argocd/production", "old"), whole);
      assert.match(await space.kubectl("logs", "job/status-before"), /1 +pending/);
      assert.match(await space.kubectl("logs", "job/migrate"), /"applied":2/);
      assert.match(await space.kubectl("logs", "job/status-after"), /2 +applied/);
      assert.deepEqual(await space.history(), before);

      const failed = await sync(space, "argocd/production", "broken");
      assert.deepEqual(failed, [...hooks, "FAILED"]);
      assert.match(await space.kubectl("logs", "job/migrate"), /"sqlstate":"42P01"/);
      const image = ["get", "deployment", "api", "--output=jsonpath={..image}"];
      assert.doesNotMatch(await space.kubectl(...image), /broken/);
      assert.partialDeepStrictEqual(await space.get("/health"), { status: "ok" });

      assert.deepEqual(await sync(space, "argocd/production", "now"), whole);
      assert.deepEqual(await space.history(), files);
    });
  },
);

/** @returns what was applied, in order, up to a failure */
async function sync(space: Space, folder: string, release: Release): Promise<readonly string[]> {
  const all = await kustomize(folder, { namespace: space.name, release });
  const { manifests } = await fitToServer(all);
  const applied: string[] = [];
  for (const manifest of manifests.map(withoutRetries).toSorted(byPhaseAndWave)) {
    const { kind, metadata } = manifest;
    applied.push(kind === "Job" ? metadata.name : kind);
    if (kind === "Job") {
      assert.deepEqual(deletePolicy(manifest), "BeforeHookCreation");
      assert.equal(manifest.spec?.ttlSecondsAfterFinished, undefined);
      await space.kubectl("delete", "job", metadata.name, "--ignore-not-found");
    }
    await apply([manifest]);
    if (kind === "Job" && !(await succeeds(space, metadata.name))) return [...applied, "FAILED"];
    if (kind === "Deployment") await space.rolledOut();
  }
  return applied;
}

/** A cluster that does not know podFailurePolicy would try a broken migration for two minutes. */
function withoutRetries(manifest: Manifest): Manifest {
  if (manifest.kind !== "Job" || manifest.spec === undefined) return manifest;
  return { ...manifest, spec: { ...manifest.spec, backoffLimit: 0 } };
}

const phases = ["PreSync", "Sync", "PostSync"];

function byPhaseAndWave(one: Manifest, other: Manifest): number {
  const [[phase, wave], [otherPhase, otherWave]] = [place(one), place(other)];
  return phase - otherPhase || wave - otherWave;
}

function place({ kind, metadata: { annotations = {} } }: Manifest): [number, number] {
  const phase = phases.indexOf(annotations["argocd.argoproj.io/hook"] ?? "Sync");
  assert.notEqual(phase, -1);
  // Within a wave Argo CD goes by kind, and a Service comes before a Deployment.
  return [
    phase,
    Number(annotations["argocd.argoproj.io/sync-wave"] ?? 0) + (kind === "Service" ? -0.5 : 0),
  ];
}

const deletePolicy = ({ metadata }: Manifest): string | undefined =>
  metadata.annotations?.["argocd.argoproj.io/hook-delete-policy"];

async function succeeds(space: Space, job: string): Promise<boolean> {
  const status = ["get", "job", job, "--output=jsonpath={.status.succeeded} {.status.failed}"];
  const end = await look(`the end of job ${job}`, async () => {
    const [succeeded, failed] = (await space.kubectl(...status)).split(" ");
    return (succeeded !== "" || failed !== "") && { succeeded };
  });
  return end.succeeded === "1";
}
