import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { constants, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { setImmediate, setTimeout } from "node:timers/promises";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { eventually } from "../../helpers/eventually.ts";
import { testEverywhere } from "../../helpers/everywhere.ts";
import { artifacts, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });
let env: { DATABASE_URL: string };
before(async () => {
  env = { DATABASE_URL: server.url(await createDatabase(server)) };
});

const gate = ["--migrations", makeMigrations(), "--"];
const pageSize = Number(execFileSync("getconf", ["PAGESIZE"]));

/** A named pipe that takes only so many bytes more until it is read; `read` gives all there is. */
function makeFullPipe(room: number) {
  const path = join(temporaryFolder("headgate-full-"), "pipe");
  execFileSync("mkfifo", [path]);
  const descriptor = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  // It holds 16 pages, and a write that does not fit into the rest of the last page needs another.
  for (let page = 1; page < 16; page++) writeSync(descriptor, Buffer.alloc(pageSize, "x"));
  writeSync(descriptor, Buffer.alloc(pageSize - room, "x"));
  const buffer = Buffer.alloc(pageSize);
  const read = () => {
    let text = "";
    try {
      for (;;) text += buffer.toString("utf8", 0, readSync(descriptor, buffer));
    } catch {
      return text; // empty
    }
  };
  return { path, read };
}

testEverywhere(
  "S3 TERM, INT, HUP and QUIT between the last await and exec are not lost, and end headgate in under 3 s",
  async ({ artifact, pid1 }) => {
    const command = [...gate, "echo", "served"];
    await runHeadgate(artifact, command, { pid1, env });
    const { stderr } = await runHeadgate(artifact, command, { pid1, env });
    const lines = stderr.trimEnd().split("\n");
    const lastLine = lines.at(-1) ?? "";
    assert.match(lastLine, /"handed over"/);
    // All lines but the last fit, so headgate stands still in the write of the last one; there a signal is caught,
    // but cannot be told to the program.
    const room = stderr.length - lastLine.length / 2;
    for (const [signal, exitCode] of [
      ["SIGTERM", 143],
      ["SIGINT", 130],
      ["SIGHUP", 129],
      ["SIGQUIT", 131],
    ] as const) {
      const { path, read } = makeFullPipe(Math.round(room));
      const wrap = ["sh", "-c", 'p=$1; shift; exec "$@" 2>"$p"', "sh", path];
      const running = await startHeadgate(artifact, command, { pid1, env, wrap });
      const place = `/proc/${running.pid}/wchan`;
      await eventually("it waits for the log's reader", () =>
        readFileSync(place, "utf8").includes("pipe"),
      );
      const started = performance.now();
      running.signal(signal);

      let log = read();
      const ending = running.result.then(() => "ended");
      while ((await Promise.race([ending, setImmediate("runs")])) === "runs") log += read();
      const result = await running.result;
      log = (log + read()).replace(/^x+/, "");
      assert.ok(performance.now() - started < 3000);
      assert.equal(result.exitCode, exitCode, log);
      assert.equal(result.stdout, "");
      const events = [...log.matchAll(/"msg":"([^"]+)"/g)].map(([, event]) => event);
      assert.deepEqual(events.slice(-2), ["handed over", "stopped"]);
    }
  },
);

for (const artifact of artifacts) {
  test(`S3 TERM at any moment around the exec ends headgate or the server, never neither (${artifact.name})`, async () => {
    const command = [...gate, "sleep", "60"];
    await runHeadgate(artifact, [...gate, "true"], { env });
    for (let run = 0; run < 60; run++) {
      const running = await startHeadgate(artifact, command, { env });
      await new Promise<void>((resolve) => {
        running.child.stderr.on("data", (chunk: Buffer) => {
          if (chunk.includes('"handed over"')) resolve();
        });
      });
      // From at once to 3 ms later, which is after the exec.
      const until = performance.now() + run / 20;
      while (performance.now() < until);
      running.signal("SIGTERM");
      const unaware = setTimeout(5000, "unaware", { ref: false });
      const outcome = await Promise.race([running.result, unaware]);
      running.child.kill("SIGKILL");
      assert.notEqual(outcome, "unaware", `run ${run}`);
      const { exitCode, signal } = await running.result;
      assert.ok(exitCode === 143 || signal === "SIGTERM", `run ${run}: ${exitCode ?? signal}`);
    }
  });
}
