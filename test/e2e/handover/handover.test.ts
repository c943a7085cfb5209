import assert from "node:assert/strict";
import { mkdirSync, readlinkSync, symlinkSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { before } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { becomes, testEverywhere } from "../../helpers/everywhere.ts";
import { proc, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { happy, type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });
let env: { DATABASE_URL: string };
before(async () => {
  env = { DATABASE_URL: server.url(await createDatabase(server)) };
});

const migrations = makeMigrations();
const gate = ["--migrations", migrations, "--"];

testEverywhere(
  "E1 the server has headgate's pid, parent, working directory, umask and niceness, and its arguments as typed",
  async ({ artifact, pid1 }) => {
    const folder = temporaryFolder("headgate-server-");
    mkdirSync(join(folder, "bin"));
    mkdirSync(join(folder, "work"));
    // A name of our own, to see argv[0] kept as it was typed though the file was found through PATH.
    symlinkSync(process.execPath, join(folder, "bin/serve"));
    const script = "setInterval(() => {}, 1000)";
    const typed = ["serve", "-e", script, "", "a b", "two\nlines", "--", "-x", "é☃", " "];
    const running = await startHeadgate(artifact, [...gate, ...typed], {
      pid1,
      cwd: join(folder, "work"),
      wrap: ["sh", "-c", 'umask 027; exec nice -n 5 "$@"', "sh"],
      env: { ...env, PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}` },
    });
    const { pid } = running;
    const parent = proc.parent(pid);
    await running.waitForLog("configured");
    await becomes(running, "serve");

    assert.deepEqual(proc.commandLine(pid), typed);
    assert.equal(readlinkSync(`/proc/${pid}/exe`), process.execPath);
    assert.equal(proc.parent(pid), parent);
    assert.equal(parent, pid1 ? running.child.pid : process.pid);
    assert.equal(proc.status(pid)["NSpid"]?.split("\t").at(-1), pid1 ? "1" : String(pid));
    assert.equal(readlinkSync(`/proc/${pid}/cwd`), join(folder, "work"));
    assert.equal(proc.status(pid)["Umask"], "0027");
    assert.equal(os.getPriority(pid), 5);
    running.signal("SIGKILL");
    await running.result;
  },
);

testEverywhere("E8 the server reads its stdin from the first byte", async ({ artifact, pid1 }) => {
  const input = `x${"0123456789\n".repeat(50_000)}`;
  const result = await runHeadgate(artifact, [...gate, "cat"], { pid1, env, input });
  assert.equal(result.exitCode, 0);
  assert.equal(result.stdout, input);
});

testEverywhere(
  "E9 every log line written before the hand-over arrives, and none after it",
  async ({ artifact, pid1 }) => {
    const database = await createDatabase(server);
    // More than a pipe holds; a file may say twenty things before the rest is left out.
    const count = 3000;
    const each = 20;
    const loud = (from: number): string =>
      `DO $$ BEGIN FOR i IN ${from}..${from + each - 1} LOOP RAISE WARNING 'line %', i; END LOOP; END $$`;
    const files = Array.from({ length: count / each }, (_, index) => [
      `${index + 4}_loud-${index}.sql`,
      loud(index * each + 1),
    ]);
    const folder = makeMigrations({ ...happy, ...(Object.fromEntries(files) as MigrationFiles) });
    // The server writes where the log went.
    const result = await runHeadgate(
      artifact,
      ["--migrations", folder, "--", "sh", "-c", "echo server >&2"],
      { pid1, env: { DATABASE_URL: server.url(database) } },
    );
    assert.equal(result.exitCode, 0);
    const events = result.lines.map((line) => line.msg ?? line.raw);
    assert.equal(events[0], "configured");
    assert.deepEqual(events.slice(-3), ["migrated", "handed over", "server"]);
    const warnings = result.lines.filter(({ msg }) => msg === "warned by the server");
    const wanted = Array.from({ length: count }, (_, index) => `line ${index + 1}`);
    assert.deepEqual(
      warnings.map((line) => line["message"]),
      wanted,
    );
  },
);

testEverywhere(
  "E10 the server's exit code and its death by a signal are the container's",
  async ({ artifact, pid1 }) => {
    const coded = await runHeadgate(artifact, [...gate, "sh", "-c", "exit 7"], { pid1, env });
    assert.equal(coded.exitCode, 7);
    if (!pid1) {
      // As PID 1 a process cannot kill itself.
      const killed = await runHeadgate(artifact, [...gate, "sh", "-c", "kill -USR1 $$"], { env });
      assert.equal(killed.signal, "SIGUSR1");
    }
    const running = await startHeadgate(artifact, [...gate, "sleep", "60"], { pid1, env });
    await becomes(running, "sleep");
    running.signal("SIGKILL");
    assert.equal((await running.result).signal, "SIGKILL");
  },
);

testEverywhere(
  "E10 nothing of headgate is resident: the server is the only process there is",
  async ({ artifact, pid1 }) => {
    const running = await startHeadgate(artifact, [...gate, "sleep", "60"], { pid1, env });
    await becomes(running, "sleep");
    assert.deepEqual(proc.children(running.pid), []);
    assert.equal(proc.status(running.pid)["Threads"], "1");
    assert.notEqual(readlinkSync(`/proc/${running.pid}/exe`), artifact.command[0]);
    if (pid1) assert.deepEqual(proc.children(proc.parent(running.pid)), [running.pid]);
    running.signal("SIGKILL");
    await running.result;
  },
);
