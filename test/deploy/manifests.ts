/** Kubernetes manifests as objects. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { execa } from "execa";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { image, type Release, tags } from "../cluster/images.ts";
import { root } from "./deploy-test.ts";
import { parseYaml } from "./yaml.ts";

type Container = {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext?: object;
};
type PodSpec = {
  readonly automountServiceAccountToken?: boolean;
  readonly restartPolicy?: string;
  readonly securityContext?: object;
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly object[];
};
export type FailureRule = {
  readonly action: string;
  readonly onExitCodes?: { readonly operator: string; readonly values: readonly number[] };
  readonly onPodConditions?: readonly { readonly type: string }[];
};
export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: { readonly [name: string]: string };
  };
  readonly spec?: PodSpec & {
    readonly template?: { readonly spec: PodSpec };
    readonly podFailurePolicy?: { readonly rules: readonly FailureRule[] };
    readonly ttlSecondsAfterFinished?: number;
    readonly backoffLimit?: number;
  };
};

export const chart = `${root}deploy/helm/headgate-demo`;

/** What a folder gives, for the namespace and image of a test. */
export async function kustomize(
  folder: string,
  { namespace, release = "now" }: { namespace: string; release?: Release },
): Promise<readonly Manifest[]> {
  const work = join(temporaryFolder("headgate-deploy-"), "kustomization");
  mkdirSync(work);
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    namespace,
    resources: [relative(work, join(root, "deploy", folder))], // kustomize takes no absolute path
    images: [{ name: image, newTag: tags[release] }],
  };
  writeFileSync(join(work, "kustomization.yaml"), JSON.stringify(kustomization));
  const { stdout } = await execa("kubectl", ["kustomize", work]);
  return parseYaml(stdout) as Promise<readonly Manifest[]>;
}

export async function helmTemplate(...args: string[]): Promise<readonly Manifest[]> {
  const { stdout } = await execa("helm", ["template", "api", chart, ...args]);
  return parseYaml(stdout) as Promise<readonly Manifest[]>;
}

export const podOf = ({ spec }: Manifest): PodSpec | undefined =>
  spec?.template?.spec ?? (spec?.containers === undefined ? undefined : spec);

/** Without the fields that this server's API does not have. @returns them, and the names of what was taken out */
export async function fitToServer(
  manifests: readonly Manifest[],
): Promise<{ manifests: readonly Manifest[]; removed: readonly string[] }> {
  const schema = await execa("kubectl", ["get", "--raw", "/openapi/v2"]);
  if (schema.stdout.includes('"podFailurePolicy"')) return { manifests, removed: [] };
  const removed: string[] = [];
  const fitted = manifests.map((manifest) => {
    if (manifest.spec?.podFailurePolicy === undefined) return manifest;
    removed.push(`${manifest.kind}/${manifest.metadata.name} podFailurePolicy`);
    const { podFailurePolicy: _removed, ...spec } = manifest.spec;
    return { ...manifest, spec };
  });
  return { manifests: fitted, removed };
}

export async function apply(manifests: readonly Manifest[], ...options: string[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: manifests });
  await execa("kubectl", ["apply", "--validate=strict", ...options, "-f", "-"], { input });
}
