/** What the cluster of the tests may be too old to run is checked here as far as that is possible. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { execa } from "execa";
import { clusterTest, tell } from "./cluster.ts";
import { root } from "./images.ts";
import { type Manifest, manifests } from "./space.ts";

type Container = { name: string; securityContext: object };
type PodTemplate = {
  spec: {
    restartPolicy?: string;
    securityContext: object;
    containers: Container[];
    initContainers?: Container[];
  };
};
type Workload = {
  kind: string;
  spec: {
    template: PodTemplate;
    podFailurePolicy?: {
      rules: { action: string; onExitCodes?: { containerName: string; values: number[] } }[];
    };
  };
};

const folder = (manifest: Manifest): string => `${root}deploy/kubernetes/${manifest}`;

/** The Deployments and Jobs of a manifest, as it is in the repository. */
async function workloadsOf(manifest: Manifest): Promise<readonly Workload[]> {
  const { stdout: yaml } = await execa("kubectl", ["kustomize", folder(manifest)]);
  const create = ["create", "--dry-run=client", "--validate=false", "--output=json", "-f", "-"];
  const { stdout } = await execa("kubectl", create, { input: yaml });
  // One object after the other.
  const objects = JSON.parse(`[${stdout.replaceAll(/^\}\n\{/gm, "},{")}]`) as Workload[];
  return objects.filter(({ kind }) => kind === "Deployment" || kind === "Job");
}

clusterTest(
  "all",
  "C7 the server knows every field, but those that it is too old for",
  async (space, cluster) => {
    for (const manifest of manifests) {
      const apply = (where: string): Promise<{ stderr: string }> =>
        execa("kubectl", ["apply", "--dry-run=server", "--validate=strict", "--kustomize", where], {
          reject: false,
        });
      const { stderr } = await apply(space.kustomization(manifest));
      assert.deepEqual(stderr.match(/error.*/gi), null, manifest);

      const { stderr: asIs } = await apply(folder(manifest));
      const unknown = [...asIs.matchAll(/unknown field "(?:\w+\.)*(\w+)"/g)].map(
        ([, field]) => field,
      );
      const isJob = (await workloadsOf(manifest)).some(({ kind }) => kind === "Job");
      assert.deepEqual(unknown, isJob ? cluster.unknown : [], manifest);
    }
  },
);

clusterTest("all", "C7 kubectl's own, newer API knows every field", async (_, cluster) => {
  const { stdout } = await execa("kubectl", ["version", "--client", "--output=json"]);
  const { clientVersion } = JSON.parse(stdout) as { clientVersion: { gitVersion: string } };
  for (const manifest of manifests) {
    for (const workload of await workloadsOf(manifest)) {
      // `set --local` reads a file into the types that kubectl was compiled with, which loses whatever they do not have.
      const set = ["set", "env", "--local", "-f", "-", "--output=json", "SEEN=1"];
      const { stdout: seen } = await execa("kubectl", set, { input: JSON.stringify(workload) });
      assert.deepEqual(lost(workload, JSON.parse(seen)), [], manifest);
    }
  }
  for (const field of cluster.unknown) {
    const version = clientVersion.gitVersion;
    tell(
      "job, status, rollback",
      field,
      `validated only, by kubectl ${version}: API ${cluster.version} does not know it`,
    );
  }
});

/** The paths in `before` whose values `after` does not have. */
function lost(before: unknown, after: unknown, path = ""): string[] {
  if (typeof before !== "object" || before === null) return before === after ? [] : [path];
  const target = Object(after) as { [key: string]: unknown };
  return Object.entries(before).flatMap(([key, value]) =>
    lost(value, target[key], `${path}.${key}`),
  );
}

clusterTest("all", "C8 every pod keeps to the restricted Pod Security Standard", async () => {
  for (const manifest of manifests) {
    for (const { spec } of await workloadsOf(manifest)) {
      const pod = spec.template.spec;
      assert.partialDeepStrictEqual(pod.securityContext, {
        runAsNonRoot: true,
        seccompProfile: { type: "RuntimeDefault" },
      });
      for (const { name, securityContext } of [...pod.containers, ...(pod.initContainers ?? [])]) {
        assert.partialDeepStrictEqual(securityContext, {
          allowPrivilegeEscalation: false,
          capabilities: { drop: ["ALL"] },
          ...(name === "postgres" ? {} : { readOnlyRootFilesystem: true }),
        });
      }
    }
  }
  tell("namespace", "pod-security.kubernetes.io/enforce", "validated only: the fields are there");
});

for (const manifest of ["job", "rollback"] as const) {
  clusterTest(
    manifest,
    "C9 podFailurePolicy ends the Job on every exit code for which no retry helps",
    async () => {
      const [job] = (await workloadsOf(manifest)).filter(({ kind }) => kind === "Job");
      const rule = job?.spec.podFailurePolicy?.rules.find(({ action }) => action === "FailJob");
      assert.equal(job?.spec.template.spec.restartPolicy, "Never");
      assert.equal(rule?.onExitCodes?.containerName, job.spec.template.spec.containers[0]?.name);
      const readme = readFileSync(`${root}README.md`, "utf8");
      const final = [...readme.matchAll(/^\| ([\d /]+?) +\|.*\| no +\|$/gm)].flatMap(
        ([, codes = ""]) => codes.split(" / ").map(Number),
      );
      assert.deepEqual(rule?.onExitCodes?.values, final);
    },
  );
}
