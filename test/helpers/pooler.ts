import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { onExit, temporaryFolder } from "./cleanup.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./port.ts";
import type { Postgres } from "./postgres.ts";

export const hasPooler = spawnSync("pgbouncer", ["--version"]).status === 0;
export const noPooler = "pgbouncer is not installed";

export interface Pooler {
  readonly port: number;
  readonly stop: () => Promise<void>;
}

export interface PoolerOptions {
  /** Where PgBouncer finds the server; a proxy's port, say. */
  readonly serverPort?: number;
  readonly mode?: "transaction" | "statement" | "session";
  /** The databases it has; all of the server's without. */
  readonly databases?: readonly string[];
  /** Whom it lets in: anybody as anybody, or only `api`, by any password or by its own. */
  readonly auth?: "any" | "trust" | "scram-sha-256";
  /** More lines for pgbouncer.ini, such as `{ query_timeout: "1" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts PgBouncer in front of a server, whose databases it enters as the role `api`, which is made if it is missing. */
export async function startPooler(server: Postgres, options: PoolerOptions = {}): Promise<Pooler> {
  const {
    serverPort = server.port,
    mode = "transaction",
    databases = ["*"],
    auth = "any",
    settings = {},
  } = options;
  const [role] = await server.psql("postgres", "SELECT FROM pg_roles WHERE rolname = 'api'");
  if (role === undefined)
    await server.psql("postgres", "CREATE ROLE api SUPERUSER LOGIN PASSWORD 'api-password'");
  const port = await freePort();
  const folder = temporaryFolder("headgate-pgbouncer-");
  const file = join(folder, "pgbouncer.ini");
  const users = join(folder, "users.txt");
  writeFileSync(users, '"api" "api-password"\n');
  const place = `host=127.0.0.1 port=${serverPort} user=api password=api-password`;
  writeFileSync(
    file,
    `[databases]
postgres = ${place}
${databases.map((name) => `${name} = ${place}`).join("\n")}
single = ${place} dbname=single pool_size=1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = ${auth}
auth_file = ${users}
pool_mode = ${mode}
default_pool_size = 3
${Object.entries(settings)
  .map(([name, value]) => `${name} = ${value}\n`)
  .join("")}`,
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
    const client = await server.connect("postgres", {
      port,
      user: "api",
      password: "api-password",
    });
    await client.end();
    return true;
  };
  const failed = child.then(({ all }) => {
    throw new Error(`PgBouncer ended: ${all}`);
  });
  await Promise.race([eventually("PgBouncer answers", isReady), failed]);
  return { port, stop };
}
