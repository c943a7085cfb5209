import { accessSync, constants, writeFileSync } from "node:fs";
import type { HeadgateError } from "../errors.ts";

/** Kubernetes reads at most this much (https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/). */
const mostBytes = 4096;
const kubernetesFile = "/dev/termination-log";

/**
 * Writes why headgate failed to where Kubernetes shows it in the pod's status.
 * @param file as configured; without one, Kubernetes' own file is used if it is there and writable
 * @returns what went wrong with the file itself, if anything
 */
export function writeTermination(
  file: string | undefined,
  failure: HeadgateError,
  redact: (text: string) => string,
): string | undefined {
  const target = file ?? (isWritable(kubernetesFile) ? kubernetesFile : undefined);
  if (target === undefined) return undefined;
  try {
    writeFileSync(target, terminationMessage(failure, redact));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The failure in plain text, most important first, cut to what Kubernetes keeps. */
export function terminationMessage(
  failure: HeadgateError,
  redact: (text: string) => string,
): string {
  const { detail, hint, excerpt } = failure.details;
  const lines = [
    `${failure.code} (exit ${failure.exitCode}): ${failure.message}`,
    ...failure.problems.map((problem) => `- ${problem}`),
    `to do: ${failure.fix}`,
    ...[detail, hint, excerpt].filter((text) => typeof text === "string"),
  ];
  const bytes = Buffer.from(redact(`${lines.join("\n")}\n`));
  if (bytes.length <= mostBytes) return bytes.toString();
  // A character cut in half would become U+FFFD, three bytes too many.
  return `${new TextDecoder().decode(bytes.subarray(0, mostBytes - 8), { stream: true })} …\n`;
}

function isWritable(file: string): boolean {
  try {
    accessSync(file, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
