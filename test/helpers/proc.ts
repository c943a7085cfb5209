import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Whether the process exists and is not a zombie. */
export function alive(pid: number): boolean {
  try {
    return !/^[ZX]/.test(status(pid)["State"] ?? "Z");
  } catch {
    return false;
  }
}

/** The fields of `/proc/<pid>/status`, such as State, PPid, SigIgn, SigBlk, SigCgt, Threads, Umask. */
export function status(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, "utf8").trimEnd().split("\n");
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
}

/** The pid of the process's parent. */
export function parent(pid: number): number {
  return Number(status(pid)["PPid"]);
}

/** A signal set of the process as a number of bits: bit n-1 is signal n. */
export function signalSet(pid: number, field: "SigIgn" | "SigBlk" | "SigCgt"): bigint {
  return BigInt(`0x${status(pid)[field] ?? "0"}`);
}

/** The pids of the direct children; none where the kernel does not tell. */
export function children(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8")
        .split(" ")
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    return [];
  }
}

/** The open(2) flags of a file descriptor, to be tested against `fs.constants` (O_NONBLOCK …). */
export function descriptorFlags(pid: number, descriptor: number): number {
  const info = readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, "utf8");
  const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1];
  if (flags === undefined) throw new Error(`no flags in fdinfo of ${pid}/${descriptor}:\n${info}`);
  return Number.parseInt(flags, 8);
}

/** The open file descriptors and what each one is (`pipe:[…]`, `socket:[…]`, a path). */
export function openDescriptors(pid: number): Map<number, string> {
  const folder = `/proc/${pid}/fd`;
  const found = new Map<number, string>();
  for (const name of readdirSync(folder)) {
    try {
      found.set(Number(name), readlinkSync(`${folder}/${name}`));
    } catch {
      // Closed between the two calls; when a process looks at itself, the folder just read.
    }
  }
  return found;
}

/** The resource limits by their name in `/proc/<pid>/limits`, such as "Max open files". */
export function limits(pid: number): Record<string, { soft: string; hard: string }> {
  const found: Record<string, { soft: string; hard: string }> = {};
  for (const line of readFileSync(`/proc/${pid}/limits`, "utf8").split("\n").slice(1)) {
    const [name, soft, hard] = line.split(/\s{2,}/);
    if (name && soft && hard) found[name] = { soft, hard };
  }
  return found;
}

/** The arguments the process was started with, argv[0] first. */
export function commandLine(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
}

/** The environment block byte for byte: NUL-terminated entries, in order. */
export function environment(pid: number): Buffer {
  return readFileSync(`/proc/${pid}/environ`);
}
