import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { HeadgateError } from "../errors.ts";

/**
 * The environment the server will have: what the kernel gave this process, not `process.env`, from which Bun leaves
 * out some empty variables.
 * @param unset names to leave out
 * @param fallback used where there is no /proc
 * @throws HeadgateError usage (64) when a variable or an argument is not UTF-8: JavaScript cannot hold it unchanged
 */
export function serverEnvironment(
  unset: readonly string[],
  fallback: { readonly [name: string]: string | undefined },
): Record<string, string> {
  refuseInvalid("argument", readList("/proc/self/cmdline") ?? []);
  const entries = readList("/proc/self/environ");
  refuseInvalid("environment variable", entries ?? []);
  // Without a prototype, so that a variable called __proto__ is a variable.
  const environment = Object.create(null) as Record<string, string>;
  const pairs =
    entries?.map((entry) => entry.toString()) ??
    Object.entries(fallback).map(([name, value]) => `${name}=${value ?? ""}`);
  for (const pair of pairs) {
    const equals = pair.indexOf("=", 1);
    if (equals < 0) continue;
    const name = pair.slice(0, equals);
    // Of a name that occurs twice getenv finds the first.
    if (!unset.includes(name)) environment[name] ??= pair.slice(equals + 1);
  }
  return environment;
}

/** The NUL-terminated strings of a /proc file. */
function readList(file: string): Buffer[] | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return undefined;
  }
  const list: Buffer[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0, start);
    const stop = end < 0 ? bytes.length : end;
    list.push(bytes.subarray(start, stop));
    start = stop + 1;
  }
  return list;
}

function refuseInvalid(kind: string, list: readonly Buffer[]): void {
  const invalid = list.filter((entry) => !isUtf8(entry));
  if (invalid.length === 0) return;
  const names = invalid.map((entry) =>
    entry
      .toString("latin1")
      .split("=")[0]
      ?.replace(/[^ -~]/g, "?"),
  );
  throw new HeadgateError("usage", `not valid UTF-8: ${kind} ${names.join(", ")}`, {
    fix: "encode the value (for example in base64); it could not be handed to the server unchanged",
  });
}
