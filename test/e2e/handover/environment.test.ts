import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { direct, testEverywhere } from "../../helpers/everywhere.ts";
import { type Artifact, runHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { startProxy } from "../../helpers/proxy.ts";

const server = await useServer();
let env: { DATABASE_URL: string };
before(async () => {
  env = { DATABASE_URL: server.url(await createDatabase(server)) };
});

const gate = ["--migrations", makeMigrations()];

/** The environment block of a server, as sorted entries; the server is started by headgate or directly. */
async function environmentOfServer(
  artifact: Artifact,
  args: string[],
  options: { pid1: boolean; wrap: string[]; cwd?: string },
): Promise<string[]> {
  const before = artifact === direct ? [] : [...gate, ...args, "--"];
  const show = ["cat", "/proc/self/environ"];
  const result = await runHeadgate(artifact, [...before, ...show], { ...options, env });
  assert.equal(result.exitCode, 0, result.stderr);
  return result.stdout.split("\0").toSorted();
}

/** What runtimes are known to drop, to read, to reorder, or to take for something else. */
const variables = [
  "TZ=",
  "NODE_TLS_REJECT_UNAUTHORIZED=",
  "BUN_CONFIG_VERBOSE_FETCH=",
  "EMPTY=",
  "1=one",
  "0=zero",
  "__proto__=p",
  "constructor=c",
  "toString=t",
  "lower=1",
  "LOWER=2",
  "EQUALS==a=b==",
  "SPACES=  a  b  ",
  "LINES=one\ntwo\r\n",
  "UNICODE=é☃𝄞",
  "QUOTES='\"`$HOME",
  "with-dash.and dot=x",
  "NODE_ENV=production",
  "HEADGATE_LOG_LEVEL=warn",
  "PGAPPNAME=app",
  `LONG=${"x".repeat(100_000)}`,
];

testEverywhere(
  "E6 the server's environment is byte for byte headgate's",
  async ({ artifact, pid1 }) => {
    const wrap = ["env", ...variables];
    const wanted = await environmentOfServer(direct, [], { pid1, wrap });
    for (const variable of variables) assert.ok(wanted.includes(variable), variable);
    assert.deepEqual(await environmentOfServer(artifact, [], { pid1, wrap }), wanted);
  },
);

testEverywhere(
  "E6 an environment with nothing in it stays so, but for the database's address",
  async ({ artifact, pid1 }) => {
    const run = ["--database-url", env.DATABASE_URL];
    const wrap = ["env", "-i"];
    assert.deepEqual(await environmentOfServer(artifact, run, { pid1, wrap }), [""]);
  },
);

testEverywhere(
  "E6 --unset-env removes the variables it names and no others",
  async ({ artifact, pid1 }) => {
    const wrap = ["env", ...variables];
    const args = ["DATABASE_URL", "__proto__", "1", "TZ", "NOT_THERE"];
    const wanted = await environmentOfServer(direct, [], { pid1, wrap });
    assert.deepEqual(
      await environmentOfServer(
        artifact,
        args.flatMap((name) => ["--unset-env", name]),
        { pid1, wrap },
      ),
      wanted.filter((entry) => !args.includes(entry.split("=")[0] ?? "")),
    );
  },
);

testEverywhere(
  "E6 no .env and no bunfig.toml in the working directory is read",
  async ({ artifact, pid1 }) => {
    const cwd = temporaryFolder("headgate-cwd-");
    const trace = join(cwd, "was-loaded");
    const wrong = "DATABASE_URL=postgres://nobody@127.0.0.1:1/none\nLEAK=1\nHEADGATE_LEAK=1\n";
    const names = [".env", ".env.local", ".env.production", ".env.development"];
    for (const name of names) writeFileSync(join(cwd, name), wrong);
    const script = `require("node:fs").writeFileSync(${JSON.stringify(trace)}, "");`;
    writeFileSync(join(cwd, "evil.js"), script);
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.js"]\nlogLevel = "debug"\n');
    const wanted = await environmentOfServer(direct, [], { pid1, wrap: [], cwd });
    assert.deepEqual(await environmentOfServer(artifact, [], { pid1, wrap: [], cwd }), wanted);
    // A variable that headgate itself had read would be remarked upon.
    const { lines } = await runHeadgate(artifact, [...gate, "--", "true"], { pid1, env, cwd });
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ["configured", "found nothing pending", "handed over"],
    );
    assert.ok(!existsSync(trace));
  },
);

/** Values that JavaScript cannot hold, put in front of the command by a shell. */
const invalid = [
  ["environment variable X", 'X=$(printf "\\377\\376"); export X; exec "$@"'],
  ["environment variable BAD", 'BAD=$(printf "caf\\351"); export BAD; exec "$@"'],
  ["argument", 'exec "$@" "$(printf "caf\\351")"'],
] as const;

testEverywhere(
  "E6 an environment or arguments that are not UTF-8 are refused before the database is touched",
  async ({ artifact, pid1 }, t) => {
    const proxy = await startProxy(server.port);
    t.after(() => proxy.stop());
    const untouched = { DATABASE_URL: server.url("postgres", { port: proxy.port }) };
    for (const [what, script] of invalid) {
      const result = await runHeadgate(artifact, [...gate, "--", "true"], {
        pid1,
        env: untouched,
        wrap: ["sh", "-c", script, "sh"],
      });
      assert.equal(result.exitCode, 64, what);
      const last = result.lines.at(-1);
      assert.ok(last?.msg?.startsWith(`not valid UTF-8: ${what}`), what);
      assert.match(String(last?.["fix"]), /encode/);
    }
    assert.equal(proxy.connections, 0);
  },
);
