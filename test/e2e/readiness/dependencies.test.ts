import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { type Server as HttpServer, createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type Server, createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { type HeadgateResult, runHeadgate } from "../../helpers/headgate.ts";
import { artifacts } from "../../helpers/headgate.ts";
import { freePort } from "../../helpers/port.ts";
import { type Proxy, startProxy } from "../../helpers/proxy.ts";
import { startTogether } from "../../helpers/together.ts";

const server = await useServer({ own: true });
/** In front of the server, to see whether it has been asked. */
let proxy: Proxy;
let folder: string;
before(async () => {
  proxy = await startProxy(server.port);
  folder = temporaryFolder("headgate-wait-for-");
});
after(async () => {
  await proxy.stop();
});

const env = (): Record<string, string> => ({
  DATABASE_URL: server.url("postgres", { port: proxy.port }),
});
const listen = (server: Server | HttpServer, at: number | string): Promise<void> =>
  new Promise((resolve) => server.listen(at, () => resolve()));

/** For each kind of target: what to wait for, how to make it ready, how to take it away again. */
type Kind = { target: string; appear: () => Promise<() => void> };
const kinds: Record<string, () => Promise<Kind>> = {
  "a TCP port": async () => {
    const port = await freePort();
    return {
      target: `tcp:127.0.0.1:${port}`,
      appear: async () => {
        const listener = createServer();
        await listen(listener, port);
        return () => listener.close();
      },
    };
  },
  "an HTTP address": async () => {
    const port = await freePort();
    return {
      target: `http://127.0.0.1:${port}/health`,
      appear: async () => {
        const listener = createHttpServer((_, response) => response.end("ok"));
        await listen(listener, port);
        return () => listener.close();
      },
    };
  },
  "a file": () => {
    const file = join(folder, "flag");
    const appear = async (): Promise<() => void> => {
      writeFileSync(file, "");
      return () => rmSync(file);
    };
    return Promise.resolve({ target: `file:${file}`, appear });
  },
  "a unix socket": () => {
    const path = join(folder, "socket");
    const appear = async (): Promise<() => void> => {
      const listener = createServer();
      await listen(listener, path);
      return () => listener.close();
    };
    return Promise.resolve({ target: `socket:${path}`, appear });
  },
};

for (const [what, make] of Object.entries(kinds)) {
  test(`W5 ${what} is waited for, before the database is asked`, async (t) => {
    const { target, appear } = await make();
    const { connections } = proxy;
    const all = await startTogether(["wait", "--wait-for", target], { env: env() });
    await all.waitForLog(({ phase, msg }) => phase === "wait-for" && msg === "waiting");
    assert.equal(proxy.connections, connections);
    t.after(await appear());
    await all.each((result) => {
      assert.equal(result.exitCode, 0);
      const events = result.lines.map(({ phase, msg }) => `${String(phase)} ${msg}`);
      assert.ok(events.indexOf("wait-for ready") < events.indexOf("wait found Postgres ready"));
    });
  });
}

function isUnready(result: HeadgateResult): void {
  assert.equal(result.exitCode, 69);
  assert.match(String(result.lines.at(-1)?.["fix"]), /--wait-for-timeout/);
}

test("W5 a dependency has its own deadline, with exit code 69", async () => {
  const port = await freePort();
  const targets = ["--wait-for", `tcp:127.0.0.1:${port}`, "--wait-for", `file:${folder}/never`];
  const limits = ["--wait-for-timeout", "1s", "--wait-timeout", "0"];
  const all = await startTogether(["wait", ...targets, ...limits], { env: env() });
  await all.each((result) => {
    isUnready(result);
    assert.ok(result.durationMs >= 1000 && result.durationMs < 10_000, `${result.durationMs} ms`);
  });
});

test("W5 an HTTP server that answers with an error is not ready", async (t) => {
  const listener = createHttpServer((_, response) => response.writeHead(503).end());
  const port = await freePort();
  await listen(listener, port);
  t.after(() => listener.close());
  const args = ["wait", "--wait-for", `http://127.0.0.1:${port}/`, "--wait-for-timeout", "1s"];
  await (await startTogether(args, { env: env() })).each(isUnready);
});

test("W5 an HTTPS server whose certificate nobody vouches for is not ready", async (t) => {
  const key = join(folder, "key.pem");
  const cert = join(folder, "cert.pem");
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
  ]);
  assert.equal(made.status, 0, String(made.stderr));
  const pem = { key: readFileSync(key), cert: readFileSync(cert) };
  const listener = createHttpsServer(pem, (_, response) => response.end("ok"));
  const port = await freePort();
  await listen(listener, port);
  t.after(() => listener.close());
  const args = ["wait", "--wait-for", `https://localhost:${port}/`, "--wait-for-timeout", "1500ms"];
  await (await startTogether(args, { env: env() })).each(isUnready);
  // With the runtime's own variable for it, the same server is trusted.
  const trusting = { ...env(), NODE_EXTRA_CA_CERTS: cert };
  await (
    await startTogether(args, { env: trusting })
  ).each(({ exitCode }) => assert.equal(exitCode, 0));
});

for (const artifact of artifacts) {
  testOn(artifact, "W5 a target that is none, or would run a command, is refused", async () => {
    const flag = join(folder, `ran-${artifact.name.slice(0, 3)}`);
    const targets = [
      `command:touch ${flag}`,
      "tcp:redis",
      "redis:6379",
      "ftp://host/",
      "http-get://",
    ];
    for (const target of targets) {
      for (const source of [["--wait-for", target], []]) {
        const variable = source.length === 0 ? { HEADGATE_WAIT_FOR: target } : {};
        const args = ["wait", ...source];
        const result = await runHeadgate(artifact, args, { env: { ...env(), ...variable } });
        assert.equal(result.exitCode, 64, target);
        assert.match(JSON.stringify(result.lines.at(-1)), /is not tcp:host:port/);
      }
    }
    assert.throws(() => readFileSync(flag), { code: "ENOENT" });
  });
}
