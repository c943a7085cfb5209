import { readFileSync } from "node:fs";
import { HeadgateError } from "../errors.ts";
import { loadLibc } from "./bun-libc.ts";

/** RLIMIT_NOFILE (linux/resource.h). */
const RLIMIT_NOFILE = 7;

type Limits = { readonly soft: number; readonly hard: number };

/**
 * The soft limit the server should have. Node and Bun raise their own to the hard limit before any script runs
 * (https://github.com/libuv/libuv/pull/3181) and exec passes that on: a server that sizes tables by it, or uses
 * select(), would be surprised. What it was before is known only from the parent process, if there is one to see.
 * @param wanted --nofile
 * @param path the PATH variable, for prlimit
 * @throws HeadgateError usage (64) when --nofile is above the hard limit, or cannot be set here
 */
export function wantedSoftLimit(
  wanted: number | undefined,
  path: string | undefined,
): number | undefined {
  const own = readLimits("self");
  if (own === undefined) return undefined;
  if (wanted !== undefined && wanted > own.hard) {
    throw new HeadgateError("usage", `--nofile ${wanted} is above the hard limit of ${own.hard}`, {
      fix: "lower it, or raise the container's limit (docker run --ulimit nofile=SOFT:HARD)",
    });
  }
  if (wanted !== undefined) {
    // Tried now, with the limit there is: to learn of it after the migration would be too late.
    if (!setSoftLimit(own.soft, path)) throw cannotSet(wanted);
    return wanted === own.soft ? undefined : wanted;
  }
  const parent = process.ppid > 0 ? readLimits(String(process.ppid)) : undefined;
  return parent?.hard === own.hard && parent.soft < own.soft ? parent.soft : undefined;
}

function cannotSet(wanted: number): HeadgateError {
  return new HeadgateError(
    "usage",
    `--nofile ${wanted} cannot be set: under Node it takes prlimit (util-linux), which this image lacks`,
    {
      fix: "install util-linux, use headgate's own executable, or set the limit on the container",
    },
  );
}

function readLimits(pid: string): Limits | undefined {
  try {
    const line = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m;
    const [, soft, hard] = line.exec(readFileSync(`/proc/${pid}/limits`, "utf8")) ?? [];
    const parse = (text: string | undefined): number =>
      text === "unlimited" ? Infinity : Number(text);
    return soft === undefined ? undefined : { soft: parse(soft), hard: parse(hard) };
  } catch {
    return undefined;
  }
}

/**
 * Sets this process's soft limit, which the server inherits: by a system call under Bun, by util-linux's prlimit
 * under Node, which has no such call. A shell's ulimit would do too, but shells add PWD to the environment.
 * @param path where prlimit is looked for
 * @returns whether it worked
 */
export function setSoftLimit(soft: number, path: string | undefined): boolean {
  const hard = readLimits("self")?.hard ?? soft;
  if (process.versions["bun"] !== undefined) return setByCall(soft, hard);
  const limits = [soft, hard].map((limit) => (Number.isFinite(limit) ? limit : "unlimited"));
  const { status } = process
    .getBuiltinModule("node:child_process")
    .spawnSync("prlimit", ["--pid", String(process.pid), `--nofile=${limits.join(":")}`], {
      stdio: "ignore",
      env: { PATH: path }, // and none of the secrets
    });
  return status === 0;
}

function setByCall(soft: number, hard: number): boolean {
  try {
    const limits = new BigUint64Array([toRlim(soft), toRlim(hard)]);
    return loadLibc().setrlimit(RLIMIT_NOFILE, limits) === 0;
  } catch {
    return false;
  }
}

/** RLIM_INFINITY is all ones. */
const toRlim = (value: number): bigint => (Number.isFinite(value) ? BigInt(value) : 2n ** 64n - 1n);
