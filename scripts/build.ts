/** Builds both artifacts from one source: `dist/headgate.cjs` for Node, `dist/headgate` for images without Node. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { build, type Plugin } from "esbuild";

const root = new URL("..", import.meta.url).pathname;
const output = `${root}dist`;
// Built aside and moved into place, so that a test which is running never meets half an artifact.
const workshop = `${output}/.new-${process.pid}`;
const bundle = `${workshop}/headgate.cjs`;
const executable = `${workshop}/headgate`;

const common = {
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node22.15",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
} as const;

/**
 * Parts of the dependencies that are loaded at every boot and never used: pino's destinations and worker threads
 * (headgate writes its own lines), pg's reader of ~/.pgpass (which writes to stderr when loaded), its parser of
 * connection strings and the resolver beside it.
 */
const unused: Plugin = {
  name: "unused",
  setup(bundler) {
    const names =
      /^(sonic-boom|thread-stream|on-exit-leak-free|pgpass|pg-native|pg-cloudflare|pg-connection-string|dns|\.\/transport)$/;
    bundler.onResolve({ filter: names }, ({ path, importer }) =>
      path !== "./transport" || importer.includes("/pino/") ? { path, namespace: "unused" } : null,
    );
    bundler.onLoad({ filter: /.*/, namespace: "unused" }, ({ path }) => ({
      contents: `module.exports = function () { throw new Error("${path} is not part of this build") }`,
    }));
    // pino asks it for one thing: whether this is a worker.
    bundler.onResolve({ filter: /^worker_threads$/ }, ({ path }) => ({ path, namespace: "main" }));
    bundler.onLoad({ filter: /.*/, namespace: "main" }, () => ({
      contents: "exports.isMainThread = true",
    }));
  },
};

/** See src/postgres/pg-crypto.ts. */
const synchronousCrypto: Plugin = {
  name: "synchronous-crypto",
  setup(bundler) {
    bundler.onResolve({ filter: /^\.(\/crypto)?\/utils$/ }, ({ path, importer, resolveDir }) =>
      importer.includes("/pg/lib/") && (path === "./crypto/utils" || resolveDir.endsWith("/crypto"))
        ? { path: `${root}src/postgres/pg-crypto.ts` }
        : null,
    );
  },
};

/**
 * wait-on is most of the code and seldom used. As source text it would be parsed at every boot (20 ms of Node's
 * start); as a compressed string it costs nothing until `--wait-for` asks for it.
 */
const packed: Plugin = {
  name: "packed",
  setup(bundler) {
    bundler.onResolve({ filter: /^wait-on$/ }, ({ path }) => ({ path, namespace: "packed" }));
    bundler.onLoad({ filter: /.*/, namespace: "packed" }, async ({ path }) => {
      const { outputFiles } = await build({
        ...common,
        stdin: { contents: `module.exports = require("${path}")`, resolveDir: root },
        write: false,
      });
      const text = brotliCompressSync(outputFiles[0]?.contents ?? "").toString("base64");
      return {
        contents: `
          const source = require("node:zlib").brotliDecompressSync(Buffer.from("${text}", "base64")).toString();
          new Function("module", "exports", "require", source)(module, exports, require);`,
      };
    });
  },
};

mkdirSync(workshop, { recursive: true });
await build({
  ...common,
  entryPoints: [`${root}entrypoint.ts`],
  outfile: bundle,
  external: ["bun:ffi"],
  plugins: [unused, synchronousCrypto, packed],
  banner: { js: "#!/usr/bin/env node" },
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
for (const name of ["headgate.cjs", "headgate"])
  renameSync(`${workshop}/${name}`, `${output}/${name}`);
rmSync(workshop, { recursive: true });
