/** A namespace for one test: what it applies, and what it sees of the pods. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { eventually } from "../helpers/eventually.ts";
import { image, root, type Release, tags } from "./images.ts";

/** The folders of deploy/kubernetes that a user applies. */
export const manifests = [
  "entrypoint",
  "init-container",
  "job",
  "status",
  "rollback",
  "demo-postgres",
] as const;
export type Manifest = (typeof manifests)[number];

/** The containers of each that run headgate. */
const gates: { readonly [manifest in Manifest]: readonly (readonly [string, string, string])[] } = {
  entrypoint: [["Deployment", "containers", "api"]],
  "init-container": [["Deployment", "initContainers", "migrate"]],
  job: [
    ["Job", "containers", "migrate"],
    ["Deployment", "initContainers", "verify"],
  ],
  status: [["Job", "containers", "status"]],
  rollback: [["Job", "containers", "rollback"]],
  "demo-postgres": [],
};

/** Text by file name. */
type Migrations = { readonly [fileName: string]: string };

export type Changes = {
  readonly release?: Release;
  readonly replicas?: number;
  /** Mounted over the folder of the image. */
  readonly migrations?: Migrations;
  /** More environment for the Job's container. */
  readonly jobEnv?: { readonly [name: string]: string };
};

type ContainerState = {
  readonly terminated?: { readonly exitCode: number; readonly message?: string };
};
type ContainerStatus = {
  readonly name: string;
  readonly restartCount: number;
  readonly state: ContainerState;
  readonly lastState: ContainerState;
};
export type Pod = {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status: {
    readonly phase: string;
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
};
/** A log line of headgate. */
export type Line = {
  readonly pod: string;
  readonly container: string;
  readonly msg: string;
  readonly [fact: string]: unknown;
};

/** Twenty pods start in 30 s on two cores that do nothing else. */
const patience = "--timeout=120s";
const psql = ["psql", "-U", "app", "-d", "app", "-v", "ON_ERROR_STOP=1", "-q"];

/** Waits for a condition. kubectl is a process, so it looks no more than three times a second. */
export async function look<T>(
  description: string,
  check: () => Promise<T | undefined | false>,
  deadlineMs = 60_000,
): Promise<T> {
  const patiently = async (): Promise<T | undefined | false> => {
    await delay(300);
    return check();
  };
  return eventually(description, patiently, deadlineMs);
}

export class Space {
  readonly name: string;
  readonly #components: readonly string[];

  /** @param components kustomize components that suit the manifests to the cluster */
  constructor(name: string, components: readonly string[]) {
    this.name = name;
    this.#components = components;
  }

  /** Runs kubectl in this namespace. @returns what it printed */
  async kubectl(...args: string[]): Promise<string> {
    const { stdout } = await execa("kubectl", ["--namespace", this.name, ...args]);
    return stdout;
  }

  /** Writes a kustomization of one manifest for this namespace. @returns its folder */
  kustomization(manifest: Manifest, changes: Changes = {}): string {
    // kustomize takes no absolute path.
    const folder = temporaryFolder("headgate-kustomize-");
    const path = (target: string): string => relative(folder, join(root, target));
    const { release = "now", replicas, migrations } = changes;
    const kustomization = {
      apiVersion: "kustomize.config.k8s.io/v1beta1",
      kind: "Kustomization",
      namespace: this.name,
      resources: [path(`deploy/kubernetes/${manifest}`)],
      components: this.#components.map(path),
      images: [{ name: image, newTag: tags[release] }],
      ...(replicas === undefined ? {} : { replicas: [{ name: "api", count: replicas }] }),
      ...(migrations === undefined ? {} : { configMapGenerator: [configMap(folder, migrations)] }),
      patches: gates[manifest].map((gate) => patchOf(gate, changes)),
    };
    writeFileSync(join(folder, "kustomization.yaml"), JSON.stringify(kustomization));
    return folder;
  }

  async apply(manifest: Manifest, changes: Changes = {}): Promise<void> {
    // A Job cannot be changed: the next release deletes it first, as job/kustomization.yaml says. With its pods, which
    // would otherwise be taken for those of the next one.
    const job = { job: "migrate", status: "status", rollback: "rollback" }[manifest as string];
    const gone = ["--ignore-not-found", "--cascade=foreground"];
    if (job !== undefined) await this.kubectl("delete", "job", job, ...gone);
    await this.kubectl("apply", "--kustomize", this.kustomization(manifest, changes));
  }

  async rolledOut(): Promise<void> {
    await this.kubectl("rollout", "status", "deployment/api", patience);
  }

  async completed(job: string): Promise<void> {
    await this.kubectl("wait", `job/${job}`, "--for=condition=complete", patience);
  }

  /** Those that are not being deleted. */
  async pods(app: string): Promise<readonly Pod[]> {
    const text = await this.kubectl("get", "pods", "--selector", `app=${app}`, "--output=json");
    const { items } = JSON.parse(text) as { items: Pod[] };
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** How often their containers were started again, all together. */
  async restarts(app: string): Promise<number> {
    const counts = (await this.pods(app)).flatMap(statuses).map(({ restartCount }) => restartCount);
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** What headgate has logged in these pods, but not what a container logged before it was restarted. */
  async log(app: string): Promise<readonly Line[]> {
    const pods = (await this.pods(app)).map(({ metadata }) => metadata.name);
    const text = await this.#logs(app, "--tail=-1");
    return text.split("\n").flatMap((line) => {
      const [, pod = "", container = "", json = ""] =
        /^\[pod\/([^/]+)\/([^\]]+)\] (\{"level".*\})$/.exec(line) ?? [];
      return json === "" || !pods.includes(pod)
        ? []
        : [{ ...(JSON.parse(json) as Line), pod, container }];
    });
  }

  #logs(app: string, tail: string): Promise<string> {
    // A pod that has no log yet is no error.
    const options = ["--all-containers", "--prefix", "--max-log-requests=100", "--ignore-errors"];
    return this.kubectl("logs", "--selector", `app=${app}`, ...options, tail);
  }

  /** A container that ended with a failure, now or before its last restart. */
  async failed(app: string): Promise<{ pod: Pod; exitCode: number; message: string }> {
    return look(`a failed container of ${app}`, async () => {
      for (const pod of await this.pods(app)) {
        for (const { state, lastState } of statuses(pod)) {
          const { exitCode = 0, message = "" } = state.terminated ?? lastState.terminated ?? {};
          if (exitCode !== 0) return { pod, exitCode, message };
        }
      }
      return undefined;
    });
  }

  /** What a request to the Service is answered, by way of the API server; on a busy node that takes a while. */
  async get(path: string): Promise<unknown> {
    const proxy = `/api/v1/namespaces/${this.name}/services/api:http/proxy${path}`;
    const ask = (): Promise<string> => this.kubectl("get", "--raw", proxy);
    return JSON.parse(await look(`an answer to ${path}`, ask));
  }

  async sql(query: string): Promise<string> {
    return this.kubectl("exec", "deployment/postgres", "--", ...psql, "-Atc", query);
  }

  /** Runs SQL in a session that stays open, and the transaction with it, until the result is called. */
  async openTransaction(query: string): Promise<() => Promise<void>> {
    const exec = ["exec", "--stdin", "deployment/postgres", "--", ...psql];
    const session = execa("kubectl", ["--namespace", this.name, ...exec], {
      reject: false,
      stdin: "pipe",
    });
    session.stdin.write(`begin;\n${query};\n`);
    const open = "select count(*) from pg_stat_activity where state = 'idle in transaction'";
    await look("the open transaction", async () => (await this.sql(open)) === "1");
    return async () => {
      session.stdin.end();
      await session;
    };
  }

  /** The files in the history table, in order; [] without one. */
  async history(): Promise<readonly string[]> {
    const rows = await this.sql(
      "select id || '_' || name || '.sql' from migrations where id > 0 order by id",
    );
    return rows === "" ? [] : rows.split("\n");
  }

  /** What a person would look at first when a test has failed. */
  async describe(): Promise<string> {
    const parts = await Promise.allSettled([
      this.kubectl("get", "pods,jobs", "--output=wide"),
      this.kubectl("get", "events", "--sort-by=.lastTimestamp"),
      ...["api", "migrate", "status", "rollback"].map((app) => this.#logs(app, "--tail=8")),
    ]);
    return parts.map((part) => (part.status === "fulfilled" ? part.value : "")).join("\n");
  }
}

const statuses = ({ status }: Pod): readonly ContainerStatus[] => [
  ...(status.initContainerStatuses ?? []),
  ...(status.containerStatuses ?? []),
];

function configMap(folder: string, migrations: Migrations): object {
  const names = Object.keys(migrations);
  for (const name of names) {
    const path = join(folder, "migrations", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, migrations[name] ?? "");
  }
  return { name: "migrations", files: names.map((name) => `${keyOf(name)}=migrations/${name}`) };
}

/** A key has no folders. */
const keyOf = (name: string): string => name.replaceAll("/", "-");

function patchOf(
  [kind, list, container]: readonly [string, string, string],
  { migrations, jobEnv = {} }: Changes,
): object {
  const items = Object.keys(migrations ?? {}).map((path) => ({ key: keyOf(path), path }));
  const volumes = [{ name: "migrations", configMap: { name: "migrations", items } }];
  const volumeMounts = [{ name: "migrations", mountPath: "/app/migrations" }];
  const env =
    kind === "Job" ? Object.entries(jobEnv).map(([name, value]) => ({ name, value })) : [];
  const change = { name: container, env, ...(migrations === undefined ? {} : { volumeMounts }) };
  const spec = { ...(migrations === undefined ? {} : { volumes }), [list]: [change] };
  const patch = { kind, metadata: { name: "any" }, spec: { template: { spec } } };
  return {
    target: { kind, name: kind === "Job" ? undefined : "api" },
    patch: JSON.stringify(patch),
  };
}
