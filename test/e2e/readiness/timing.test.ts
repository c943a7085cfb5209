import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type Socket, createServer } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { backoff } from "../../../src/readiness/backoff.ts";
import { eventually } from "../../helpers/eventually.ts";
import { useServer } from "../../helpers/use-server.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { type HeadgateResult, artifacts, startHeadgate } from "../../helpers/headgate.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { type Proxy, startProxy } from "../../helpers/proxy.ts";
import { startTogether, waitingStates } from "../../helpers/together.ts";

const server = await useServer({ own: true });
let proxy: Proxy;
before(async () => {
  proxy = await startProxy(server.port);
});
after(async () => {
  await proxy.stop();
});

beforeEach(() => proxy.setMode("pass"));

/** The longest pause between two attempts. */
const INTERVAL_MS = 2000;

test("W2 a server that accepts and never answers is left after --connect-timeout", async () => {
  await proxy.setMode("blackhole");
  const { connections } = proxy;
  const env = { DATABASE_URL: server.url("postgres", { port: proxy.port }) };
  const all = await startTogether(["wait", "--connect-timeout", "200ms"], { env });
  await all.waitForLog(({ state }) => state === "no answer");
  await eventually("each tried again", () => proxy.connections >= connections + 12);
  await proxy.setMode("pass");
  await all.each((result) => {
    assert.equal(result.exitCode, 0);
    assert.deepEqual(waitingStates(result), ["no answer"]);
    assert.match(JSON.stringify(result.lines), /no answer within 200 ms/);
  });
});

for (const [name, env] of [
  ["PGCONNECT_TIMEOUT", () => ({ PGCONNECT_TIMEOUT: "1", DATABASE_URL: throughProxy() })],
  ["connect_timeout in the URL", () => ({ DATABASE_URL: `${throughProxy()}?connect_timeout=1` })],
] as const) {
  test(`W2 ${name} counts, and --connect-timeout beats it`, async () => {
    await proxy.setMode("blackhole");
    for (const [args, expected] of [
      [[], 1000],
      [["--connect-timeout", "300ms"], 300],
    ] as const) {
      const all = await startTogether(["wait", ...args], { env: env() });
      await all.waitForLog((line) => String(line["error"]) === `no answer within ${expected} ms`);
      await proxy.setMode("pass");
      await all.each((result) => assert.equal(result.exitCode, 0));
      await proxy.setMode("blackhole");
    }
    await proxy.setMode("pass");
  });
}

test("W2 a server that is frozen in the middle of its work is left after --connect-timeout", async () => {
  const pid = server.pid ?? 0;
  process.kill(pid, "SIGSTOP");
  try {
    const env = { DATABASE_URL: server.url("postgres") };
    const all = await startTogether(["wait", "--connect-timeout", "200ms"], { env });
    await all.waitForLog(({ state }) => state === "no answer");
    process.kill(pid, "SIGCONT");
    await all.each((result) => assert.equal(result.exitCode, 0));
  } finally {
    process.kill(pid, "SIGCONT");
  }
});

for (const [what, url] of [
  ["that is refused", async () => server.url("postgres", { port: await freePort() })],
  ["that never answers", () => throughProxy()],
  ["behind any of three hosts that never answer", () => hosts(3)],
] as const) {
  test(`W4 the time-out is exact to one interval for a server ${what}`, async () => {
    await proxy.setMode("blackhole");
    const args = ["wait", "--wait-timeout", "1500ms"];
    const all = await startTogether(args, { env: { DATABASE_URL: await url() } });
    await all.each((result) => {
      assert.equal(result.exitCode, 69);
      const ms = waited(result);
      assert.ok(ms >= 1500 && ms <= 1500 + INTERVAL_MS, `it took ${ms} ms`);
    });
    await proxy.setMode("pass");
  });
}

test("W4 an attempt that the time-out cuts short does not hide what the server said before", async () => {
  const database = await createDatabase(server);
  await server.psql(
    "postgres",
    `ALTER DATABASE ${database} SET default_transaction_read_only = on`,
  );
  const env = { DATABASE_URL: server.url(database, { port: proxy.port }) };
  const all = await startTogether(["wait", "--wait-timeout", "4s"], { env });
  await all.waitForLog(({ state }) => state === "read-only");
  await proxy.setMode("blackhole");
  await all.each((result) => {
    assert.equal(result.exitCode, 69);
    assert.equal(result.lines.at(-1)?.["state"], "read-only");
  });
  await proxy.setMode("pass");
});

test("W4 pauses grow and are spread over the whole interval, up to two seconds and never past the deadline", async (t) => {
  const asked: number[] = [];
  t.mock.method(globalThis, "setTimeout", (wake: () => void, ms: number) => {
    asked.push(Math.round(ms));
    queueMicrotask(wake);
  });
  let dice = 1;
  t.mock.method(Math, "random", () => dice);
  const { signal } = new AbortController();
  const pauses = backoff(100, INTERVAL_MS);
  for (let i = 0; i < 9; i++) await pauses.pause(60_000, signal);
  assert.deepEqual(asked.splice(0), [100, 150, 225, 338, 506, 759, 1139, 1709, 2000]);
  for (dice of [0, 0.25, 0.5]) await pauses.pause(60_000, signal);
  assert.deepEqual(asked.splice(0), [0, 500, 1000]);
  dice = 1;
  await pauses.pause(70, signal);
  assert.deepEqual(asked, [70]);
});

for (const artifact of artifacts) {
  testOn(artifact, "W4 a headgate never has two connections open at a time", async (t) => {
    const open: number[] = [];
    const manners = [
      (socket: Socket) => socket.destroy(),
      // Never answers.
      (socket: Socket) => socket.resume(),
      // Promises TLS and breaks the promise, upon which plain text is tried.
      (socket: Socket) =>
        socket.once("data", () => {
          socket.write("S");
          socket.once("data", () => socket.end("no TLS after all"));
        }),
    ];
    const listener = createServer((socket) => {
      open.push(established(port));
      socket.on("error", () => {});
      manners[open.length % manners.length]?.(socket);
    });
    const port = await freePort();
    await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve));
    const sockets = new Set<Socket>();
    listener.on("connection", (socket: Socket) => sockets.add(socket));
    t.after(() => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    });
    const DATABASE_URL = `postgres://app:secret@127.0.0.1:${port},localhost:${port}/app`;
    const args = ["wait", "--connect-timeout", "50ms"];
    const running = await startHeadgate(artifact, args, { env: { DATABASE_URL } });
    await eventually("many connections were made", () => open.length >= 15);
    running.signal("SIGKILL");
    await running.result;
    assert.equal(Math.max(...open), 1);
  });
}

/** How many connections to a port of this machine are open now; one that a side has closed is not. */
function established(port: number): number {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(wanted) && state === "01").length;
}

const throughProxy = (): string => server.url("postgres", { port: proxy.port });

/** The same server under several names. */
function hosts(count: number): string {
  const list = Array.from({ length: count }, () => `127.0.0.1:${proxy.port}`).join(",");
  return `postgres://postgres:secret@${list}/postgres`;
}

function waited(result: HeadgateResult): number {
  const message = String(result.lines.at(-1)?.msg);
  return Number(/not ready within (\d+) ms/.exec(message)?.[1]);
}
