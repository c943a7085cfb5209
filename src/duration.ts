/** `500ms`, `30s`, `10m`, `1h` in milliseconds; `0` is no limit (Infinity); undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return Number.POSITIVE_INFINITY;
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return undefined;
  const ms =
    Number(amount) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit as "ms" | "s" | "m" | "h"];
  return ms === 0 ? Number.POSITIVE_INFINITY : ms;
}
