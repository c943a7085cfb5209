import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";
import { createServer } from "node:tls";
import {
  type Artifact,
  type HeadgateResult,
  artifacts,
  runHeadgate,
} from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { freePort } from "../../helpers/port.ts";
import { type Postgres, startPostgres } from "../../helpers/postgres.ts";
import { type Certificates, makeCertificates, sign, startTlsPostgres } from "../../helpers/tls.ts";

let pems: Certificates;
let secure: Postgres;
let plain: Postgres;
const PASSWORD = "battery-staple";

before(async () => {
  const hba = [
    "hostssl all ssl_only 127.0.0.1/32 scram-sha-256",
    "host all ssl_only 127.0.0.1/32 reject",
    "hostnossl all plain_only 127.0.0.1/32 scram-sha-256",
    "host all plain_only 127.0.0.1/32 reject",
    "hostssl all by_certificate 127.0.0.1/32 cert",
    "hostssl all empty_handed 127.0.0.1/32 trust",
  ];
  // On IPv4 only, because the rules above name it.
  const options = { settings: { log_connections: "on", listen_addresses: "127.0.0.1" } };
  pems = makeCertificates();
  secure = await startTlsPostgres(pems, { ...options, hba });
  plain = await startPostgres({ ...options, hba: hba.filter((rule) => rule.startsWith("host ")) });
  const roles = ["anyone", "ssl_only", "plain_only", "by_certificate"];
  const create = roles.map((role) => `CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD}';`).join("");
  for (const server of [secure, plain]) await server.psql("postgres", create);
});
after(async () => {
  await secure.stop();
  await plain.stop();
});

type Target = { server?: Postgres; user?: string; host?: string; env?: Record<string, string> };

/** Connects with these URL parameters; gives `tls` or `plain` as the server saw it, or the exit code. */
async function connect(
  artifact: Artifact,
  params: Record<string, string>,
  { server = secure, user = "anyone", host = "localhost", env = {} }: Target = {},
): Promise<string> {
  const logged = server.log().length;
  const DATABASE_URL = server.url("postgres", { user, password: PASSWORD, host, params });
  const args = ["wait", "--auth-grace", "1ms"];
  const result = await runHeadgate(artifact, args, { env: { ...env, DATABASE_URL } });
  if (result.exitCode !== 0) return refusal(result);
  const lines = server.log().slice(logged).split("\n");
  const login = lines.findLast((line) => line.includes(`connection authorized: user=${user} `));
  assert.ok(login !== undefined, "the server has no record of the login");
  return login.includes("SSL enabled") ? "tls" : "plain";
}

/** What is wrong with TLS or pg_hba.conf is never waited for. */
function refusal(result: HeadgateResult): string {
  assert.ok(!result.lines.some(({ msg }) => msg === "waiting"), result.stderr);
  return String(result.exitCode);
}

/**
 * What libpq 15 does, as measured with psql, for no root certificate, the right one, and a wrong one; then for the
 * right one when the host name is not the certificate's. It refuses where a number stands.
 */
const meaning: Record<string, Record<string, string[]>> = {
  "a server with TLS": {
    disable: ["plain", "plain", "plain", "plain"],
    allow: ["plain", "plain", "plain", "plain"],
    prefer: ["tls", "tls", "plain", "tls"],
    require: ["tls", "tls", "77", "tls"],
    "verify-ca": ["64", "tls", "77", "tls"],
    "verify-full": ["64", "tls", "77", "77"],
  },
  "a server without TLS": {
    disable: ["plain", "plain", "plain", "plain"],
    allow: ["plain", "plain", "plain", "plain"],
    prefer: ["plain", "plain", "plain", "plain"],
    require: ["77", "77", "77", "77"],
    "verify-ca": ["77", "77", "77", "77"],
    "verify-full": ["77", "77", "77", "77"],
  },
  "a user whom pg_hba.conf lets in with TLS only": {
    disable: ["77", "77", "77", "77"],
    allow: ["tls", "tls", "77", "tls"],
    prefer: ["tls", "tls", "77", "tls"],
    require: ["tls", "tls", "77", "tls"],
    "verify-ca": ["64", "tls", "77", "tls"],
    "verify-full": ["64", "tls", "77", "77"],
  },
  "a user whom pg_hba.conf lets in without TLS only": {
    disable: ["plain", "plain", "plain", "plain"],
    allow: ["plain", "plain", "plain", "plain"],
    prefer: ["plain", "plain", "plain", "plain"],
    require: ["77", "77", "77", "77"],
    "verify-ca": ["64", "77", "77", "77"],
    "verify-full": ["64", "77", "77", "77"],
  },
};
const targets: Record<string, () => Target> = {
  "a server with TLS": () => ({}),
  "a server without TLS": () => ({ server: plain }),
  "a user whom pg_hba.conf lets in with TLS only": () => ({ user: "ssl_only" }),
  "a user whom pg_hba.conf lets in without TLS only": () => ({ user: "plain_only" }),
};

