/** Makes one file of the source and its dependencies, and an executable of that file. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { build, type Plugin } from "esbuild";

const root = new URL("..", import.meta.url).pathname;

const common = {
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node22.15",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
} as const;

/** The folders of the packages that were bundled so far, for the bill of materials. */
export const bundledPackages = new Set<string>();

function note(inputs: object): void {
  for (const path of Object.keys(inputs)) {
    const [folder] = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? [];
    if (folder !== undefined) bundledPackages.add(folder);
  }
}

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
 * wait-on is most of the code and seldom used, execa is for migrators and hooks only. As source text they would be
 * parsed at every boot (20 and 8 ms of Node's start); as compressed strings they cost nothing until they are asked for.
 */
const packed: Plugin = {
  name: "packed",
  setup(bundler) {
    bundler.onResolve({ filter: /^(wait-on|execa)$/ }, ({ path }) => ({
      path,
      namespace: "packed",
    }));
    bundler.onLoad({ filter: /.*/, namespace: "packed" }, async ({ path }) => {
      const { outputFiles, metafile } = await build({
        ...common,
        stdin: { contents: `module.exports = require("${path}")`, resolveDir: root },
        write: false,
      });
      note(metafile.inputs);
      return { contents: `${unpack(outputFiles[0]?.contents)}(module, exports, require);` };
    });
  },
};

/** Commands for people, and the rooms that nothing else needs. */
const seldomRooms = /^src\/(commands|adopt|check|completion|copy|git|plan|scratch|status)\b/;

/**
 * Keeps the commands that people call out of the way of a server that starts, in the same manner: 60 KB of source cost
 * 2 ms of Node's start. What they share with the rest they get from it, so that there is one of each.
 */
const seldom: Plugin = {
  name: "seldom",
  setup(bundler) {
    bundler.onResolve({ filter: /commands\/\w+\.ts$/ }, (found) => {
      const path = resolve(found.resolveDir, found.path);
      return found.kind === "dynamic-import" ? { path, namespace: "seldom" } : null;
    });
    bundler.onLoad({ filter: /.*/, namespace: "seldom" }, async ({ path }) => {
      const shared = new Set<string>();
      const borrow: Plugin = {
        name: "borrow",
        setup(inner) {
          inner.onResolve({ filter: /^\./ }, (found) => {
            const file = relative(root, resolve(found.resolveDir, found.path));
            if (seldomRooms.test(file)) return null;
            shared.add(file);
            return { path: file, external: true };
          });
        },
      };
      const { outputFiles, metafile } = await build({
        ...common,
        entryPoints: [path],
        plugins: [borrow],
        write: false,
      });
      note(metafile.inputs);
      const source = readFileSync(path, "utf8");
      const exported = [...source.matchAll(/^export (?:async )?function (\w+)/gm)].map(
        ([, name]) => name,
      );
      const names = [...shared];
      const imports = names.map((file, index) => `import * as m${index} from "./${file}";`);
      const table = names.map((file, index) => `"${file}": m${index}`);
      return {
        resolveDir: root,
        contents: `${imports.join("\n")}
          const shared = { ${table.join(", ")} };
          const made = { exports: {} };
          ${unpack(outputFiles[0]?.contents)}(made, made.exports, (name) => shared[name] ?? require(name));
          export const { ${exported.join(", ")} } = made.exports;`,
      };
    });
  },
};

/** An expression for the function that a packed CommonJS module is, of module, exports and require. */
function unpack(source: Uint8Array = Buffer.of()): string {
  const text = brotliCompressSync(source).toString("base64");
  return `new Function("module", "exports", "require", require("node:zlib").brotliDecompressSync(Buffer.from("${text}", "base64")).toString())`;
}

/** Tells where this source is from; an image is built without the repository's history, and is told by a variable. */
export function readCommit(): string {
  if (process.env["HEADGATE_COMMIT"]) return process.env["HEADGATE_COMMIT"];
  try {
    const git = (...args: string[]): string =>
      execFileSync("git", args, {
        cwd: root,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
    const commit = git("rev-parse", "--short=12", "HEAD").trim();
    const isChanged = git("status", "--porcelain", "src", "entrypoint.ts") !== "";
    return isChanged ? `${commit}, changed` : commit;
  } catch {
    return "unknown";
  }
}

/** Bundles one entry point for Node. */
export async function bundle(entryPoint: string, outfile: string, banner = ""): Promise<void> {
  const { metafile } = await build({
    ...common,
    entryPoints: [entryPoint],
    outfile,
    external: ["bun:ffi"],
    plugins: [unused, synchronousCrypto, packed, seldom],
    define: { COMMIT: JSON.stringify(readCommit()) },
    banner: { js: banner },
  });
  note(metafile.inputs);
}

/**
 * Makes an executable of a bundled file.
 * @param target as Bun names them, `bun-linux-arm64-musl`; this machine's own when left out
 */
export function compile(bundled: string, outfile: string, target?: string): void {
  // Without the last two flags the executable reads .env and bunfig.toml from the container's working directory.
  const flags = [
    "--compile",
    "--bytecode",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    ...(target === undefined ? [] : [`--target=${target}`]),
  ];
  execFileSync(`${root}node_modules/.bin/bun`, ["build", bundled, ...flags, "--outfile", outfile], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}
