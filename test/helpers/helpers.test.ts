import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { execa } from "execa";
import { eventually } from "./eventually.ts";
import { proc, requireOrSkip } from "./headgate.ts";
import { happy, makeMigrations } from "./migrations.ts";
import { type Postgres, createDatabase, dropDatabase, startPostgres } from "./postgres.ts";
import { startProxy } from "./proxy.ts";

let server: Postgres;
before(async () => {
  server = await startPostgres({
    settings: { max_connections: "21" },
    hba: "host all refused 127.0.0.1/32 reject",
  });
});
after(() => server.stop());

test("a server answers by TCP and by unix socket, with the settings and rules it was given", async () => {
  const setting = await server.psql("postgres", "SHOW max_connections");
  assert.deepEqual(setting, [{ max_connections: "21" }]);
  assert.equal((await server.psql("postgres", "SELECT 1; SELECT $$two$$ AS n"))[0]?.["n"], "two");
  assert.equal((await server.psql("postgres", "SELECT $1::int AS n", [3]))[0]?.["n"], 3);
  const bySocket = await server.connect("postgres", { host: server.socketDir });
  await bySocket.end();
  await assert.rejects(server.connect("postgres", { password: "wrong" }), { code: "28P01" });
  await assert.rejects(server.connect("postgres", { user: "refused" }), { code: "28000" });
});

test("a server stops in three ways and starts again with the same data on the same port", async () => {
  const { port } = server;
  const database = await createDatabase(server);
  await server.psql(database, "CREATE TABLE kept ()");
  for (const mode of ["fast", "immediate", "kill"] as const) {
    const client = await server.connect(database);
    // Busy in a loop that looks at nothing, as a backend that outlives its postmaster would be.
    const lost = assert.rejects(client.query("SELECT count(*) FROM generate_series(1, 1e12)"));
    await server.stop(mode);
    await lost;
    assert.equal(server.pid, undefined);
    await assert.rejects(server.connect(database), { code: "ECONNREFUSED" });
    await server.start();
    assert.equal(server.port, port);
  }
  assert.equal((await server.psql(database, "SELECT FROM kept")).length, 0);
  await dropDatabase(server, database);
  await assert.rejects(server.connect(database), { code: "3D000" });
});

test("a server can be started late, on a port that is refused until then", async () => {
  const late = await startPostgres({ start: false });
  await assert.rejects(late.connect("postgres"), { code: "ECONNREFUSED" });
  await late.start();
  await late.psql("postgres", "SELECT 1");
  await late.stop();
});

test("a server that cannot start says why with its log", async () => {
  await assert.rejects(startPostgres({ port: server.port }), /in use[^]*could not bind/);
  await assert.rejects(startPostgres({ settings: { no_such: "1" } }), /parameter "no_such"/);
});

test("as root, the server runs as an ordinary user who owns its data", async (t) => {
  if (!requireOrSkip(t, process.getuid?.() === 0, "not root")) return;
  assert.match(proc.status(server.pid ?? 0)["Uid"] ?? "", /^65534\s/);
  assert.equal(statSync(server.dataDir).uid, 65_534);
});

for (const end of ["return", "throw", "SIGTERM"]) {
  test(`nothing is left of a server whose test process ends by ${end}`, async () => {
    const code = `
      const { startPostgres } = await import(${JSON.stringify(join(import.meta.dirname, "postgres.ts"))});
      const server = await startPostgres();
      process.stdout.write(server.pid + " " + server.dataDir + "\\n");
      if (${JSON.stringify(end)} === "throw") throw new Error("as a failed test would");
      if (${JSON.stringify(end)} === "SIGTERM") { process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1000); }`;
    const result = await execa(process.execPath, ["--input-type=module", "-e", code], {
      reject: false,
    });
    assert.equal(result.exitCode ?? result.signal, { return: 0, throw: 1 }[end] ?? end);
    const [pid = "", dataDir = ""] = result.stdout.split(" ");
    assert.ok(!proc.alive(Number(pid)));
    assert.ok(dataDir !== "" && !existsSync(join(dataDir, "..")));
  });
}

test("a migrations folder holds its files byte for byte", () => {
  const bytes = Buffer.from([0xef, 0xbb, 0xbf, 0x2d, 0x2d, 0xff]);
  const folder = makeMigrations({ ...happy, "4_bytes.sql": bytes });
  assert.deepEqual(readdirSync(folder), [...Object.keys(happy), "4_bytes.sql"]);
  assert.deepEqual(readFileSync(join(folder, "4_bytes.sql")), bytes);
});

test("eventually gives the first real value, and names what it waited for when there is none", async () => {
  let calls = 0;
  assert.equal(await eventually("third call", () => ++calls === 3 && "now"), "now");
  const never = eventually("the moon", () => Promise.reject(new Error("no rope")), 50);
  await assert.rejects(never, /not within 50 ms: the moon; last error: no rope/);
});

test("a proxy counts connections and round trips", async () => {
  const proxy = await startProxy(server.port);
  const client = await server.connect("postgres", { port: proxy.port });
  const earlier = proxy.bursts;
  await client.query("SELECT 1");
  await client.query("SELECT repeat('x', 1000000)");
  assert.equal(proxy.bursts - earlier, 2);
  assert.deepEqual([proxy.connections, proxy.open, proxy.maxOpen], [1, 1, 1]);
  await client.end();
  await eventually("the proxy saw the end", () => proxy.open === 0);
  await proxy.stop();
});

test("a proxy holds answers back, refuses, and cuts connections", async () => {
  const proxy = await startProxy(server.port);
  const through = { port: proxy.port };
  const client = await server.connect("postgres", through);
  await proxy.setMode("blackhole");
  const answer = client.query("SELECT 1 AS n");
  await assert.rejects(
    server.connect("postgres", { ...through, connectionTimeoutMillis: 100 }),
    /timeout/,
  );
  await proxy.setMode("pass");
  assert.deepEqual((await answer).rows, [{ n: 1 }]);

  await proxy.setMode("refuse");
  await assert.rejects(server.connect("postgres", through), { code: "ECONNREFUSED" });
  await client.query("SELECT 1");
  const cut = assert.rejects(client.query("SELECT pg_sleep(60)"), { code: "ECONNRESET" });
  proxy.cutAll();
  await cut;
  await proxy.setMode("pass");
  await (await server.connect("postgres", through)).end();
  await proxy.stop();
});
