/**
 * Reads paths from a configuration that is a script, without running it: where they stand as literals they are found,
 * and everything else is said to be not readable.
 */

/** What nothing can be told of without running the script. */
export const unreadable = Symbol("unreadable");

/** Takes the comments out, and leaves the strings alone: the two slashes of a URL are none. */
export function withoutComments(script: string): string {
  return script.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_, text: string | undefined) => text ?? " ",
  );
}

/**
 * The expressions that are given to a name, as `name: …` or `name = …`, also in quotes.
 * @param script without comments
 */
export function valuesOf(script: string, name: string): readonly string[] {
  const starts = script.matchAll(
    new RegExp(
      `(?<![\\w$.-])["']?${name}["']?(?:\\s*:\\s*[\\w<>\\[\\]]+)?\\s*[:=](?![=>])\\s*`,
      "g",
    ),
  );
  return [...starts].map(({ 0: start, index }) => expressionAt(script, index + start.length));
}

/** From a place to where its expression ends: a comma, a semicolon or a bracket of those around it. */
function expressionAt(script: string, start: number): string {
  let depth = 0;
  let quote = "";
  for (let at = start; at < script.length; at++) {
    const sign = script[at] ?? "";
    if (quote !== "") {
      if (sign === "\\") at++;
      else if (sign === quote) quote = "";
    } else if (/["'`]/.test(sign)) quote = sign;
    else if (/[[({]/.test(sign)) depth++;
    else if (/[\])}]/.test(sign) && --depth < 0) return script.slice(start, at).trim();
    else if (/[,;]/.test(sign) && depth === 0) return script.slice(start, at).trim();
  }
  return script.slice(start).trim();
}

/**
 * The paths that an expression stands for: a literal, a list of them, and what joins them to the script's own folder or
 * the working directory.
 * @param folder the script's, as the working directory sees it
 */
export function pathsIn(expression: string, folder: string): readonly string[] | typeof unreadable {
  const list = /^\[([\s\S]*)\]$/.exec(expression);
  if (list !== null) {
    const items = listItems(list[1] ?? "").map((item) => pathsIn(item, folder));
    return items.some((item) => item === unreadable)
      ? unreadable
      : items.flatMap((item) => (item === unreadable ? [] : item));
  }
  const places = expression
    .replace(/\$\{(__dirname|import\.meta\.dirname)\}/g, folder)
    .replace(/\b(__dirname|import\.meta\.dirname)\b/g, JSON.stringify(folder))
    .replace(/\bprocess\.cwd\(\)/g, '"."')
    // `fileURLToPath(new URL("x", import.meta.url))`, where closing brackets may stay.
    .replace(/\bfileURLToPath\(|\bnew URL\(|\bimport\.meta\.url\b|\.pathname\b/g, " ");
  const literals: string[] = [];
  const rest = places.replace(
    /"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|`((?:\\.|[^`\\])*)`/g,
    (_, ...texts: (string | undefined)[]) => {
      literals.push(texts.slice(0, 3).find((text) => text !== undefined) ?? "");
      return "";
    },
  );
  const isPath = /^(?:(?:\(0, ?)?(?:[\w$]+\.)*(?:join|resolve)\)?\(|[\s,+)]|as const)*$/.test(rest);
  if (!isPath || literals.length === 0 || literals.some((text) => text.includes("${")))
    return unreadable;
  return [literals.join("/")];
}

/** The items of a list, without what is nested. */
function listItems(text: string): readonly string[] {
  const items: string[] = [];
  for (let at = 0; at < text.length;) {
    const item = expressionAt(text, at);
    const next = text.indexOf(item, at) + item.length;
    if (item !== "") items.push(item);
    at = text.indexOf(",", next);
    if (at === -1) break;
    at++;
  }
  return items;
}
