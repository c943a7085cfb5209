/** PostgreSQL cuts longer names off (NAMEDATALEN - 1). */
const longestName = 63;

/** The name of a table of headgate's own beside the history table: its name with a suffix. */
export function beside(table: string, suffix: "_steps" | "_journal"): string {
  let name = table;
  while (Buffer.byteLength(name + suffix) > longestName) name = name.slice(0, -1);
  return name + suffix;
}
