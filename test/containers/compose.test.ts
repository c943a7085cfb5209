/** The compose file of the repository, unchanged, on whatever Docker engine `docker` talks to. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { execa } from "execa";
import { eventually } from "../helpers/eventually.ts";

const root = new URL("../..", import.meta.url).pathname;
const project = `headgate-test-${process.pid}`;

const compose = (...args: string[]): ReturnType<typeof execa> =>
  execa("docker", ["compose", "--project-name", project, ...args], { cwd: root, all: true });

before(async () => {
  await compose("up", "--build", "--detach", "--wait", "--scale", "api=5");
});

after(async () => {
  await compose("down", "--volumes", "--timeout", "3");
});

async function call(index: number, path: string, init?: RequestInit): Promise<unknown> {
  const { stdout } = await compose("port", "--index", String(index), "api", "3000");
  const port = String(stdout).trim().split(":").at(-1);
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return response.json();
}

test("five replicas and their database come up together, and each serves the migrated schema", async () => {
  for (let index = 1; index <= 5; index++) {
    assert.deepEqual(await call(index, "/health"), { status: "ok", migrations: 3 });
  }
  await call(1, "/notes", { method: "POST", body: JSON.stringify({ text: "from one" }) });
  const notes = (await call(2, "/notes")) as { text: string }[];
  assert.deepEqual(
    notes.map(({ text }) => text),
    ["from one"],
  );
});

test("one replica applied each migration, and no other did", async () => {
  const { stdout } = await compose("logs", "--no-log-prefix", "api");
  const applied = String(stdout)
    .split("\n")
    // Compose puts a control sequence before a line, terminal or not.
    .map((line) => line.slice(line.indexOf("{")))
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { msg: string; migration?: string })
    .filter(({ msg }) => msg === "applied")
    .map(({ migration }) => migration);
  assert.deepEqual(
    applied.toSorted((a = "", b = "") => a.localeCompare(b)),
    ["1_create-notes.sql", "2_add-note-author.sql", "3_index-notes.sql"],
  );
});

test("the server is process 1 of its container, as an ordinary user, and a stop ends it at once", async () => {
  const { stdout } = await compose("exec", "--index", "1", "api", "cat", "/proc/1/cmdline");
  assert.equal(stdout, "node\0api.mjs\0");
  const user = await compose("exec", "--index", "1", "api", "id", "-u");
  assert.equal(user.stdout, "1000");

  const id = (
    await compose("ps", "--quiet", "--index", "3", "api").catch(() =>
      compose("ps", "--quiet", "api"),
    )
  ).stdout;
  const container = String(id).split("\n").at(-1) ?? "";
  await execa("docker", ["stop", "--time", "30", container]);
  const state = await eventually("the stopped container's exit code", async () => {
    const { stdout: code } = await execa("docker", [
      "inspect",
      "--format",
      "{{.State.ExitCode}}",
      container,
    ]);
    return code;
  });
  assert.equal(state, "0"); // SIGTERM reached the server, which closed itself; a kill would be 137
});

test("`docker run IMAGE status` shows the state without starting a server", async () => {
  const { stdout } = await compose("run", "--rm", "--no-deps", "api", "status", "--json");
  assert.equal((JSON.parse(String(stdout)) as { upToDate: boolean }).upToDate, true);
});
