import { parseConnectionUrl } from "../postgres/connection-string.ts";
import { type DatabaseSettings, readSettings } from "../postgres/settings.ts";
import type { Given } from "./given.ts";

/** Which database may be filled with a copy and emptied again: one that the user named, or one that headgate makes. */
export type ScratchRequest =
  { readonly kind: "named"; readonly settings: DatabaseSettings } | { readonly kind: "created" };

/**
 * Reads --scratch-url and --scratch-create.
 * @param mistakes receives what is wrong
 * @param secrets receives the password
 */
export function readScratch(
  given: Given,
  mistakes: string[],
  secrets: Set<string>,
): { readonly scratch?: ScratchRequest } {
  const url = given.text("scratch-url");
  const isCreated = given.isOn("scratch-create");
  if (url === undefined) return isCreated ? { scratch: { kind: "created" } } : {};
  const from = given.nameOf("scratch-url");
  if (isCreated) mistakes.push(`choose one of ${from} and ${given.nameOf("scratch-create")}`);
  const { keywords, mistakes: misread } = parseConnectionUrl(url, from);
  // Without any, pg would take those of PGOPTIONS, which are for the database to migrate.
  keywords["options"] ??= " ";
  const password = keywords["password"];
  // A password that is also a name on every line (postgres/postgres) is no secret, and hiding it hides the line.
  const names = [keywords["user"], keywords["dbname"], ...(keywords["host"] ?? "").split(",")];
  if (password !== undefined && !names.includes(password)) secrets.add(password);
  mistakes.push(...misread);
  const { settings, mistakes: others } = readSettings(keywords);
  // A URL that could not be read leaves nothing to check.
  if (misread.length === 0) mistakes.push(...others.map((text) => `${from}: ${text}`));
  return { scratch: { kind: "named", settings } };
}
