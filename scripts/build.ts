/** Builds both artifacts from one source: `dist/headgate.cjs` for Node, `dist/headgate` for images without Node. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { build, type Plugin } from "esbuild";

const root = new URL("..", import.meta.url).pathname;
const bundle = `${root}dist/headgate.cjs`;
const executable = `${root}dist/headgate`;

/**
 * Parts of the dependencies that are loaded at every boot and never used: pino's destinations and worker threads
 * (headgate writes its own lines), pg's reader of ~/.pgpass (which writes to stderr when loaded).
 */
const unused: Plugin = {
  name: "unused",
  setup(bundler) {
    const names =
      /^(sonic-boom|thread-stream|on-exit-leak-free|pgpass|pg-native|pg-cloudflare|\.\/transport)$/;
    bundler.onResolve({ filter: names }, ({ path, importer }) =>
      path !== "./transport" || importer.includes("/pino/") ? { path, namespace: "unused" } : null,
    );
    bundler.onLoad({ filter: /.*/, namespace: "unused" }, ({ path }) => ({
      contents: `module.exports = function () { throw new Error("${path} is not part of this build") }`,
    }));
  },
};

rmSync(`${root}dist`, { recursive: true, force: true });
mkdirSync(`${root}dist`);
await build({
  entryPoints: [`${root}entrypoint.ts`],
  outfile: bundle,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node22.15",
  minify: true,
  keepNames: true,
  external: ["bun:ffi"],
  plugins: [unused],
  banner: { js: "#!/usr/bin/env node" },
  legalComments: "none",
  logLevel: "warning",
});
chmodSync(bundle, 0o755);

// Without the last two flags the executable reads .env and bunfig.toml from the container's working directory.
const flags = [
  "--compile",
  "--bytecode",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];
execFileSync(`${root}node_modules/.bin/bun`, ["build", bundle, ...flags, "--outfile", executable], {
  stdio: ["ignore", "ignore", "inherit"],
});
