import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { execa } from "execa";
import { onExit, temporaryFolder } from "./helpers/cleanup.ts";
import { eventually } from "./helpers/eventually.ts";
import { artifacts, requireOrSkip, runHeadgate } from "./helpers/headgate.ts";
import { happy, makeMigrations } from "./helpers/migrations.ts";
import { freePort } from "./helpers/port.ts";
import { type Postgres, createDatabase, startPostgres } from "./helpers/postgres.ts";

const hasPooler = spawnSync("pgbouncer", ["--version"]).status === 0;
const noPooler = "pgbouncer is not installed";
const serving = ["--", "sh", "-c", "echo serving from $DATABASE_URL"];

let server: Postgres;
let pooler: { port: number; stop: () => Promise<void> } | undefined;
before(async () => {
  server = await startPostgres();
  if (hasPooler) pooler = await startPooler();
});
after(async () => {
  await pooler?.stop();
  await server.stop();
});

/** Starts PgBouncer in transaction mode in front of every database, which it enters as the role `api`. */
async function startPooler(): Promise<typeof pooler> {
  await server.psql("postgres", "CREATE ROLE api SUPERUSER LOGIN PASSWORD 'api-password'");
  const port = await freePort();
  const file = join(temporaryFolder("headgate-pgbouncer-"), "pgbouncer.ini");
  writeFileSync(
    file,
    `[databases]
* = host=127.0.0.1 port=${server.port} user=api password=api-password
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
`,
  );
  // It refuses to run as root.
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const child = execa("pgbouncer", [...user, file], { reject: false, all: true });
  onExit(() => child.kill("SIGKILL"));
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await child;
  };
  const isReady = async (): Promise<boolean> => {
    const client = await server.connect("postgres", { port, user: "api", password: "any" });
    await client.end();
    return true;
  };
  const failed = child.then(({ all }) => {
    throw new Error(`PgBouncer ended: ${all}`);
  });
  await Promise.race([eventually("PgBouncer answers", isReady), failed]);
  return { port, stop };
}

const pooled = (database: string): string =>
  server.url(database, { port: pooler?.port ?? 0, user: "api", password: "any-password" });

for (const artifact of artifacts) {
  test(`L7 behind PgBouncer in transaction mode a replica that would migrate is refused with 64 and the remedy (${artifact.name})`, async (t) => {
    if (!requireOrSkip(t, hasPooler, noPooler)) return;
    const database = await createDatabase(server);
    const migrations = makeMigrations();
    const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: migrations };
    const replicas = await Promise.all(
      Array.from({ length: 5 }, () => runHeadgate(artifact, serving, { env })),
    );
    for (const { exitCode, stdout, lines } of replicas) {
      assert.equal(exitCode, 64);
      assert.equal(stdout, "");
      assert.match(lines.at(-1)?.msg ?? "", /through a pooler/);
      assert.match(String(lines.at(-1)?.["fix"]), /HEADGATE_DATABASE_URL/);
    }
    const left = await server.psql(
      database,
      "SELECT FROM pg_locks WHERE locktype = 'advisory' UNION ALL SELECT FROM pg_class WHERE relname = 'migrations'",
    );
    assert.equal(left.length, 0, "no lock and no table is left on the server");

    // The remedy: the server's own address for headgate, the pooled one for the API.
    const remedied = await runHeadgate(
      artifact,
      [...["--unset-env", "HEADGATE_DATABASE_URL"], ...serving],
      {
        env: { ...env, HEADGATE_DATABASE_URL: server.url(database) },
      },
    );
    assert.equal(remedied.exitCode, 0, remedied.stderr);
    assert.equal(remedied.stdout, `serving from ${env.DATABASE_URL}\n`);
  });

  test(`L7 with nothing pending replicas boot, verify and status work through PgBouncer (${artifact.name})`, async (t) => {
    if (!requireOrSkip(t, hasPooler, noPooler)) return;
    const database = await createDatabase(server);
    const migrations = makeMigrations();
    const direct = { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: migrations };
    assert.equal((await runHeadgate(artifact, ["migrate"], { env: direct })).exitCode, 0);

    const env = { DATABASE_URL: pooled(database), HEADGATE_MIGRATIONS: migrations };
    const replicas = await Promise.all(
      Array.from({ length: 20 }, () => runHeadgate(artifact, serving, { env })),
    );
    for (const { exitCode, stdout, stderr } of replicas) {
      assert.equal(exitCode, 0, stderr);
      assert.match(stdout, /^serving/);
    }
    assert.equal((await runHeadgate(artifact, ["verify"], { env })).exitCode, 0);
    const status = await runHeadgate(artifact, ["status", "--json", "--exit-code"], { env });
    assert.equal(status.exitCode, 0, status.stderr);
    const { applied } = JSON.parse(status.stdout) as { applied: number };
    assert.equal(applied, Object.keys(happy).length);
  });
}
