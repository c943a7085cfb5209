/** Workflows of GitHub Actions as far as they run without GitHub: a job's steps, one after the other. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { execa } from "execa";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { root } from "./deploy-test.ts";
import { parseYaml } from "./yaml.ts";

type Values = { readonly [name: string]: string };
type Step = {
  readonly id?: string;
  readonly if?: string;
  readonly uses?: string;
  readonly with?: Values;
  readonly run?: string;
  readonly env?: Values;
};
type Job = { readonly env?: Values; readonly steps: readonly Step[] };
type Workflow = { readonly env?: Values; readonly jobs: { readonly [id: string]: Job } };

/** What became of a step that ran a command. */
export type Ended = {
  readonly exitCode?: number | undefined;
  readonly stdout: string;
  /** Markdown. */
  readonly summary: string;
  /** What later steps and jobs may ask for. */
  readonly output: string;
};

/** Where a job runs. */
export type Runner = {
  /** The checkout. */
  readonly folder: string;
  /** What the workflow's expressions stand for, such as `inputs.tag`. */
  readonly expressions?: Values;
  /** What GitHub would set. */
  readonly env?: Values;
  /** The databases of the job's service container, and what stands for each. */
  readonly services?: Values;
  /** A folder for the artifacts of all jobs. */
  readonly artifacts?: string;
};

export const source = `${root}deploy/github-actions`;
export const read = (name: string): string => readFileSync(`${source}/${name}`, "utf8");

/** Puts headgate.sh where the workflows expect it. @returns the folder */
export function withScript(folder: string): string {
  mkdirSync(join(folder, ".github"));
  copyFileSync(join(source, "headgate.sh"), join(folder, ".github/headgate.sh"));
  chmodSync(join(folder, ".github/headgate.sh"), 0o755);
  return folder;
}

/** Runs the steps of a job on a fresh runner, until one fails. @returns what became of those that ran a command */
export async function runJob(file: string, id: string, runner: Runner): Promise<readonly Ended[]> {
  const { env, jobs } = (await parseYaml(read(file))) as Workflow;
  const temporary = temporaryFolder("headgate-runner-");
  const expressions: { [name: string]: string } = {
    ...runner.expressions,
    "runner.temp": temporary,
  };
  const ended: Ended[] = [];
  for (const step of jobs[id]?.steps ?? []) {
    if (step.if !== undefined && !holds(step.if, expressions)) continue;
    if (step.uses !== undefined) passArtifact(step, expressions, runner);
    if (step.run === undefined) continue;
    const variables = Object.entries({ ...env, ...jobs[id]?.env, ...step.env });
    const filled = variables.map(([name, value]) => [
      name,
      runner.services?.[/@localhost:5432\/(\w+)$/.exec(value)?.[1] ?? ""] ??
        fill(value, expressions),
    ]);
    const result = await runCommand(fill(step.run, expressions), runner.folder, {
      ...Object.fromEntries(filled),
      ...{ ...runner.env, GITHUB_ACTIONS: "true", RUNNER_TEMP: temporary },
    });
    ended.push(result);
    if (result.exitCode !== 0) break;
    for (const [, name = "", value = ""] of result.output.matchAll(/^(\w+)=(.*)$/gm)) {
      expressions[`steps.${step.id}.outputs.${name}`] = value;
    }
  }
  return ended;
}

/** Runs a command as GitHub does: bash with errexit and pipefail. */
export async function runCommand(command: string, folder: string, env: Values): Promise<Ended> {
  const work = temporaryFolder("headgate-step-");
  const [summaryFile, outputFile] = [join(work, "summary"), join(work, "output")];
  for (const name of [summaryFile, outputFile]) writeFileSync(name, "");
  const bash = ["--noprofile", "--norc", "-eo", "pipefail", "-c", command];
  const { exitCode, stdout } = await execa("bash", bash, {
    cwd: folder,
    reject: false,
    env: { ...env, GITHUB_STEP_SUMMARY: summaryFile, GITHUB_OUTPUT: outputFile },
  });
  const [summary = "", output = ""] = [summaryFile, outputFile].map((name) =>
    readFileSync(name, "utf8"),
  );
  // As it is shown: Markdown's escapes are not.
  return { exitCode, stdout, summary: summary.replaceAll("\\_", "_"), output };
}

/** Puts values where GitHub does, which is into the very text, also of a command. */
const fill = (text: string, expressions: Values): string =>
  text.replaceAll(/\$\{\{ *([\w.]+) *\}\}/g, (_, name: string) => valueOf(name, expressions));

function valueOf(name: string, expressions: Values): string {
  const value = expressions[name];
  if (value === undefined) throw new Error(`the workflow asks for ${name}, and there is none`);
  return value;
}

/** The one form of condition that the workflows' steps have. */
function holds(condition: string, expressions: Values): boolean {
  const [, name, wanted] = /^([\w.]+) == '(\w+)'$/.exec(condition) ?? [];
  if (name === undefined) throw new Error(`not understood: ${condition}`);
  return valueOf(name, expressions) === wanted;
}

/** As actions/upload-artifact and actions/download-artifact do, for an artifact of one file. */
function passArtifact(step: Step, expressions: Values, { artifacts = "" }: Runner): void {
  const [, direction] = /^actions\/(up|down)load-artifact@/.exec(step.uses ?? "") ?? [];
  const path = fill(step.with?.["path"] ?? "", expressions);
  const stored = join(artifacts, step.with?.["name"] ?? "");
  if (direction === "up") {
    copyFileSync(path, stored);
    writeFileSync(`${stored}.name`, basename(path));
  } else if (direction === "down") {
    const target = join(path, readFileSync(`${stored}.name`, "utf8"));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(stored, target);
  }
}
