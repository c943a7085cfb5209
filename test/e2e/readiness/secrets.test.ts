import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { eventually } from "../../helpers/eventually.ts";
import { freePort } from "../../helpers/port.ts";
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

const ARGS = ["wait", "--auth-grace", "40s"];
const login = (): Record<string, string> => ({
  PGHOST: server.host,
  PGPORT: String(server.port),
  PGUSER: server.user,
});

test("W3 a password file that is corrected while headgate waits is read again", async () => {
  const file = join(temporaryFolder("headgate-secret-"), "password");
  writeFileSync(file, "battery-staple\n");
  const all = await startTogether(ARGS, { env: { ...login(), PGPASSWORD_FILE: file } });
  await all.waitForLog(({ state }) => state === "password refused");
  writeFileSync(file, `${server.password}\n`);
  await all.each((result) => {
    assert.equal(result.exitCode, 0);
    assert.deepEqual(waitingStates(result), ["password refused"]);
  });
});

test("W3 a secret that Kubernetes rotates by changing a symbolic link is read again", async () => {
  const folder = temporaryFolder("headgate-secret-");
  for (const [version, password] of [
    ["old", "battery-staple"],
    ["new", server.password],
  ] as const) {
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, "password"), password);
  }
  symlinkSync("old", join(folder, "..data"));
  symlinkSync("..data/password", join(folder, "password"));
  const env = { ...login(), PGPASSWORD_FILE: join(folder, "password") };
  const all = await startTogether(ARGS, { env });
  await all.waitForLog(({ state }) => state === "password refused");
  symlinkSync("new", join(folder, "..next"));
  renameSync(join(folder, "..next"), join(folder, "..data"));
  await all.each((result) => assert.equal(result.exitCode, 0));
});

test("W3 a URL in a file is read again with all its parts", async () => {
  const file = join(temporaryFolder("headgate-secret-"), "url");
  writeFileSync(file, `postgres://nobody:wrong-password@127.0.0.1:${await freePort()}/nowhere`);
  const all = await startTogether(ARGS, { env: { DATABASE_URL_FILE: file } });
  await all.waitForLog(({ state }) => state === "connection refused");
  writeFileSync(file, server.url("postgres"));
  await all.each((result) => {
    assert.equal(result.exitCode, 0);
    assert.deepEqual(waitingStates(result), ["connection refused"]);
  });
});

for (const [what, spoil] of [
  ["is gone", (file: string) => rmSync(file)],
  ["is empty", (file: string) => writeFileSync(file, "")],
] as const) {
  test(`W3 a password file that ${what} for a moment, while it is replaced, does not end the wait`, async () => {
    const file = join(temporaryFolder("headgate-secret-"), "password");
    writeFileSync(file, "battery-staple");
    const env = { ...login(), PGPORT: String(proxy.port), PGPASSWORD_FILE: file };
    const all = await startTogether(ARGS, { env });
    await all.waitForLog(({ state }) => state === "password refused");
    spoil(file);
    const { connections } = proxy;
    await eventually("each tried without it", () => proxy.connections >= connections + 12);
    writeFileSync(file, server.password);
    await all.each((result) => {
      assert.equal(result.exitCode, 0);
      assert.deepEqual(waitingStates(result), ["password refused"]);
    });
  });
}
