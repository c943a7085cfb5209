import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { direct, testEverywhere } from "../../helpers/everywhere.ts";
import { type Artifact, artifacts, requireOrSkip, runHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { type Proxy, startProxy } from "../../helpers/proxy.ts";

const server = await useServer({ own: true });
let proxy: Proxy;
let env: { DATABASE_URL: string };
before(async () => {
  proxy = await startProxy(server.port);
  env = { DATABASE_URL: server.url(await createDatabase(server), { port: proxy.port }) };
});
after(async () => {
  await proxy.stop();
});

const gate = ["--migrations", makeMigrations(), "--"];

const folder = temporaryFolder("headgate-commands-");
/** Writes a file for the tests to run; gives its path. */
function put(name: string, content: string | Buffer, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

/** A small dynamic program, changed at some bytes. */
const program = readFileSync(realpathSync("/bin/true"));
function changed(change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(program);
  change(bytes);
  return bytes;
}
const withoutLoader = changed((bytes) => {
  const at = bytes.indexOf("/ld-");
  assert.ok(at > 0);
  bytes.write("/no-", at);
});

mkdirSync(join(folder, "folder"));
symlinkSync("nowhere", join(folder, "dangling"));
put("no-permission", "#!/bin/sh\n", 0o644);
put("bin-a-tool", "#!/bin/sh\n");
const chain = (length: number) => {
  let last = "/bin/sh";
  for (let index = 1; index <= length; index++)
    last = put(`chain-${length}-${index}`, `#!${last}\necho "ran $0"\n`);
  return last;
};

const notFound = [
  ["a name that is not in PATH", ["no-such-program"]],
  ["an empty name", [""]],
  ["a path that does not exist", ["./no/such/program"]],
  ["a dangling symbolic link", [join(folder, "dangling")]],
  ["a name in the working directory, which is not in PATH", ["bin-a-tool"]],
  [
    "a script for env, which does not find its program",
    [put("for-env", "#!/usr/bin/env nosuch\n")],
  ],
  ["env with options and a program that it does not find", ["env", "-u", "A", "B=1", "nosuch"]],
] as const;

const notExecutable = [
  ["a directory", [join(folder, "folder")]],
  ["a directory found through PATH", ["folder"], folder],
  ["a file without execute permission", [join(folder, "no-permission")]],
  ["a file without execute permission found through PATH", ["no-permission"], folder],
  ["a script whose interpreter is missing", [put("bad-interpreter", "#!/no/such/interpreter\n")]],
  ["a script with Windows line ends", [put("crlf", "#!/bin/sh\r\necho hello\r\n")]],
  ["a script whose interpreter is a directory", [put("directory-interpreter", `#!${folder}\n`)]],
  [
    "a script whose interpreter may not be executed",
    [put("forbidden-interpreter", `#!${join(folder, "no-permission")}\n`)],
  ],
  ["a script of scripts too deep for the kernel", [chain(6)]],
  ["a program whose loader is missing, as glibc's on Alpine", [put("no-loader", withoutLoader)]],
] as const;

async function mustRefuse(
  artifact: Artifact,
  pid1: boolean,
  exitCode: 126 | 127,
  cases: readonly (readonly [string, readonly string[], string?])[],
) {
  const { connections } = proxy;
  for (const [what, command, path] of cases) {
    const PATH = `${path === undefined ? "" : `${path}:`}${process.env["PATH"] ?? ""}`;
    const options = { pid1, cwd: folder, env: { ...env, PATH } };
    const result = await runHeadgate(artifact, [...gate, ...command], options);
    assert.equal(result.exitCode, exitCode, `${what}: ${result.stderr}`);
    const last = result.lines.at(-1);
    assert.equal(last?.["code"], exitCode === 127 ? "not_found" : "not_executable", what);
    assert.ok(last?.msg?.includes(`"${command[0] ?? ""}"`), `${what}: ${last?.msg}`);
  }
  assert.equal(proxy.connections, connections);
}

testEverywhere(
  "E7 a server command that is not found is refused with 127 before the database is touched",
  ({ artifact, pid1 }) => mustRefuse(artifact, pid1, 127, notFound),
);

testEverywhere(
  "E7 a server command that cannot be executed is refused with 126 before the database is touched",
  ({ artifact, pid1 }) => mustRefuse(artifact, pid1, 126, notExecutable),
);

for (const artifact of artifacts) {
  test(`E7 a program for another processor is refused with 126 before the database is touched (${artifact.name})`, async (t) => {
    const formats = "/proc/sys/fs/binfmt_misc";
    const foreign = readdirSync(formats).some((name) => !/^(register|status)$/.test(name));
    if (!requireOrSkip(t, !foreign, "this machine runs other processors' programs")) return;
    await mustRefuse(artifact, false, 126, [
      // 243 is RISC-V.
      [
        "another processor",
        [
          put(
            "other",
            changed((bytes) => bytes.writeUInt16LE(243, 18)),
          ),
        ],
      ],
      [
        "a big-endian processor",
        [
          put(
            "big-endian",
            changed((bytes) => bytes.writeUInt8(2, 5)),
          ),
        ],
      ],
      ["data", [put("data", Buffer.from([0x7f, 0, 0x45, 0x4c, 0x46]))]],
    ]);
  });
}

testEverywhere("E7 what execvp would run is run in the same way", async ({ artifact, pid1 }) => {
  const first = join(folder, "first");
  mkdirSync(join(first, "tool"), { recursive: true });
  const cases: [what: string, command: string[], path?: string][] = [
    ["a script without #!", [put("plain", 'echo "$0" "$@"\nexit 3\n'), "a b", ""]],
    ["a script without #!, found through PATH", ["plain", "x"], folder],
    ["an empty file", [put("empty", "")]],
    ["a script with #!", [put("script", '#! /bin/sh -e\necho "$0" "$@"\nfalse\necho no\n'), "x"]],
    ["a script of scripts as deep as the kernel follows", [chain(5), "x"]],
    ["a name found behind a directory of that name", ["tool"], `${first}:${folder}`],
    ["a name found through an empty part of PATH", ["tool"], ""],
    ["a relative path", ["./script", "y"]],
    ["a path with a folder", ["../" + folder.split("/").at(-1) + "/script"]],
    ["a script for env", [put("by-env", "#!/usr/bin/env -S A=1 plain x\n"), "y"], folder],
    ["a symbolic link to a program", ["link", "-c", 'echo "$0"'], folder],
  ];
  put("tool", "#!/bin/sh\necho tool\n");
  symlinkQuietly(realpathSync("/bin/sh"), join(folder, "link"));
  for (const [what, command, path] of cases) {
    const options = {
      pid1,
      cwd: folder,
      env: { ...env, PATH: path === undefined ? "/usr/bin:/bin" : `${path}:/usr/bin:/bin` },
    };
    // env is the execvp to compare with.
    const wanted = await runHeadgate(direct, ["env", ...command], options);
    const result = await runHeadgate(artifact, [...gate, ...command], options);
    assert.equal(result.exitCode, wanted.exitCode, `${what}: ${result.stderr}`);
    assert.equal(result.stdout, wanted.stdout, what);
  }
});

function symlinkQuietly(target: string, path: string): void {
  try {
    symlinkSync(target, path);
  } catch {
    // Made by the test for another artifact.
  }
}

/** Runtimes without execve: a Node whose execve is gone, and older ones where this machine has them. */
function runtimesWithoutExec(): Artifact[] {
  const preload = put("no-execve.cjs", "delete process.execve;\n");
  const bundles = artifacts.filter(({ command }) => command.length > 1);
  const found = bundles.map(({ name, command: [node = "", bundle = ""] }) => ({
    name: `${name} without execve`,
    command: [node, "--require", preload, bundle],
  }));
  const [bundle] = bundles;
  for (const path of (process.env["PATH"] ?? "").split(":")) {
    try {
      const node = realpathSync(join(path, "node"));
      if (found.some(({ command }) => command[0] === node)) continue;
      const version = execFileSync(node, ["-p", "process.version + typeof process.execve"]);
      if (bundle === undefined || !version.toString().includes("undefined")) continue;
      const name = `bundle (node ${version.toString().slice(1, -10)})`;
      found.push({ name, command: [node, bundle.command[1] ?? ""] });
    } catch {
      // No node there.
    }
  }
  return found;
}

for (const artifact of runtimesWithoutExec()) {
  test(`E11 where the runtime cannot exec, headgate says so and refuses before the database is touched (${artifact.name})`, async () => {
    const { connections } = proxy;
    const result = await runHeadgate(artifact, [...gate, "true"], { env });
    assert.equal(result.exitCode, 64, result.stderr);
    const last = result.lines.at(-1);
    assert.match(String(last?.msg), /node v\d+\S* on linux cannot replace itself by the server/);
    assert.match(String(last?.["fix"]), /Node 22\.15 or newer/);
    assert.equal(proxy.connections, connections);
  });
}
