/** Reads single values from the configuration files of migrators, which are text of several kinds. */

/** The keys and values of a section as Python's configparser reads it: a line that is indented goes on with the last. */
export function iniSection(text: string, section: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  let isInside = false;
  let key: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(?:[#;]|$)/.test(line)) continue;
    const header = /^\[([^\]]+)\]/.exec(line);
    if (header !== null) {
      isInside = header[1] === section;
      key = undefined;
    } else if (/^\s/.test(line) && key !== undefined) {
      values.set(key, `${values.get(key)}\n${line.trim()}`);
    } else if (isInside) {
      const [, name = "", value = ""] = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(line.trim()) ?? [];
      key = name.toLowerCase();
      values.set(key, value.trim());
    }
  }
  return values;
}

/** The values of lines such as `key = value` or `key: value`, whatever is above or beside them. */
export function valuesInLines(text: string, key: string): readonly string[] {
  const lines = text.matchAll(
    new RegExp(`^[ \\t]*${key}[ \\t]*[=:][ \\t]*(.*?)[ \\t\\r]*$`, "gim"),
  );
  return [...lines].map(([, value = ""]) => value);
}

/** The texts in quotes of a TOML value, also of a list of several lines; undefined when the key is not there. */
export function tomlTexts(text: string, table: string, key: string): readonly string[] | undefined {
  const header = `[${table}]`;
  const lines = text.split(/\r?\n/);
  const start = lines.findIndex((line) => line.trim() === header);
  if (start === -1) return undefined;
  const length = lines.slice(start + 1).findIndex((line) => /^\s*\[[\w."' -]+\]\s*$/.test(line));
  const body = lines.slice(start + 1, length === -1 ? undefined : start + 1 + length).join("\n");
  const value = new RegExp(`^\\s*${key}\\s*=\\s*(\\[[^\\]]*\\]|"[^"\\n]*"|'[^'\\n]*')`, "m").exec(
    body,
  )?.[1];
  if (value === undefined) return undefined;
  return [...value.matchAll(/"([^"]*)"|'([^']*)'/g)].map(([, one, other]) => one ?? other ?? "");
}
