import assert from "node:assert/strict";
import { constants } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { execa } from "execa";
import { eventually } from "./eventually.ts";
import {
  type Artifact,
  canUnshare,
  proc,
  requireOrSkip,
  runHeadgate,
  startHeadgate,
} from "./headgate.ts";

/** A program in place of headgate: one that runs the JavaScript given as its argument. */
const script: Artifact = { name: "script", command: [process.execPath, "-e"] };
const FOR_EVER = "setInterval(() => {}, 1000);";
const LOG_PID = "console.error(JSON.stringify({ msg: 'process began', pid: process.pid }));";
const TERM_ENDS = "process.on('SIGTERM', () => process.exit(9));";

test("a program is run with its input, its exit code and none of our environment", async () => {
  process.env["HEADGATE_LEAK"] = "1";
  const code = `process.stdin.pipe(process.stdout); console.error("text"); process.exitCode = 7;
    console.error(JSON.stringify({ msg: "ended", env: Object.keys(process.env).sort() }))`;
  const result = await runHeadgate(script, [code], { input: "a\nb", env: { PGPORT: "1" } });
  assert.equal(result.exitCode, 7);
  assert.equal(result.stdout, "a\nb");
  const env = ["HOME", "PATH", "PGPORT"];
  assert.deepEqual(result.lines, [{ raw: "text" }, { msg: "ended", env }]);
});

test("a program without input reads an empty stdin", async () => {
  const result = await runHeadgate(script, ["process.stdin.pipe(process.stdout)"]);
  assert.deepEqual([result.exitCode, result.stdout], [0, ""]);
});

test("a program that does not exist, or does not end, is an error", async () => {
  const missing = { name: "missing", command: ["/no/such/program"] };
  await assert.rejects(runHeadgate(missing, []), { code: "ENOENT" });
  await assert.rejects(
    runHeadgate(script, [LOG_PID + FOR_EVER], { timeoutMs: 500 }),
    /time limit[^]*process began/,
  );
});

for (const pid1 of [false, true]) {
  const place = pid1 ? "as PID 1" : "as an ordinary process";

  test(`${place}, exit code and death by signal come through`, async (t) => {
    if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
    const options = { pid1, wrap: ["sh", "-c", 'umask 027; exec "$@"', "sh"] };
    const coded = await runHeadgate(script, [`${LOG_PID} process.exit(75)`], options);
    assert.equal(coded.exitCode, 75);
    assert.equal(coded.lines[0]?.["pid"] === 1, pid1);

    const running = await startHeadgate(script, [LOG_PID + FOR_EVER], options);
    await running.waitForLog("process began");
    assert.equal(proc.status(running.pid)["Umask"], "0027");
    running.signal("SIGKILL");
    assert.equal((await running.result).signal, "SIGKILL");
  });

  test(`${place}, a running program is seen from outside and takes signals`, async (t) => {
    if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
    const code = TERM_ENDS + LOG_PID + FOR_EVER;
    const running = await startHeadgate(script, [code], { pid1, env: { A: "b" } });
    const line = await running.waitForLog(({ msg }) => msg === "process began");
    assert.equal(line["pid"], pid1 ? 1 : running.pid);
    await running.waitForStderr(/"pid":(\d+)/);
    assert.deepEqual(proc.commandLine(running.pid), [...script.command, code]);
    assert.ok(proc.environment(running.pid).includes("A=b\0"));
    assert.equal(proc.parent(running.pid), pid1 ? running.child.pid : process.pid);
    running.signal("SIGTERM");
    assert.equal((await running.result).exitCode, 9);
    assert.ok(!proc.alive(running.pid));
  });

  test(`${place}, a program does not outlive the test process that started it`, async (t) => {
    if (pid1 && !requireOrSkip(t, canUnshare(), "no pid namespaces")) return;
    const helper = JSON.stringify(join(import.meta.dirname, "headgate.ts"));
    const code = `
      const { startHeadgate } = await import(${helper});
      const script = ${JSON.stringify(script)};
      const running = await startHeadgate(script, [${JSON.stringify(LOG_PID + FOR_EVER)}], { pid1: ${pid1} });
      await running.waitForLog("process began");
      console.log(running.pid);
      process.exit(0);`;
    const { stdout } = await execa(process.execPath, ["--input-type=module", "-e", code]);
    await eventually("the program is gone", () => !proc.alive(Number(stdout)));
  });
}

test("waiting for a log line ends at once when the program has ended", async () => {
  const running = await startHeadgate(script, ["console.error('boom'); process.exit(3)"]);
  await assert.rejects(running.waitForLog("never"), /ended before: log line never\nexit 3[^]*boom/);
});

test("waiting for a log line ends at its deadline", async () => {
  const running = await startHeadgate(script, [LOG_PID + FOR_EVER]);
  await running.waitForStderr(/began/);
  await assert.rejects(running.waitForLog("never", 50), /not within 50 ms[^]*process began/);
  running.signal("SIGKILL");
  await running.result;
});

test("a process's signals, descriptors and limits can be read", async () => {
  const wrap = ["sh", "-c", 'trap "" HUP; ulimit -Sn 200; exec 7</dev/null; exec "$@"', "sh"];
  const running = await startHeadgate({ name: "sleep", command: ["sleep", "60"] }, [], { wrap });
  await eventually("sh has become sleep", () => proc.status(running.pid)["Name"] === "sleep");
  assert.equal(
    (proc.signalSet(running.pid, "SigIgn") >> BigInt(os.constants.signals.SIGHUP - 1)) & 1n,
    1n,
  );
  assert.equal(proc.signalSet(running.pid, "SigCgt"), 0n);
  assert.equal(proc.limits(running.pid)["Max open files"]?.soft, "200");
  assert.equal(proc.openDescriptors(running.pid).get(7), "/dev/null");
  assert.equal(proc.descriptorFlags(running.pid, 7) & 0o3, constants.O_RDONLY);
  running.signal("SIGTERM");
  assert.equal((await running.result).signal, "SIGTERM");
});
