/**
 * Tests on the cluster that `kubectl` reaches, whose nodes must see the images of the `docker` here. Each has a
 * namespace of its own; at the end a table tells what was run.
 */
import { spawnSync } from "node:child_process";
import { type TestContext, test } from "node:test";
import { execa } from "execa";
import { onExit } from "../helpers/cleanup.ts";
import { requireOrSkip } from "../helpers/conditions.ts";
import { report } from "../helpers/report.ts";
import { buildImages } from "./images.ts";
import { type Manifest, Space } from "./space.ts";

type Cluster = {
  /** The version of the API server. */
  readonly version: string;
  /** Fields of the manifests that it does not know. */
  readonly unknown: readonly string[];
};

/** Fields younger than Kubernetes 1.20; test/cluster/old-api takes them out. */
const youngFields = ["podFailurePolicy"];

let found: Promise<Cluster | string> | undefined;
const open = new Set<string>();
let spaces = 0;

/** Registers a test of a manifest on a real cluster. */
export function clusterTest(
  manifest: Manifest | "all",
  title: string,
  body: (space: Space, cluster: Cluster, t: TestContext) => Promise<void>,
): void {
  test(`${title} (${manifest})`, async (t) => {
    const row = report(`deploy/kubernetes: ${manifest}`, title);
    const cluster = await (found ??= findCluster());
    if (typeof cluster === "string") {
      row.state = `skipped: ${cluster}`;
      requireOrSkip(t, false, cluster);
      return;
    }
    const space = await openSpace(cluster);
    try {
      await body(space, cluster, t);
    } catch (error) {
      t.diagnostic(await space.describe());
      throw error;
    } finally {
      closeSpace(space.name);
    }
    row.state = "ran";
  });
}

/** Adds a line to the table. */
export function tell(manifest: string, title: string, state: string): void {
  report(`deploy/kubernetes: ${manifest}`, title, state);
}

async function openSpace(cluster: Cluster): Promise<Space> {
  const name = `headgate-test-${process.pid}-${++spaces}`;
  await execa("kubectl", ["create", "namespace", name]);
  open.add(name);
  return new Space(name, cluster.unknown.length > 0 ? ["test/cluster/old-api"] : []);
}

/** Does not wait for the end: pods take their time. */
function closeSpace(name: string): void {
  open.delete(name);
  spawnSync("kubectl", ["delete", "namespace", name, "--wait=false"]);
}

/** @returns what there is, or why there is none */
async function findCluster(): Promise<Cluster | string> {
  const options = { reject: false, timeout: 20_000 } as const;
  const engine = await execa("docker", ["info"], options);
  if (engine.exitCode !== 0) return "docker reaches no engine";
  const version = ["version", "--output=json", "--request-timeout=10s"];
  const answer = await execa("kubectl", version, options);
  if (answer.exitCode !== 0) return "kubectl reaches no cluster";
  const { serverVersion } = JSON.parse(answer.stdout) as { serverVersion: { gitVersion: string } };
  const schema = await execa("kubectl", ["get", "--raw", "/openapi/v2"]);
  await buildImages();
  const { gitVersion } = serverVersion;
  report(
    "deploy/kubernetes",
    `on Kubernetes ${gitVersion}, with the images of the docker here`,
    "",
  );
  return {
    version: gitVersion,
    unknown: youngFields.filter((field) => !schema.stdout.includes(`"${field}"`)),
  };
}

onExit(() => {
  for (const name of open) closeSpace(name);
});
