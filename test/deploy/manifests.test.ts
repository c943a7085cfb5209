/** What a cluster older or newer than the one here would make of the manifests, as far as that can be checked. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { execa } from "execa";
import { deployTest, root, tell } from "./deploy-test.ts";
import {
  apply,
  chart,
  fitToServer,
  helmTemplate,
  kustomize,
  type Manifest,
  podOf,
} from "./manifests.ts";

const namespace = "default";
const modes = ["hook", "init", "entrypoint"] as const;
const chartIn = (mode: string, kubeVersion: string): Promise<readonly Manifest[]> =>
  helmTemplate(`--set=migrate.mode=${mode}`, `--kube-version=${kubeVersion}`);

/** Everything here that a cluster is given, by where it comes from. */
async function everything(kubeVersion: string): Promise<Map<string, readonly Manifest[]>> {
  const all = new Map<string, readonly Manifest[]>();
  for (const folder of ["argocd/staging", "argocd/production"]) {
    all.set(folder, await kustomize(folder, { namespace }));
  }
  for (const mode of modes) all.set(`helm, mode ${mode}`, await chartIn(mode, kubeVersion));
  return all;
}

const about = { files: "{argocd,helm}", how: "validated only" } as const;

deployTest(
  { ...about, needs: ["cluster", "helm"] },
  "the server accepts each manifest, but for the fields that it is too old for",
  async () => {
    for (const [from, manifests] of await everything("1.31.0")) {
      const fitted = await fitToServer(manifests);
      // Several Jobs of one name at a time are no trouble to a dry run.
      await apply(fitted.manifests, "--dry-run=server");
      for (const what of fitted.removed) {
        tell(from, "validated only", `${what}: this server's API does not know it`);
      }
      assert.deepEqual(
        fitted.removed.filter((what) => !what.endsWith(" podFailurePolicy")),
        [],
      );
    }
  },
);

deployTest(
  { ...about, needs: ["kubectl", "helm"] },
  "kubectl's own, newer API knows every field of the Jobs",
  async () => {
    for (const [from, manifests] of await everything("1.31.0")) {
      for (const manifest of manifests.filter(({ kind }) => kind === "Job")) {
        // `set --local` reads a file into the types that kubectl was compiled with, and loses what they do not have.
        const set = ["set", "env", "--local", "-f", "-", "--output=json", "SEEN=1"];
        const { stdout } = await execa("kubectl", set, { input: JSON.stringify(manifest) });
        const seen = JSON.parse(stdout) as Manifest;
        const { template: _changed, ...spec } = manifest.spec ?? {};
        assert.partialDeepStrictEqual(seen, { metadata: manifest.metadata, spec }, from);
      }
    }
  },
);

deployTest(
  { ...about, needs: ["kubectl", "helm"] },
  "every pod keeps to the restricted Pod Security Standard",
  async () => {
    for (const [from, manifests] of await everything("1.31.0")) {
      const pods = manifests.flatMap((manifest) => podOf(manifest) ?? []);
      assert.ok(pods.length > 0, from);
      for (const pod of pods) {
        assert.partialDeepStrictEqual(pod, {
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
        });
        for (const volume of pod.volumes ?? []) assert.ok("secret" in volume, from);
        for (const { securityContext } of [...pod.containers, ...(pod.initContainers ?? [])]) {
          assert.partialDeepStrictEqual(securityContext, {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          });
        }
      }
    }
  },
);

deployTest(
  { files: "helm/headgate-demo", how: "validated only", needs: ["helm"] },
  "a hook ends on every exit code for which no retry helps, where the cluster knows podFailurePolicy",
  async () => {
    const policyOf = async (kubeVersion: string): Promise<unknown> => {
      const jobs = (await chartIn("hook", kubeVersion)).filter(({ kind }) => kind === "Job");
      assert.equal(jobs.length, 1);
      assert.equal(jobs[0]?.spec?.template?.spec.restartPolicy, "Never");
      return jobs[0]?.spec?.podFailurePolicy;
    };
    const readme = readFileSync(`${root}README.md`, "utf8");
    const final = [...readme.matchAll(/^\| ([\d /]+?) +\|.*\| no +\|$/gm)].flatMap(
      ([, codes = ""]) => codes.split(" / ").map(Number),
    );
    assert.deepEqual(final, [1, 64, 65, 77, 126, 127]);
    const expected = {
      rules: [
        { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget" }] },
        {
          action: "FailJob",
          onExitCodes: { containerName: "migrate", operator: "In", values: final },
        },
      ],
    };
    assert.equal(await policyOf("1.20.2"), undefined);
    assert.equal(await policyOf("1.25.9"), undefined);
    assert.deepEqual(await policyOf("1.26.0-gke.100"), expected);
    assert.deepEqual(await policyOf("v1.34.1"), expected);
  },
);

deployTest(
  { files: "helm/headgate-demo", how: "ran", needs: ["helm"] },
  "helm lint is content, and refuses a mode or a name that does not exist",
  async () => {
    await execa("helm", ["lint", "--strict", chart]);
    for (const [value, complaint] of [
      ["migrate.mode=hok", /value must be one of 'hook', 'init', 'entrypoint'/],
      ["migrat.mode=hook", /additional properties 'migrat' not allowed/],
      ["migrate.env.HEADGATE_NOFILE=1024", /got number, want string/],
    ] as const) {
      const { exitCode, all } = await execa("helm", ["lint", chart, "--set", value], {
        reject: false,
        all: true,
      });
      assert.notEqual(exitCode, 0, value);
      assert.match(all, complaint);
    }
  },
);
