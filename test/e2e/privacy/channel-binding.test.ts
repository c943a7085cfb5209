import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type Socket, createConnection, createServer } from "node:net";
import { type TestContext, after, before } from "node:test";
import { TLSSocket, connect as connectTls } from "node:tls";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { freePort } from "../../helpers/port.ts";
import { type Postgres, startPostgres } from "../../helpers/postgres.ts";
import { type Certificates, makeCertificates, startTlsPostgres } from "../../helpers/tls.ts";

let pems: Certificates;
let secure: Postgres;
let plain: Postgres;
const PASSWORD = "battery-staple";

before(async () => {
  pems = makeCertificates();
  secure = await startTlsPostgres(pems, { hba: "hostssl all trusted 127.0.0.1/32 trust" });
  plain = await startPostgres();
  for (const server of [secure, plain]) {
    await server.psql("postgres", `CREATE ROLE app LOGIN PASSWORD '${PASSWORD}'`);
  }
  await secure.psql("postgres", "CREATE ROLE trusted LOGIN");
});
after(async () => {
  await secure.stop();
  await plain.stop();
});

/** Somebody in the middle, with a certificate as good as the server's as far as sslmode=require can tell. */
type Middle = { port: number; heard: () => string };

async function listen(t: TestContext, onTls: (client: TLSSocket) => void): Promise<Middle> {
  const port = await freePort();
  const heard: Buffer[] = [];
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    // The TLS request.
    socket.once("data", () => {
      socket.write("S");
      const key = readFileSync(pems.ca.replace(".crt", ".key"));
      const client = new TLSSocket(socket, { isServer: true, key, cert: readFileSync(pems.ca) });
      client.on("error", () => {});
      client.on("data", (bytes: Buffer) => heard.push(bytes));
      onTls(client);
    });
  });
  await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve));
  t.after(() => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port, heard: () => Buffer.concat(heard).toString("latin1") };
}

/** Asks for the password in the clear (AuthenticationCleartextPassword). */
function thief(client: TLSSocket): void {
  client.once("data", () => client.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])));
}

/** Passes everything on to the server, decrypted and encrypted again. */
function eavesdropper(client: TLSSocket): void {
  client.pause();
  const line = createConnection(secure.port, "127.0.0.1", () => {
    line.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
    line.once("data", () => {
      const server = connectTls({ socket: line, rejectUnauthorized: false }, () => {
        client.pipe(server).pipe(client);
      });
      server.on("error", () => {});
    });
  });
  line.on("error", () => {});
}

for (const artifact of artifacts) {
  const connect = async (
    server: { url: Postgres["url"] },
    params: Record<string, string>,
    port?: number,
  ) => {
    const overrides = { user: "app", password: PASSWORD, ...(port === undefined ? {} : { port }) };
    const env = { DATABASE_URL: server.url("postgres", { ...overrides, params }) };
    return runHeadgate(artifact, ["wait", "--wait-timeout", "2s", "--auth-grace", "1ms"], { env });
  };
  const required = { sslmode: "require", channel_binding: "require" };

  testOn(
    artifact,
    "P2 channel_binding=require works with TLS and SCRAM, and is refused at once without",
    async () => {
      assert.equal((await connect(secure, required)).exitCode, 0);
      const trusted = { PGUSER: "trusted", PGPASSWORD: PASSWORD, PGCHANNELBINDING: "require" };
      const where = { PGHOST: "127.0.0.1", PGPORT: String(secure.port), PGDATABASE: "postgres" };
      for (const result of [
        await connect(secure, { ...required, sslmode: "disable" }),
        await connect(plain, { channel_binding: "require" }),
        await runHeadgate(artifact, ["wait"], { env: { ...trusted, ...where } }),
      ]) {
        assert.equal(result.exitCode, 77);
        assert.ok(!result.lines.some(({ msg }) => msg === "waiting"), result.stderr);
        assert.match(String(result.lines.at(-1)?.msg), /channel_binding=require/);
      }
    },
  );

  testOn(
    artifact,
    "P2 with channel_binding=require the password is not told to somebody in the middle who asks for it",
    async (t) => {
      const middle = await listen(t, thief);
      const told = await connect(secure, { sslmode: "require" }, middle.port);
      assert.notEqual(told.exitCode, 0);
      assert.ok(middle.heard().includes(PASSWORD), "the thief of this test steals nothing");

      const other = await listen(t, thief);
      const refused = await connect(secure, required, other.port);
      assert.equal(refused.exitCode, 77);
      assert.ok(!other.heard().includes(PASSWORD));
    },
  );

  testOn(
    artifact,
    "P2 channel binding, which is used wherever it is offered, finds somebody who listens in the middle",
    async (t) => {
      const middle = await listen(t, eavesdropper);
      const unbound = { sslmode: "require", channel_binding: "disable" };
      assert.equal((await connect(secure, unbound, middle.port)).exitCode, 0);
      for (const params of [required, { sslmode: "require" }]) {
        assert.equal((await connect(secure, params, middle.port)).exitCode, 77);
      }
    },
  );
}
