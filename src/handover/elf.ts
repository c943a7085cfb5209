import { accessSync, constants, readdirSync, statSync } from "node:fs";

/** Whether it is a file that this user may execute. */
export function isExecutableFile(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Processor numbers of ELF (e_machine) that a processor runs by itself. */
const machines: { readonly [architecture: string]: readonly number[] } = {
  x64: [62, 3],
  arm64: [183, 40],
};

export const isElf = (head: Buffer): boolean =>
  head.subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1"));

/**
 * Why execve would fail: another processor's program, or a missing dynamic loader (a glibc program on Alpine).
 * @param head the file's first bytes
 */
export function elfObstacle(file: string, head: Buffer): string | undefined {
  const is64 = head[4] === 2;
  const isLittle = head[5] === 1;
  if (head.length < 64) return undefined;
  const known = machines[process.arch];
  const isOurs = isLittle && known?.includes(head.readUInt16LE(18));
  if (known !== undefined && !isOurs && !hasForeignBinaries()) {
    return `${file} is for another processor than this ${process.arch}`;
  }
  if (!isLittle) return undefined;
  const headers = is64 ? Number(head.readBigUInt64LE(32)) : head.readUInt32LE(28);
  const size = head.readUInt16LE(is64 ? 54 : 42);
  const count = head.readUInt16LE(is64 ? 56 : 44);
  for (let index = 0; index < count; index++) {
    const at = headers + index * size;
    if (at + size > head.length) return undefined;
    if (head.readUInt32LE(at) !== 3) continue; // PT_INTERP
    const offset = is64 ? Number(head.readBigUInt64LE(at + 8)) : head.readUInt32LE(at + 4);
    const length = is64 ? Number(head.readBigUInt64LE(at + 32)) : head.readUInt32LE(at + 16);
    const loader = head.subarray(offset, offset + length - 1).toString();
    return offset + length <= head.length && !isExecutableFile(loader)
      ? `${file} needs the loader ${loader}, which this image does not have (a glibc program on musl, or the reverse?)`
      : undefined;
  }
  return undefined;
}

/** Whether the kernel has been taught other formats, such as other processors' programs through qemu. */
export function hasForeignBinaries(): boolean {
  try {
    return readdirSync("/proc/sys/fs/binfmt_misc").some(
      (entry) => entry !== "register" && entry !== "status",
    );
  } catch {
    return false;
  }
}
