import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";

/** A way to run the built program. */
export interface Artifact {
  /** For test titles. */
  name: string;
  /** The program and its first arguments, with absolute paths. */
  command: string[];
}

const ROOT = join(import.meta.dirname, "../..");
const STANDALONE = join(ROOT, "dist/headgate");
const BUNDLE = join(ROOT, "dist/headgate.cjs");

/**
 * The artifacts every end-to-end test runs against: those `HEADGATE_TEST_ARTIFACTS` lists, of
 * `bundle`, `standalone`, `bundle@22` and `bundle@26`; the first two when it does not.
 */
export const artifacts: Artifact[] = selectArtifacts(
  process.env["HEADGATE_TEST_ARTIFACTS"] || "standalone,bundle",
);

/** Throws when the artifact has not been built. */
export function assertBuilt({ name, command }: Artifact): void {
  const missing = command.find((part) => part.startsWith(ROOT) && !existsSync(part));
  if (missing) throw new Error(`${name}: ${missing} does not exist; run "npm run build" first`);
}

function selectArtifacts(list: string): Artifact[] {
  return list.split(",").map((each) => {
    const word = each.trim();
    if (word === "standalone") return { name: "standalone", command: [STANDALONE] };
    if (word === "bundle") return bundleUnder(join(ROOT, "node_modules/node"));
    const major = /^bundle@(\d+)$/.exec(word)?.[1];
    if (major) return bundleUnder(join(ROOT, `test/matrix/node_modules/node${major}`));
    throw new Error(
      `HEADGATE_TEST_ARTIFACTS: "${word}" is none of bundle, standalone, bundle@22, bundle@26`,
    );
  });
}

function bundleUnder(nodePackage: string): Artifact {
  const manifest = join(nodePackage, "package.json");
  if (!existsSync(manifest)) {
    throw new Error(`HEADGATE_TEST_ARTIFACTS: ${nodePackage} is not installed (npm ci there)`);
  }
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  // The real path: what /proc/<pid>/exe shows, and what a changed working directory does not move.
  const node = realpathSync(join(nodePackage, "bin/node"));
  // Some packages write "v22.15.0".
  return { name: `bundle (node ${version.replace(/^v/, "")})`, command: [node, BUNDLE] };
}
