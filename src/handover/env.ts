/** What `env` runs, and the PATH in which it looks for it. */
export type EnvCommand = { readonly command: readonly string[]; readonly path: string };

const shortForms: { readonly [long: string]: string } = {
  "ignore-environment": "i",
  unset: "u",
  "split-string": "S",
};
/** Long options that change nothing about which program it is. */
const harmless = /^--(debug|list-signal-handling|(block|default|ignore)-signal(=.*)?)$/;
/** -i, -v, -u NAME and -S TEXT, several of them in one word. */
const options = /^-([iv]*)(?:([uS])([^]*))?$/;
/** What -S reads in a manner of its own: quotes, escapes, variables, comments. */
const special = /[\\'"$#]/;

/**
 * Reads the arguments of `env`, GNU's or BusyBox's.
 * @param args what comes after the word `env`
 * @param path the PATH variable that it is started with
 * @returns undefined where it runs nothing, or where it is not certain what it runs
 */
export function readEnv(args: readonly string[], path: string | undefined): EnvCommand | undefined {
  let left = [...args];
  let own = path;
  while (left[0]?.startsWith("-") === true) {
    const word = left.shift() ?? "";
    if (word === "--") break;
    if (harmless.test(word)) continue;
    const short = word.replace(
      /^--(ignore-environment|unset|split-string)=?/,
      (_, long: string) => `-${shortForms[long]}`,
    );
    const [found, flags, letter, attached] = options.exec(short) ?? [];
    if (found === undefined) return undefined;
    // A mere - is -i.
    if (found === "-" || flags?.includes("i") === true) own = undefined;
    if (letter === undefined) continue;
    const value = attached === "" ? (left.shift() ?? "") : (attached ?? "");
    if (letter === "u" && value === "PATH") own = undefined;
    if (letter === "S") {
      if (special.test(value)) return undefined;
      left = [...value.split(/\s+/).filter((part) => part !== ""), ...left];
    }
  }
  while (left[0]?.includes("=") === true) {
    const assigned = left.shift() ?? "";
    if (assigned.startsWith("PATH=")) own = assigned.slice("PATH=".length);
  }
  // Without a PATH each C library searches where it likes.
  return left.length === 0 || own === undefined ? undefined : { command: left, path: own };
}
