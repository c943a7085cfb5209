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

const dist = new URL("../dist", import.meta.url).pathname;
const release = `${dist}/release`;
const targets = ["x64", "x64-musl", "arm64", "arm64-musl"];

rmSync(release, { recursive: true, force: true });
mkdirSync(release, { recursive: true });
copyFileSync(`${dist}/headgate.cjs`, `${release}/headgate.cjs`);
for (const target of targets) {
  compile(`${dist}/headgate.cjs`, `${release}/headgate-linux-${target}`, `bun-linux-${target}`);
}

// Of what is bundled; the runtime inside the executables is named by `headgate --version`.
const bill = ["sbom", "--omit=dev", "--sbom-format=cyclonedx", "--sbom-type=application"];
writeFileSync(`${release}/headgate.cdx.json`, execFileSync("npm", bill, { cwd: `${dist}/..` }));

const sums = readdirSync(release).map((name) => {
  const sum = createHash("sha256")
    .update(readFileSync(`${release}/${name}`))
    .digest("hex");
  return `${sum}  ${name}\n`;
});
writeFileSync(`${release}/SHA256SUMS`, sums.join(""));
