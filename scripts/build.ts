/**
 * Builds from one source: `dist/headgate.cjs` for Node, `dist/headgate` for images without Node, and `dist/library.cjs`
 * for a /health route. What is there and was made of the same files and commit is left as it is.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { bundle, bundledPackages, compile, readCommit } from "./bundle.ts";

const root = new URL("..", import.meta.url).pathname;
const output = `${root}dist`;
const products = ["headgate.cjs", "headgate", "library.cjs", "library.d.cts"];
/** What the products were made of: a hash of the inputs, then the folders of the packages that are in them, a line each. */
const mark = `${output}/.made-of`;

/** Changes when anything changes that the products are made of. */
function inputs(): string {
  const hash = createHash("sha256").update(readCommit());
  const files = globSync(
    ["entrypoint.ts", "package-lock.json", "src/**/*", "scripts/{build,bundle}.ts"],
    {
      cwd: root,
      withFileTypes: true,
    },
  );
  const paths = files
    .filter((file) => file.isFile())
    .map(({ parentPath, name }) => `${parentPath}/${name}`);
  for (const path of paths.toSorted()) hash.update(`\0${path}\0`).update(readFileSync(path));
  return hash.digest("hex");
}

const wanted = inputs();
const isThere =
  products.every((name) => existsSync(`${output}/${name}`)) &&
  existsSync(mark) &&
  readFileSync(mark, "utf8").startsWith(`${wanted}\n`);

if (!isThere) {
  // Built aside and moved into place, so that a test which is running never meets half an artifact.
  const workshop = `${output}/.new-${process.pid}`;
  mkdirSync(workshop, { recursive: true });
  await bundle(`${root}entrypoint.ts`, `${workshop}/headgate.cjs`, "#!/usr/bin/env node");
  chmodSync(`${workshop}/headgate.cjs`, 0o755);
  compile(`${workshop}/headgate.cjs`, `${workshop}/headgate`);
  await bundle(`${root}src/library.ts`, `${workshop}/library.cjs`);
  copyFileSync(`${root}src/library.d.cts`, `${workshop}/library.d.cts`);
  rmSync(mark, { force: true });
  for (const name of products) renameSync(`${workshop}/${name}`, `${output}/${name}`);
  rmSync(workshop, { recursive: true });
  writeFileSync(mark, [wanted, ...bundledPackages].join("\n"));
}
