import { hash } from "node:crypto";
import { HeadgateError } from "../errors.ts";
import { type Answer, askProgram } from "../migrator/child.ts";

/** How to ask git about the folder. */
type Git = {
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
};

/** The files of a folder in one commit: the ids of their contents, by name. */
export type Tree = ReadonlyMap<string, string>;

/** What another branch has in a folder, now and where this branch left it. */
export type Base = {
  readonly tip: Tree;
  /** At the newest commit that both branches have. */
  readonly fork: Tree;
  /** Reads contents, by their ids. */
  readonly read: (ids: readonly string[]) => Promise<ReadonlyMap<string, Uint8Array>>;
};

/**
 * Reads what another branch has in a folder of a git repository. Reads only.
 * @param ref a branch, tag or commit
 * @throws HeadgateError usage (64) without git, without a repository, or when the commits are not there
 */
export async function readBase(git: Git, ref: string): Promise<Base> {
  const root = await ask(git, ["rev-parse", "--show-toplevel"]);
  if (root.exitCode !== 0) {
    throw new HeadgateError("usage", `${git.folder} cannot be compared: ${saidBy(root)}`, {
      fix: "check out the repository, history included, or leave out --base",
    });
  }
  const tip = await ask(git, ["rev-parse", "--verify", "--quiet", `${ref}^{commit}`]);
  if (tip.exitCode !== 0) throw await notThere(git, `git does not know "${ref}"`);
  const fork = await ask(git, ["merge-base", textOf(tip), "HEAD"]);
  if (fork.exitCode !== 0) {
    throw await notThere(git, `git finds no commit that "${ref}" and HEAD have in common`);
  }
  return {
    tip: await listTree(git, textOf(tip)),
    fork: await listTree(git, textOf(fork)),
    read: (ids) => readBlobs(git, ids),
  };
}

/** The id that git gives to a content. @param like another id, of the same repository */
export function blobId(content: Uint8Array, like: string): string {
  const algorithm = like.length === 64 ? "sha256" : "sha1";
  return hash(algorithm, Buffer.concat([Buffer.from(`blob ${content.length}\0`), content]));
}

/** What git tells its hooks of where they run: it would take the folder for the root of the repository. */
const ofHooks = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"];

async function ask(git: Git, args: readonly string[], input?: string): Promise<Answer> {
  const { folder: directory, signal } = git;
  const environment = Object.fromEntries(
    Object.entries(git.environment).filter(([name]) => !ofHooks.includes(name)),
  );
  const program = { directory, environment, ...(input === undefined ? {} : { input }) };
  const answer = await askProgram("git", args, program, signal);
  if (answer !== undefined) return answer;
  throw new HeadgateError("usage", "--base needs git, and it is not in PATH", {
    fix: "install git, or leave out --base",
  });
}

/** A checkout in CI often has one commit and no other branch. */
async function notThere(git: Git, what: string): Promise<HeadgateError> {
  const isShallow = textOf(await ask(git, ["rev-parse", "--is-shallow-repository"])) === "true";
  return new HeadgateError("usage", isShallow ? `${what}: the clone is shallow` : what, {
    fix: isShallow
      ? "fetch the history: `fetch-depth: 0` of actions/checkout, or `git fetch --unshallow`"
      : "name a branch, tag or commit that is here, such as origin/main; `git fetch` brings it",
  });
}

/** Names are those in the folder, which git takes from where it runs. */
async function listTree(git: Git, commit: string): Promise<Tree> {
  const { stdout } = await mustAnswer(git, ["ls-tree", "-z", commit]);
  const entries = new TextDecoder().decode(stdout).split("\0").filter(Boolean);
  return new Map(
    entries.flatMap((entry): [string, string][] => {
      const [, type, id = "", name = ""] = /^\d+ (\w+) (\w+)\t([^]*)$/.exec(entry) ?? [];
      return type === "blob" ? [[name, id]] : [];
    }),
  );
}

/** `git cat-file --batch` answers each id with `ID blob SIZE`, a line end, the content and a line end. */
async function readBlobs(
  git: Git,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  const blobs = new Map<string, Uint8Array>();
  if (ids.length === 0) return blobs;
  const { stdout } = await mustAnswer(git, ["cat-file", "--batch"], `${ids.join("\n")}\n`);
  for (let at = 0; at < stdout.length;) {
    const lineEnd = stdout.indexOf(0x0a, at);
    const [id = "", , size] = new TextDecoder().decode(stdout.subarray(at, lineEnd)).split(" ");
    const end = lineEnd + 1 + Number(size);
    // Not there, as in a partial clone that cannot fetch it.
    if (!(end < stdout.length)) throw unexpected("cat-file", `no content of ${id}`);
    blobs.set(id, stdout.subarray(lineEnd + 1, end));
    at = end + 1;
  }
  return blobs;
}

async function mustAnswer(git: Git, args: readonly string[], input?: string): Promise<Answer> {
  const answer = await ask(git, args, input);
  if (answer.exitCode === 0) return answer;
  throw unexpected(args[0] ?? "", saidBy(answer));
}

const unexpected = (command: string, what: string): HeadgateError =>
  new HeadgateError("usage", `git ${command} failed: ${what}`, {
    fix: "look whether the repository is whole: `git fsck`",
  });

const textOf = ({ stdout }: Answer): string => new TextDecoder().decode(stdout).trim();

/** In one line: what is wrong comes first, what to do about it last. */
const saidBy = ({ stderr }: Answer): string => stderr.trim().replaceAll(/\s+/g, " ");
