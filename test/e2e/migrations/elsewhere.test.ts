import assert from "node:assert/strict";
import { testOn } from "../../helpers/everywhere.ts";
import {
  type Artifact,
  artifacts,
  type HeadgateResult,
  runHeadgate,
} from "../../helpers/headgate.ts";
import { addMigrations, makeMigrations } from "../../helpers/migrations.ts";
import { startPackage } from "../../helpers/postgres-migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });

const files = {
  "1_create-notes.sql": "CREATE TABLE notes (id int);\n",
  "2_add-author.sql": "ALTER TABLE notes ADD COLUMN author text;\n",
};

/** A database with the schemas `app` and `tenant`, and ways to run with one search path or another. */
async function place(artifact: Artifact, folder = makeMigrations(files)) {
  const database = await createDatabase(server);
  await server.psql(database, "CREATE SCHEMA app; CREATE SCHEMA tenant");
  const url = (path: string, user?: string): string =>
    server.url(database, {
      ...{ params: { options: `-csearch_path=${path}` } },
      ...(user === undefined ? {} : { user }),
    });
  const start = (DATABASE_URL: string, args: string[], env: Record<string, string> = {}) =>
    runHeadgate(artifact, args, { env: { DATABASE_URL, HEADGATE_MIGRATIONS: folder, ...env } });
  return {
    ...{ database, folder, url, start },
    run: (path: string, ...args: string[]) => start(url(path), args),
    ok: async (path: string, ...args: string[]): Promise<HeadgateResult> => {
      const result = await start(url(path), args);
      assert.equal(result.exitCode, 0, result.stderr);
      return result;
    },
    tables: async (schema: string): Promise<unknown[]> => {
      const sql = "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1";
      return (await server.psql(database, sql, [schema])).map(
        ({ tablename }) => tablename as string,
      );
    },
  };
}

const ours = ["migrations", "migrations_journal", "notes"];
const last = ({ lines }: HeadgateResult) => lines.at(-1) ?? {};

