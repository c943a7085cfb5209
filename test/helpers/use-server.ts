import { after, before } from "node:test";
import type { Postgres, PostgresOptions } from "./postgres.ts";
import { attachToShared } from "./shared-server.ts";
import { startPostgres } from "./postgres.ts";

/** What a test file needs of its server. */
export interface ServerOptions extends PostgresOptions {
  /** Its own, because its tests stop or kill it, read its log, count its sessions or make roles. */
  own?: boolean;
}

/**
 * A server for the tests of this file: the one that all files of the run share, or one of its own when it is to be
 * different. It can be used from the first `before` on, and is gone after the last test.
 */
export function useServer(options: ServerOptions = {}): Postgres {
  const { own = false, ...rest } = options;
  const isPlain = !own && Object.keys(rest).length === 0;
  let server: Postgres | undefined;
  const started = Promise.withResolvers<Postgres>();
  before(async () => {
    server = (isPlain ? attachToShared() : undefined) ?? (await startPostgres(rest));
    started.resolve(server);
  });
  after(() => server?.stop());
  return new Proxy({} as Postgres, {
    get: (_, name) => {
      // Node begins all the before() of a file at once: what one of them asks of the server first waits for it.
      if (server === undefined && (name === "psql" || name === "connect")) {
        return async (...args: Parameters<Postgres["psql"]>) =>
          (await started.promise)[name as "psql"](...args);
      }
      if (server === undefined) throw new Error("the server is there from the first before() on");
      return Reflect.get(server, name, server) as unknown;
    },
  });
}
