import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import pg from "pg";
import { freePort } from "./port.ts";
import { type Cluster, type ClusterOptions, createCluster } from "./postgres-cluster.ts";
import { PortTaken, type StopMode, PostgresProcess } from "./postgres-process.ts";

export interface PostgresOptions extends ClusterOptions {
  /** False: initialise only, and start it later with `start()`. */
  start?: boolean;
  /** The TCP port; a free one when not given. */
  port?: number;
}

/** What to change in the URL of a server. */
export interface UrlOverrides {
  scheme?: "postgres" | "postgresql";
  user?: string;
  password?: string;
  /** A name, an address, or the folder of a unix socket. */
  host?: string;
  port?: number;
  /** Query parameters, such as `{ sslmode: "require" }`. */
  params?: Record<string, string>;
}

export interface Postgres {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly user: "postgres";
  readonly password: string;
  readonly socketDir: string;
  readonly dataDir: string;
  readonly logFile: string;
  readonly major: number;
  /** The postmaster's pid; undefined while it does not run. */
  readonly pid: number | undefined;
  /** A connection URL, percent-encoded. */
  url(database: string, overrides?: UrlOverrides): string;
  /** Starts it, also again on the same data and port; resolves when a query has been answered. */
  start(): Promise<void>;
  /**
   * Stops it: "fast" (the default) disconnects everybody, "immediate" crashes in an orderly way,
   * "kill" is a power cut: SIGKILL to the server and each of its processes.
   */
  stop(mode?: StopMode): Promise<void>;
  /** What the server has logged since the cluster was made. */
  log(): string;
  /** Runs SQL as the superuser on a socket connection of its own; gives the rows of the last statement. */
  psql<Row extends pg.QueryResultRow>(
    database: string,
    sql: string,
    values?: unknown[],
  ): Promise<Row[]>;
  /** Opens a superuser connection; the caller ends it. Its loss shows in its queries only. */
  connect(database: string, config?: pg.ClientConfig): Promise<pg.Client>;
}

/** Starts a real PostgreSQL server that is gone, with its folder, when this process ends. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const cluster = await createCluster(options);
  const server = new PostgresProcess(cluster, options.port ?? (await freePort()));
  if (options.start !== false) await startOnFreePort(server, options.port);
  return describeServer(cluster, server);
}

/** What tests need to know and do of a server, whoever started it. */
export function describeServer(
  { password, socketDir, dataDir, logFile, binaries }: Cluster,
  server: Pick<PostgresProcess, "port" | "pid" | "start" | "stop" | "connect">,
): Postgres {
  return {
    host: "127.0.0.1",
    get port() {
      return server.port;
    },
    user: "postgres",
    password,
    socketDir,
    dataDir,
    logFile,
    major: binaries.major,
    get pid() {
      return server.pid;
    },
    url: (database, overrides) =>
      connectionUrl(
        { user: "postgres", password, host: "127.0.0.1", port: server.port },
        database,
        overrides,
      ),
    start: () => server.start(),
    stop: (mode) => server.stop(mode),
    log: () => readFileSync(logFile, "utf8"),
    psql: async (database, sql, values) => {
      const client = await server.connect(database, { host: socketDir });
      try {
        // Several statements without values give an array of results.
        return [await client.query(sql, values)].flat().at(-1)?.rows ?? [];
      } finally {
        await client.end();
      }
    },
    connect: (database, config) => server.connect(database, config),
  };
}

async function startOnFreePort(server: PostgresProcess, fixed: number | undefined): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await server.start();
    } catch (error) {
      if (!(error instanceof PortTaken) || fixed !== undefined || attempt === 5) throw error;
      server.port = await freePort();
    }
  }
}

/** Creates an empty database; its name is different at each call and begins with `name`. */
export async function createDatabase(server: Postgres, name = "test"): Promise<string> {
  const database = `${name}_${randomBytes(4).toString("hex")}`;
  // Copying files is quicker than logging each page, which PostgreSQL does by itself since 15.
  const strategy = server.major >= 15 ? "STRATEGY file_copy" : "";
  // Not template1: creating from it fails while anybody is connected to it.
  await server.psql(
    "postgres",
    `CREATE DATABASE ${pg.escapeIdentifier(database)} TEMPLATE template0 ${strategy}`,
  );
  return database;
}

/** Drops a database with everybody in it. */
export async function dropDatabase(server: Postgres, database: string): Promise<void> {
  await server.psql(
    "postgres",
    `DROP DATABASE IF EXISTS ${pg.escapeIdentifier(database)} WITH (FORCE)`,
  );
}

function connectionUrl(
  server: { user: string; password: string; host: string; port: number },
  database: string,
  overrides: UrlOverrides = {},
): string {
  const { user, password, host, port } = { ...server, ...overrides };
  const encodedHost = host.includes(":") ? `[${host}]` : encodeURIComponent(host);
  const query = new URLSearchParams(overrides.params).toString();
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  const location = `${encodedHost}:${port}/${encodeURIComponent(database)}`;
  const scheme = overrides.scheme ?? "postgres";
  return `${scheme}://${login}@${location}${query === "" ? "" : `?${query}`}`;
}
