import assert from "node:assert/strict";
import { constants, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { execa } from "execa";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { eventually } from "../../helpers/eventually.ts";
import { becomes, direct, testEverywhere } from "../../helpers/everywhere.ts";
import {
  type Artifact,
  artifacts,
  proc,
  requireOrSkip,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { type Proxy, startProxy } from "../../helpers/proxy.ts";

const { O_RDWR, O_NONBLOCK } = constants;

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

// The limit is set by a child process under Node: time in which the server closes its side of the session, so that
// the socket is closed between the last log line and the exec.
const gate = ["--migrations", makeMigrations(), "--nofile", "300"];

/** Named pipes for stdin, stdout and stderr; the other ends of all of them are ours. */
async function makePipes() {
  const folder = temporaryFolder("headgate-streams-");
  const paths = ["in", "out", "err"].map((name) => join(folder, name));
  await execa("mkfifo", paths);
  const [, , err = -1] = paths.map((path) => openSync(path, O_RDWR | O_NONBLOCK));
  const text = Buffer.alloc(65_536);
  let seen = "";
  const log = () => {
    try {
      seen += text.toString("utf8", 0, readSync(err, text));
    } catch {
      // Nothing there yet.
    }
    return seen;
  };
  const redirect = 'i=$1 o=$2 e=$3; shift 3; exec "$@" <"$i" >"$o" 2>"$e"';
  return { wrap: ["sh", "-c", redirect, "sh", ...paths], log };
}

/** The flags of the three streams that `sleep` has, started directly or by headgate. */
async function flagsOfSleep(artifact: Artifact, pid1: boolean, wrap: string[]) {
  const args = artifact === direct ? [] : [...gate, "--"];
  const running = await startHeadgate(artifact, [...args, "sleep", "60"], { pid1, env, wrap });
  await becomes(running, "sleep");
  const flags = [0, 1, 2].map((descriptor) => proc.descriptorFlags(running.pid, descriptor));
  running.signal("SIGKILL");
  await running.result;
  return flags;
}

/** The same after attempts that failed, whose sockets the runtime has closed, when the log says "waiting". */
async function flagsAfterWaiting(
  artifact: Artifact,
  pid1: boolean,
  wrap: string[],
  log: () => string,
) {
  await proxy.setMode("refuse");
  const flags = flagsOfSleep(artifact, pid1, wrap);
  await Promise.race([flags, eventually("it waits", () => log().includes("waiting"))]);
  await proxy.setMode("pass");
  return flags;
}

testEverywhere(
  "E3 stdin, stdout and stderr that are pipes stay blocking",
  async ({ artifact, pid1 }) => {
    const { wrap, log } = await makePipes();
    const wanted = await flagsOfSleep(direct, pid1, wrap);
    assert.ok(wanted.every((flags) => (flags & O_NONBLOCK) === 0));
    assert.deepEqual(await flagsOfSleep(artifact, pid1, wrap), wanted);
    log();
    assert.deepEqual(await flagsAfterWaiting(artifact, pid1, wrap, log), wanted);
  },
);

for (const artifact of artifacts.filter(({ command }) => command.length > 1)) {
  test(`E3 pipes that a preloaded module made non-blocking are blocking again (${artifact.name})`, async () => {
    const { wrap, log } = await makePipes();
    const module = join(temporaryFolder("headgate-preload-"), "preload.cjs");
    writeFileSync(module, "setImmediate(() => [process.stdin, process.stdout]);");
    const preloaded = ["env", `NODE_OPTIONS=--require ${module}`];
    const wanted = await flagsOfSleep(direct, false, wrap);
    assert.deepEqual(
      await flagsAfterWaiting(artifact, false, [...wrap, ...preloaded], log),
      wanted,
    );
  });
}

testEverywhere(
  "E3 stdin, stdout and stderr that were non-blocking before stay so",
  async ({ artifact, pid1 }) => {
    const { wrap, log } = await makePipes();
    // Node makes the pipes non-blocking by looking at them, and exec hands them on like that.
    const look = "process.stdin; process.stdout; process.stderr;";
    const become = 'process.execve("/usr/bin/env", ["env", ...process.argv.slice(1)]);';
    const launch = [...wrap, process.execPath, "-e", look + become, "--"];
    const wanted = await flagsOfSleep(direct, pid1, launch);
    assert.ok(wanted.every((flags) => (flags & O_NONBLOCK) !== 0));
    assert.deepEqual(await flagsAfterWaiting(artifact, pid1, launch, log), wanted);
  },
);

testEverywhere(
  "E3 a socket as stdout and stderr, and a file, keep their flags",
  async ({ artifact, pid1 }) => {
    assert.deepEqual(await flagsOfSleep(artifact, pid1, []), await flagsOfSleep(direct, pid1, []));
    const path = join(temporaryFolder("headgate-streams-"), "log");
    const wrap = ["sh", "-c", 'f=$1; shift; exec "$@" <"$f" >>"$f" 2>&1', "sh", path];
    await execa("touch", [path]);
    const wanted = await flagsOfSleep(direct, pid1, wrap);
    const found = await flagsAfterWaiting(artifact, pid1, wrap, () => readFileSync(path, "utf8"));
    assert.deepEqual(found, wanted);
  },
);

testEverywhere("E3 a terminal keeps its flags", async ({ artifact, pid1 }, t) => {
  const probe = await execa("script", ["-qec", "true", "/dev/null"], { reject: false });
  if (!requireOrSkip(t, probe.exitCode === 0, "no script (util-linux)")) return;
  const ask = "for i in 0 1 2; do grep flags: /proc/self/fdinfo/$i; done";
  const quote = (words: string[]) =>
    words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const onTerminal = async (command: string[]) => {
    const place = pid1 ? ["unshare", "-Urpf", "--mount-proc"] : [];
    const typed = quote([...place, ...command, "sh", "-c", ask]);
    await proxy.setMode("refuse");
    const running = execa("script", ["-qec", typed, "/dev/null"], { env, stdin: "ignore" });
    let text = "";
    running.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    if (command.length > 0)
      await eventually("it waits for Postgres", () => text.includes("waiting"));
    await proxy.setMode("pass");
    await running;
    return { flags: text.match(/^flags:.*$/gm), text };
  };
  const wanted = await onTerminal([]);
  const found = await onTerminal([...artifact.command, ...gate, "--"]);
  assert.match(found.text, /headgate: handed over/);
  assert.equal(found.flags?.length, 3);
  assert.deepEqual(found.flags, wanted.flags);
});

testEverywhere(
  "E3 a server that writes much to a slow reader loses nothing",
  async ({ artifact, pid1 }) => {
    const folder = temporaryFolder("headgate-streams-");
    const path = join(folder, "pipe");
    await execa("mkfifo", [path]);
    const reader = openSync(path, O_RDWR | O_NONBLOCK);
    // The log goes where the server's output goes, as in a container.
    const wrap = ["sh", "-c", 'p=$1; shift; exec "$@" >"$p" 2>&1', "sh", path];
    await proxy.setMode("refuse");
    const args = [...gate, "--", "seq", "1", "300000"];
    const running = await startHeadgate(artifact, args, { pid1, env, wrap });
    let text = "";
    const buffer = Buffer.alloc(65_536);
    const read = () => {
      try {
        const length = readSync(reader, buffer);
        text += buffer.toString("latin1", 0, length);
        return length;
      } catch {
        return 0; // empty
      }
    };
    await eventually("it waits for Postgres", () => read() > 0 && text.includes('"waiting"'));
    await proxy.setMode("pass");
    await becomes(running, "seq");
    // Nobody reads: it fills the pipe and has to wait.
    await eventually("seq waits for the reader", () =>
      proc.status(running.pid)["State"]?.startsWith("S"),
    );
    let ended = false;
    const ending = running.result.finally(() => (ended = true));
    for (let over = false; !over;) {
      over = ended;
      while (read() > 0) over = false;
      await setImmediate();
    }
    const { exitCode } = await ending;
    assert.equal(exitCode, 0);
    const numbers = text.split("\n").filter((line) => /^\d+$/.test(line));
    assert.equal(numbers.length, 300_000);
    assert.ok(numbers.every((line, index) => line === String(index + 1)));
  },
);
