import assert from "node:assert/strict";
import { before, test } from "node:test";
import { eventually } from "../../helpers/eventually.ts";
import { useServer } from "../../helpers/use-server.ts";
import { becomes, direct, testEverywhere } from "../../helpers/everywhere.ts";
import {
  type Artifact,
  artifacts,
  canUnshare,
  proc,
  requireOrSkip,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });
let env: { DATABASE_URL: string };
before(async () => {
  env = { DATABASE_URL: server.url(await createDatabase(server)) };
});

const migrations = makeMigrations();
const gate = ["--migrations", migrations];
const sleep = ["sleep", "60"];

/** Starts `sleep` behind headgate, or directly, and gives what `look` sees of it. */
async function lookAtSleep<T>(
  artifact: Artifact,
  args: string[],
  options: { pid1: boolean; wrap?: string[] },
  look: (pid: number) => T,
): Promise<T> {
  const before = artifact === direct ? [] : [...gate, ...args, "--"];
  const running = await startHeadgate(artifact, [...before, ...sleep], { env, ...options });
  await becomes(running, "sleep");
  // Until then its loader may have a library open.
  await eventually("it sleeps", () => proc.status(running.pid)["State"]?.startsWith("S"));
  const seen = look(running.pid);
  running.signal("SIGKILL");
  await running.result;
  return seen;
}

const signalSets = (pid: number) =>
  (["SigIgn", "SigBlk", "SigCgt"] as const).map((field) => proc.signalSet(pid, field));

testEverywhere(
  "E2 the server starts with default signal dispositions and an empty signal mask",
  async ({ artifact, pid1 }) => {
    assert.deepEqual(await lookAtSleep(direct, [], { pid1 }, signalSets), [0n, 0n, 0n]);
    assert.deepEqual(await lookAtSleep(artifact, [], { pid1 }, signalSets), [0n, 0n, 0n]);
  },
);

testEverywhere(
  "E2 signals that headgate found blocked, or SIGPIPE ignored, are as by default for the server",
  async ({ artifact, pid1 }, t) => {
    const wrap = ["env", "--block-signal=TERM,USR1", "--ignore-signal=PIPE"];
    const probe = await runHeadgate({ name: "env", command: wrap }, ["true"]);
    if (!requireOrSkip(t, probe.exitCode === 0, "this env cannot block signals")) return;
    assert.deepEqual(await lookAtSleep(artifact, [], { pid1, wrap }, signalSets), [0n, 0n, 0n]);
  },
);

const listDescriptors = (pid: number) => [...proc.openDescriptors(pid).keys()].toSorted(numeric);
const numeric = (a: number, b: number) => a - b;

testEverywhere(
  "E4 no file descriptor, child process or zombie of headgate is left to the server",
  async ({ artifact, pid1 }) => {
    const file = `file:${process.execPath}`;
    // With everything that opens files or starts processes on the way.
    const args = ["--wait-for", file, "--nofile", "300"];
    const look = (pid: number) => [listDescriptors(pid), proc.children(pid)];
    const inherited = await lookAtSleep(direct, [], { pid1 }, listDescriptors);
    // What the test's own launcher leaks at high numbers is subject of the next test.
    assert.deepEqual(await lookAtSleep(artifact, args, { pid1 }, look), [
      inherited.filter((descriptor) => descriptor < 3 || keepsHigh(artifact)),
      [],
    ]);
  },
);

/** Node closes at exec what it inherited up to the first gap above 15; Bun closes all from 3 on. */
const keepsHigh = ({ command }: Artifact) => command.length > 1;

testEverywhere(
  "E4 of inherited descriptors from 3 on, the standalone hands over none and Node those beyond a gap above 15",
  async ({ artifact, pid1 }) => {
    const open = 'exec 3</dev/null 7</dev/null 99</dev/null; exec "$@"';
    // A shell that takes no descriptor above 9 is dash.
    const wrap = ["bash", "-c", open, "bash"];
    const given = await lookAtSleep(direct, [], { pid1, wrap }, listDescriptors);
    assert.deepEqual(
      given.filter((descriptor) => descriptor < 100),
      [0, 1, 2, 3, 7, 99],
    );
    const left = await lookAtSleep(artifact, [], { pid1, wrap }, listDescriptors);
    assert.deepEqual(
      left.filter((descriptor) => descriptor < 100),
      keepsHigh(artifact) ? [0, 1, 2, 99] : [0, 1, 2],
    );
  },
);

const askLimits = ["--", "sh", "-c", "ulimit -Sn; ulimit -Hn"];
const hardLimit = proc.limits(process.pid)["Max open files"]?.hard ?? "";

for (const artifact of artifacts) {
  test(`E5 the server has the soft limit of open files that headgate was started with, read from its parent (${artifact.name})`, async () => {
    // Not exec: the shell has to live on as the parent.
    const wrap = ["sh", "-c", 'ulimit -Sn 256; "$@"; exit $?', "sh"];
    const result = await runHeadgate(artifact, [...gate, ...askLimits], { env, wrap });
    assert.equal(result.stdout, `256\n${hardLimit}\n`);
    const control = await runHeadgate(direct, askLimits.slice(1), { wrap });
    assert.equal(control.stdout, result.stdout);
  });
}

testEverywhere(
  "E5 --nofile sets the server's soft limit of open files and leaves the hard one",
  async ({ artifact, pid1 }) => {
    const args = [...gate, "--nofile", "300", ...askLimits];
    const result = await runHeadgate(artifact, args, { pid1, env });
    assert.equal(result.stdout, `300\n${hardLimit}\n`);
  },
);

for (const artifact of artifacts) {
  test(`E5 where the limit cannot be known, as PID 1, the server has the hard one (${artifact.name})`, async (t) => {
    if (!requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
    const wrap = ["sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh"];
    const options = { pid1: true, env, wrap };
    const result = await runHeadgate(artifact, [...gate, ...askLimits], options);
    assert.equal(result.stdout, `${hardLimit}\n${hardLimit}\n`);
  });
}

for (const artifact of artifacts) {
  test(`E5 --nofile that cannot be set is refused before the database is touched (${artifact.name})`, async () => {
    const unused = {
      DATABASE_URL: `postgres://u:p@127.0.0.1:${await freePort()}/d`,
    };
    const tooMany = [...gate, "--nofile", "2000000000", ...askLimits];
    const refused = await runHeadgate(artifact, tooMany, { env: unused });
    assert.equal(refused.exitCode, 64);
    assert.match(String(refused.lines.at(-1)?.msg), /--nofile 2000000000 is above the hard limit/);
    assert.ok(!refused.lines.some((line) => line["phase"] === "wait"));

    if (artifact.command.length === 1) return;
    // Node needs a program for it, which a slim image may lack.
    const args = [...gate, "--nofile", "300", "--", "/bin/sh", "-c", "true"];
    const lacking = await runHeadgate(artifact, args, { env: { ...unused, PATH: "/nowhere" } });
    assert.equal(lacking.exitCode, 64);
    assert.match(String(lacking.lines.at(-1)?.msg), /prlimit/);
    assert.ok(!lacking.lines.some((line) => line["phase"] === "wait"));
  });
}
