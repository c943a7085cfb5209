/** The Docker engine that `docker` talks to, and the tests that need one. */
import { type TestContext, test } from "node:test";
import { execa } from "execa";
import { requireOrSkip } from "../helpers/conditions.ts";
import { eventually } from "../helpers/eventually.ts";
import { report } from "../helpers/report.ts";

export const root = new URL("../..", import.meta.url).pathname;
const baseImages = ["node:24-bookworm-slim", "postgres:17", "gcr.io/distroless/base-debian12"];

export type Ended = { exitCode: number; stdout: string; stderr: string; ms: number };
export type RunOptions = { env?: Record<string, string>; input?: string; mayFail?: boolean };

/** Runs `docker ARGS…`; throws when it fails, unless that is what the test is about. */
export async function docker(args: string[], options: RunOptions = {}): Promise<Ended> {
  const { mayFail, ...rest } = options;
  const started = performance.now();
  const reject = mayFail !== true;
  const result = await execa("docker", args, { cwd: root, timeout: 300_000, ...rest, reject });
  const { exitCode = 1, stdout, stderr } = result;
  return { exitCode, stdout, stderr, ms: Math.round(performance.now() - started) };
}

/** Docker kills after ten seconds; whoever is faster has heard the signal. */
export const graceMs = 9000;

/** For a file's `before`: the image of the compose file from the source as it is now, so that no test's time is that. */
export async function buildDemo(): Promise<void> {
  if ((await whyNot()) === undefined) await docker(["compose", "build"]);
}

let missing: Promise<string | undefined> | undefined;

/** Why container tests cannot run here; nothing when they can. Asked once. */
function whyNot(): Promise<string | undefined> {
  missing ??= docker(["compose", "version"])
    .then(() => docker(["version", "--format", "{{.Server.Version}}"]))
    .then(
      () => undefined,
      (error: Error) => `no Docker engine with Compose v2 (${error.message.split("\n")[0]})`,
    );
  return missing;
}

/** Which base images are not the official ones: the label is that of the machine's own recipes. */
async function standIns(): Promise<string[]> {
  const label = '{{index .Config.Labels "headgate.recipe"}}';
  const ask = (name: string) => docker(["inspect", "-f", label, name], { mayFail: true });
  const answers = await Promise.all(baseImages.map(ask));
  return baseImages.filter((_, index) => {
    const answer = answers[index];
    return answer?.exitCode === 0 && !["", "<no value>"].includes(answer.stdout);
  });
}

/** A test of a file of the repository that needs an engine. */
export function containerTest(
  file: string,
  title: string,
  body: (t: TestContext) => Promise<void>,
): void {
  test(title, async (t) => {
    const row = report(file, title);
    const because = await whyNot();
    if (because !== undefined) row.state = `skipped: ${because}`;
    if (!requireOrSkip(t, because === undefined, because ?? "")) return;
    await body(t);
    row.state = "ran";
  });
}

/** Puts a measurement into the test's output and the table. */
export function measured(t: TestContext, file: string, what: string): void {
  t.diagnostic(what);
  report(file, what, "measured");
}

/** The last test of a file: on which engine and which images it ran. */
export function reportAtEnd(): void {
  test("what it ran on", async (t) => {
    if ((await whyNot()) !== undefined) return;
    const engine = await docker(["version", "--format", "{{.Server.Version}}"]);
    const compose = await docker(["compose", "version", "--short"]);
    measured(t, "containers", `Docker ${engine.stdout}, Compose ${compose.stdout}`);
    const found = await standIns();
    measured(
      t,
      "containers",
      found.length === 0
        ? "base images: as pulled from their registries"
        : `base images: stand-ins under the public names, NOT the official ones: ${found.join(", ")}`,
    );
  });
}

/** Asks until the answer is 200; gives its JSON. */
export async function answer(url: string): Promise<unknown> {
  const response = await eventually(
    `${url} answers 200`,
    async () => {
      const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
      return response.status === 200 && response;
    },
    90_000,
  );
  return response.json();
}
