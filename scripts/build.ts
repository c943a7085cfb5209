/**
 * Builds from one source: `dist/headgate.cjs` for Node, `dist/headgate` for images without Node, and `dist/library.cjs`
 * for a /health route.
 */
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { bundle, compile } from "./bundle.ts";

const root = new URL("..", import.meta.url).pathname;
const output = `${root}dist`;
// Built aside and moved into place, so that a test which is running never meets half an artifact.
const workshop = `${output}/.new-${process.pid}`;

mkdirSync(workshop, { recursive: true });
await bundle(`${root}entrypoint.ts`, `${workshop}/headgate.cjs`, "#!/usr/bin/env node");
chmodSync(`${workshop}/headgate.cjs`, 0o755);
compile(`${workshop}/headgate.cjs`, `${workshop}/headgate`);
await bundle(`${root}src/library.ts`, `${workshop}/library.cjs`);
copyFileSync(`${root}src/library.d.cts`, `${workshop}/library.d.cts`);
for (const name of ["headgate.cjs", "headgate", "library.cjs", "library.d.cts"]) {
  renameSync(`${workshop}/${name}`, `${output}/${name}`);
}
rmSync(workshop, { recursive: true });