for (const artifact of artifacts) {
  testOn(
    artifact,
    "R3 when the history of the same files is in another schema, each command says so, and nothing is run or made",
    async () => {
      const { run, ok, tables } = await place(artifact);
      await ok("app", "migrate");
      const message =
        "nothing is recorded in public.migrations, but another schema has a history of the same files, which would be applied a second time; nothing was changed";
      const problem =
        "app.migrations is a history of the same files: it has 1 create-notes, 2 add-author";
      const commands: string[][] = [
        ...[["migrate"], ["--", "true"], ["verify"], ["verify", "--wait"], ["plan"]],
        ...[
          ["stamp", "2"],
          ["stamp", "2", "--yes"],
          ["migrate", "--before", "touch /tmp/never", "--lock-wait", "1s"],
        ],
      ];
      for (const args of commands) {
        const result = await run("public", ...args);
        const { msg, problems, fix } = last(result);
        assert.deepEqual([result.exitCode, msg, problems], [65, message, [problem]], result.stderr);
        assert.match(
          String(fix),
          /--history-table app\.migrations goes on with that history; --new-history begins one here/,
        );
      }
      assert.deepEqual(await tables("public"), []);

      const { stdout } = await ok("public", "status");
      assert.match(stdout, /^ 1 {2}pending .*create-notes$/m);
      assert.ok(stdout.includes(`\n\n${message}\n  - ${problem}\n  to do: `), stdout);
      const json = JSON.parse((await ok("public", "status", "--json")).stdout) as object;
      assert.deepEqual({ elsewhere: [problem], pending: 2, ...json }, json);
      const judged = await run("public", "status", "--exit-code");
      assert.deepEqual([judged.exitCode, last(judged)["problems"]], [65, [problem]]);
      const undone = await ok("public", "rollback", "--to", "0");
      const warning = undone.lines.find(({ level }) => level === "warn");
      assert.match(warning?.msg ?? "", /another schema has a history of the same files/);
      assert.deepEqual(warning?.["histories"], [problem]);

      // What the message offers.
      const named = await ok("public", "migrate", "--history-table", "app.migrations");
      assert.equal(named.lines.at(-1)?.msg, "found nothing pending");
      await ok("public", "migrate", "--new-history");
      assert.deepEqual(await tables("public"), ours);
      // From then on it is a history like any other.
      await ok("public", "migrate");
      await ok("app", "verify");
    },
  );

  testOn(
    artifact,
    "R3 the history of postgres-migrations, of older versions of the files, and with other line endings is known, too",
    async () => {
      const { database, run, ok, folder, tables } = await place(artifact);
      await startPackage(
        server,
        database,
        makeMigrations({ "1_create-notes.sql": files["1_create-notes.sql"] }),
      ).applied;
      addMigrations(folder, {
        "1_create-notes.sql": files["1_create-notes.sql"].replaceAll("\n", "\r\n"),
      });
      const refused = await run("app", "migrate");
      assert.equal(refused.exitCode, 65, refused.stderr);
      assert.match(
        String(last(refused)["problems"]),
        /public\.migrations .*: it has 1 create-notes$/,
      );
      // A run of an older headgate that failed at once has left an empty history where it does not belong.
      await ok("app", "migrate", "--new-history");
      await server.psql(database, "DELETE FROM app.migrations WHERE id > 0; DROP TABLE app.notes");
      assert.equal((await run("app", "migrate")).exitCode, 65);
      // One of the files is enough: the rest may have been edited since.
      await server.psql(
        database,
        "UPDATE public.migrations SET id = 2, name = 'add-author', hash = 'x' WHERE id = 1",
      );
      await ok("app", "migrate");
      assert.deepEqual(await tables("app"), ours);
    },
  );

  testOn(
    artifact,
    "R3 a schema for each tenant goes on working: those that are there, those that are named, those of roles of their own",
    async () => {
      const { database, run, ok, start, url, tables } = await place(artifact);
      await ok("app", "migrate");
      // By name it is never looked for.
      await ok("public", "migrate", "--history-table", "named.migrations");
      await server.psql(database, "DROP TABLE notes");
      const refused = await run("tenant", "migrate");
      assert.equal(refused.exitCode, 65);
      assert.equal((last(refused)["problems"] as string[]).length, 2);
      const variable = { HEADGATE_NEW_HISTORY: "true" };
      const meant = await start(url("tenant"), ["--", "true"], variable);
      assert.equal(meant.exitCode, 0, meant.stderr);
      assert.deepEqual(await tables("tenant"), ours);
      // However many there are, a few are named.
      const more = ["a", "b", "c", "d", "e"].map(
        (name) =>
          `CREATE SCHEMA more_${name}; CREATE TABLE more_${name}.migrations AS SELECT * FROM app.migrations;`,
      );
      await server.psql(database, more.join(""));
      const many = last(await run("public", "verify"))["problems"] as string[];
      assert.deepEqual([many.length, many.at(-1)], [6, "and there are more"]);
      const gone = ["a", "b", "c", "d", "e"].map((name) => `DROP SCHEMA more_${name} CASCADE;`);
      await server.psql(database, gone.join(""));
      // Those that have a history of their own are not asked.
      for (const schema of ["app", "tenant"]) await ok(schema, "migrate");

      const role = `guest_${database}`;
      await server.psql(
        database,
        `CREATE ROLE ${role} LOGIN PASSWORD '${server.password}'; CREATE SCHEMA own AUTHORIZATION ${role}`,
      );
      const guest = await start(url("own", role), ["migrate"]);
      assert.equal(guest.exitCode, 0, guest.stderr);
      const warnings = guest.lines.filter(({ level }) => level === "warn");
      assert.deepEqual(
        warnings.map(({ msg, tables: list }) => [msg, list]),
        [
          [
            "could not see whether the history is in another schema: these tables may not be read",
            "app.migrations, named.migrations, tenant.migrations",
          ],
        ],
      );
      const again = await start(url("own", role), ["migrate"]);
      assert.ok(!again.lines.some(({ level }) => level === "warn"), again.stderr);
    },
  );

  testOn(
    artifact,
    "R3 another service's history, a set's own, another tool's table and what would run foreign code are let be",
    async () => {
      const { database, start, ok, url, folder, tables } = await place(artifact);
      const other = makeMigrations({ "1_bills.sql": "CREATE TABLE bills (id int)" });
      await ok("app", "migrate", "--migrations", other);
      // Of the same name: Laravel's, and a view; a table whose policy is its owner's code.
      await server.psql(
        database,
        `CREATE TABLE tenant.migrations (id serial, migration text, batch int);
        CREATE SCHEMA seen; CREATE VIEW seen.migrations AS SELECT * FROM app.migrations;
        CREATE SCHEMA trap; CREATE TABLE trap.called ();
        CREATE FUNCTION trap.spring() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'sprung'; END $$;
        CREATE TABLE trap.migrations (id integer PRIMARY KEY, name varchar(100), hash varchar(40), executed_at timestamp);
        INSERT INTO trap.migrations VALUES (1, 'x', 'x');
        ALTER TABLE trap.migrations ENABLE ROW LEVEL SECURITY; ALTER TABLE trap.migrations FORCE ROW LEVEL SECURITY;
        CREATE POLICY trap ON trap.migrations USING (trap.spring());
        CREATE ROLE api_${database} LOGIN PASSWORD '${server.password}';
        GRANT USAGE ON SCHEMA app, trap, tenant, seen TO api_${database};
        GRANT SELECT ON app.migrations, trap.migrations, seen.migrations, tenant.migrations TO api_${database};
        CREATE SCHEMA own AUTHORIZATION api_${database}`,
      );
      const sets = [
        { name: "a", migrations: folder, "history-table": "migrations" },
        { name: "b", migrations: folder, "history-table": "first.migrations" },
      ];
      await ok("public", "migrate", "--history-table", "first.migrations");
      await server.psql(database, "DROP TABLE public.notes");
      await server.psql(
        database,
        `GRANT USAGE ON SCHEMA first TO api_${database};
        GRANT SELECT ON first.migrations TO api_${database}`,
      );
      const env = { HEADGATE_MIGRATIONS: "", HEADGATE_SETS: JSON.stringify(sets) };
      const both = await start(url("own", `api_${database}`), ["migrate"], env);
      assert.equal(both.exitCode, 0, both.stderr);
      assert.deepEqual(await tables("own"), ours);
      const warned = both.lines
        .filter(({ level }) => level === "warn")
        .map(({ tables: list }) => list);
      assert.deepEqual(warned, ["trap.migrations"]);
    },
  );

  testOn(
    artifact,
    "R3 where something is recorded, nothing more is asked than before",
    async () => {
      const { database, ok } = await place(artifact);
      await ok("app", "migrate");
      await server.psql("postgres", `ALTER DATABASE ${database} SET log_statement = 'all'`);
      const from = server.log().length;
      await ok("app", "migrate");
      await ok("app", "verify");
      const asked =
        server
          .log()
          .slice(from)
          .match(/LOG: {2}statement: /g) ?? [];
      assert.equal(asked.length, 2, server.log().slice(from));
    },
  );
}