for (const artifact of artifacts) {
  for (const [whom, modes] of Object.entries(meaning)) {
    testOn(
      artifact,
      `P2 the words of sslmode mean what they mean to libpq, for ${whom}`,
      async () => {
        const found: typeof modes = {};
        for (const sslmode of Object.keys(modes)) {
          found[sslmode] = [];
          for (const [sslrootcert, host] of [
            [undefined, "localhost"],
            [pems.ca, "localhost"],
            [pems.wrongCa, "localhost"],
            [pems.ca, "127.0.0.1"],
          ]) {
            const params = { sslmode, ...(sslrootcert === undefined ? {} : { sslrootcert }) };
            const target = { ...targets[whom]?.(), ...(host === undefined ? {} : { host }) };
            found[sslmode].push(await connect(artifact, params, target));
          }
        }
        assert.deepEqual(found, modes);
      },
    );
  }

  testOn(artifact, "P2 without any word, TLS is used where it is offered", async () => {
    assert.equal(await connect(artifact, {}), "tls");
    assert.equal(await connect(artifact, {}, { server: plain }), "plain");
  });

  testOn(artifact, "P2 a wrong password without TLS is still a wrong password", async () => {
    const url = secure.url("postgres", { user: "plain_only", password: "wrong-password" });
    const args = ["wait", "--auth-grace", "300ms"];
    const result = await runHeadgate(artifact, args, { env: { DATABASE_URL: url } });
    assert.equal(result.exitCode, 77);
    assert.equal(result.lines.at(-1)?.["state"], "password refused");
  });

  testOn(artifact, "P2 a root certificate in the home folder is used", async () => {
    for (const [ca, expected] of [
      [pems.ca, ["tls", "tls"]],
      [pems.wrongCa, ["77", "77"]],
    ] as const) {
      const home = join(pems.folder, `home-${expected[0]}`);
      mkdirSync(join(home, ".postgresql"), { recursive: true });
      copyFileSync(ca, join(home, ".postgresql/root.crt"));
      const at = { env: { HOME: home } };
      const found = [
        await connect(artifact, { sslmode: "require" }, at),
        await connect(artifact, { sslmode: "verify-full" }, at),
      ];
      assert.deepEqual(found, expected);
    }
  });

  testOn(
    artifact,
    "P2 sslrootcert=system trusts what the system trusts, and never less than verify-full",
    async () => {
      const system = { sslrootcert: "system" };
      assert.equal(await connect(artifact, system), "77");
      const trusted = { env: { SSL_CERT_FILE: pems.ca } };
      assert.equal(await connect(artifact, system, trusted), "tls");
      assert.equal(await connect(artifact, system, { ...trusted, host: "127.0.0.1" }), "77");
      assert.equal(await connect(artifact, { ...system, sslmode: "require" }, trusted), "64");
    },
  );

  testOn(
    artifact,
    "P2 a certificate file that cannot be read never means less checking",
    async () => {
      const garbage = join(pems.folder, "garbage.crt");
      writeFileSync(garbage, "not a certificate");
      for (const sslmode of ["prefer", "require", "verify-ca", "verify-full"]) {
        const missing = { sslmode, sslrootcert: join(pems.folder, "no-such-file") };
        assert.equal(await connect(artifact, missing), "64");
        const user = { user: "ssl_only" };
        assert.equal(await connect(artifact, { sslmode, sslrootcert: garbage }, user), "77");
      }
    },
  );

  testOn(artifact, "P2 no environment variable turns the checks off", async () => {
    const off = { env: { NODE_TLS_REJECT_UNAUTHORIZED: "0", PGSSLMODE: "disable" } };
    const params = { sslmode: "verify-full", sslrootcert: pems.wrongCa };
    assert.equal(await connect(artifact, params, off), "77");
  });

  testOn(
    artifact,
    "P2 a client certificate is presented, and a spoiled one is refused at once",
    async () => {
      const sslcert = sign(pems.folder, "client", "/CN=by_certificate");
      const sslkey = sslcert.replace(".crt", ".key");
      const as = { user: "by_certificate" };
      assert.equal(await connect(artifact, { sslmode: "require", sslcert, sslkey }, as), "tls");
      assert.equal(await connect(artifact, { sslmode: "require" }, as), "77");
      const wrongKey = { sslcert, sslkey: pems.ca.replace(".crt", ".key") };
      assert.equal(await connect(artifact, { sslmode: "require", ...wrongKey }, as), "77");
    },
  );

  testOn(
    artifact,
    "P2 TLS from the first byte is spoken when sslnegotiation=direct says so, in the URL or in PGSSLNEGOTIATION",
    async () => {
      // Older servers hang up; the newer ones do so where TLS is switched off.
      const expected = secure.major < 17 ? "77" : "tls";
      const params = { sslmode: "verify-full", sslrootcert: pems.ca };
      assert.equal(await connect(artifact, { ...params, sslnegotiation: "direct" }), expected);
      const env = { PGSSLNEGOTIATION: "direct" };
      assert.equal(await connect(artifact, params, { env }), expected);
      assert.equal(await connect(artifact, params, { env, server: plain }), "77");
    },
  );

  testOn(
    artifact,
    "P2 sslnegotiation=direct is refused with a weak sslmode, and by a server that agrees to no protocol",
    async (t) => {
      const params = { sslnegotiation: "direct" };
      assert.equal(await connect(artifact, { ...params, sslmode: "prefer" }), "64");
      const keys = { key: readFileSync(pems.server.replace(".crt", ".key")) };
      const other = createServer({ ...keys, cert: readFileSync(pems.server) });
      other.on("tlsClientError", () => {});
      const port = await freePort();
      await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
      t.after(() => other.close());
      const url = secure.url("postgres", { port, params: { ...params, sslmode: "require" } });
      const result = await runHeadgate(artifact, ["wait"], { env: { DATABASE_URL: url } });
      assert.equal(refusal(result), "77", result.stderr);
      assert.match(result.stderr, /did not agree to PostgreSQL's protocol \(ALPN\)/);
    },
  );
}
