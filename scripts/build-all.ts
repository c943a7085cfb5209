/**
 * Builds what a release holds, into dist/release: executables for linux on x64 and arm64, with glibc and with musl, the
 * bundled file, their checksums and a bill of materials. Bun fetches the runtimes of the other targets from the npm
 * registry.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { compile } from "./bundle.ts";
import "./build.ts";

/** What is used here of CycloneDX. */
type Component = { name: string; version: string; "bom-ref": string };
type Bill = {
  metadata: { component: Component };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
};

const root = new URL("..", import.meta.url).pathname;
const dist = `${root}dist`;
const release = `${dist}/release`;
const targets = ["x64", "x64-musl", "arm64", "arm64-musl"];

rmSync(release, { recursive: true, force: true });
mkdirSync(release, { recursive: true });
copyFileSync(`${dist}/headgate.cjs`, `${release}/headgate.cjs`);
for (const target of targets) {
  compile(`${dist}/headgate.cjs`, `${release}/headgate-linux-${target}`, `bun-linux-${target}`);
}

// npm knows all packages, also those that only build and test; esbuild knows which of them are in the file.
const args = ["sbom", "--sbom-format=cyclonedx", "--sbom-type=application"];
const bill = JSON.parse(execFileSync("npm", args, { cwd: root, encoding: "utf8" })) as Bill;
const bundledPackages = readFileSync(`${dist}/.made-of`, "utf8").split("\n").slice(1);
const bundled = bundledPackages.map((folder) => {
  const { name, version } = JSON.parse(
    readFileSync(`${root}${folder}/package.json`, "utf8"),
  ) as Component;
  return `${name}@${version}`;
});
bill.components = bill.components.filter(({ name, version }) =>
  bundled.includes(`${name}@${version}`),
);
const refs = [bill.metadata.component, ...bill.components].map((component) => component["bom-ref"]);
bill.dependencies = bill.dependencies
  .filter(({ ref }) => refs.includes(ref))
  .map(({ ref, dependsOn }) => ({
    ref,
    dependsOn: dependsOn.filter((other) => refs.includes(other)),
  }));
writeFileSync(`${release}/headgate.cdx.json`, `${JSON.stringify(bill, null, 2)}\n`);

const sums = readdirSync(release).map((name) => {
  const sum = createHash("sha256")
    .update(readFileSync(`${release}/${name}`))
    .digest("hex");
  return `${sum}  ${name}\n`;
});
writeFileSync(`${release}/SHA256SUMS`, sums.join(""));
