import type { Migration } from "../migrations/folder.ts";
import type { Entry } from "./entries.ts";

/** Which files another tool has applied. */
export type Match = {
  /** The newest of them; 0 when there is none. */
  readonly newest: number;
  /** What each rests on, in words, by the numbers of the files. */
  readonly reasons: ReadonlyMap<number, string>;
  /** Every reason why the history does not fit the folder. */
  readonly problems: readonly string[];
};

type File = Pick<Migration, "id" | "name" | "path">;

/** Lower case, without extensions; whatever separates words is a dash. */
const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/(\.(up|down))?\.(sql|[cm]?[jt]s|py)$/, "")
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "");

/** `20240101_add-author`, as people find it in the tool's own table. */
const labelOf = ({ version, name }: Entry): string =>
  [version, name].filter((text) => text !== null).join(" ");

/** Which file an entry means, and by what it is known. */
function find(files: readonly File[], entry: Entry): { file: File; by: string } | undefined {
  const whole = plain([entry.version ?? "", entry.name ?? ""].join(" "));
  const [, digits, rest = ""] = /^(\d+)(?:-(.*))?$/.exec(whole) ?? [];
  const number = digits === undefined ? undefined : Number(digits);
  const own = entry.name === null ? rest : plain(entry.name);
  const ways: readonly (readonly [by: string, is: (file: File, name: string) => boolean])[] = [
    ["name", (_, name) => name === whole || (own !== "" && name === own)],
    ["name without its number", (_, name) => rest !== "" && name === rest],
    ["version", (_, name) => entry.name === null && name.startsWith(`${whole}-`)],
    ["number", ({ id }) => entry.name === null && id === number],
  ];
  for (const [by, is] of ways) {
    const file = files.find((each) => is(each, plain(each.name)));
    if (file !== undefined) return { file, by };
  }
  return undefined;
}

/**
 * Finds the files that another tool has applied: those of the same name, with or without the number before it; or, of
 * a tool that records no names, those whose name begins with the version, or whose number it is. Pure.
 * @param table of the tool, for messages
 */
export function matchEntries(
  files: readonly File[],
  entries: readonly Entry[],
  table: string,
): Match {
  const problems: string[] = [];
  const reasons = new Map<number, string>();
  for (const entry of entries) {
    const label = labelOf(entry);
    if (entry.problem !== null) {
      problems.push(`${table}: ${label} ${entry.problem}`);
      continue;
    }
    const found = find(files, entry);
    if (found === undefined) {
      problems.push(`${table}: ${label} is no file of the folder, neither by name nor by number`);
      continue;
    }
    const { file, by } = found;
    const taken = reasons.get(file.id);
    if (taken !== undefined && !entry.isNewest) {
      problems.push(`${table}: ${label} is the same file as ${taken}: ${file.path}`);
    }
    for (const { id } of entry.isNewest ? files : []) {
      if (id < file.id) reasons.set(id, `before ${label}`);
    }
    reasons.set(file.id, `${label}, by ${by}`);
  }
  const newest = Math.max(0, ...reasons.keys());
  const gaps = files.filter(({ id }) => id < newest && !reasons.has(id));
  // What could not be matched explains them.
  if (problems.length === 0) {
    problems.push(
      ...gaps.map(({ path }) => `${path}: not recorded in ${table}, but a later file is`),
    );
  }
  return { newest, reasons, problems };
}
