import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { testInPairs, testOn } from "../../helpers/everywhere.ts";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { makeMigratorProject } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });
const [first] = artifacts;
assert.ok(first);

type Variables = { readonly [name: string]: string };

/** The variables in what `env -0` wrote. */
const readVariables = (file: string): Variables =>
  Object.fromEntries(
    readFileSync(file, "utf8")
      .split("\0")
      .filter(Boolean)
      .map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
  );

/** A command that keeps its environment in a file, and the arguments of every process. */
function keeper(): { command: string; kept: () => Variables; processes: () => string } {
  const file = join(temporaryFolder("headgate-told-"), "kept");
  const command = JSON.stringify([
    "sh",
    "-c",
    `env -0 > ${file}; cat /proc/*/cmdline > ${file}.ps 2>&1; true`,
  ]);
  const processes = (): string => readFileSync(`${file}.ps`, "utf8");
  return { command, kept: () => readVariables(file), processes };
}

/** A database with an owner, whose login only headgate is told, beside the server's. */
async function prepare() {
  const database = await createDatabase(server);
  const owner = { user: `owner_${database}`, password: "the owner's: 50%/?#" };
  await server.psql(
    database,
    `CREATE ROLE ${owner.user} LOGIN PASSWORD '${owner.password.replaceAll("'", "''")}';
    ALTER DATABASE ${database} OWNER TO ${owner.user}; ALTER SCHEMA public OWNER TO ${owner.user}`,
  );
  const env = {
    DATABASE_URL: "postgres://server:may-only-read@pooler.example.org/app?pgbouncer=true",
    DATABASE_USER: "server",
    PGPASSWORD: "may-only-read",
    PGUSER: "server",
    HEADGATE_DATABASE_URL: server.url(database, owner),
  };
  return { database, owner, env };
}

testInPairs(
  "E6 what a migrator is told of the database does not reach the server, whose environment stays the container's",
  async ({ artifact, pid1 }) => {
    const { env, owner } = await prepare();
    const { command, kept } = keeper();
    const file = join(temporaryFolder("headgate-server-"), "env");
    const args = ["--migrator", command, "--migrator-env", "DATABASE_URL"];
    const own = { ...env, PATH: process.env["PATH"] ?? "", EMPTY: "", ODD: "a\nb=c \u{1f600}" };
    const { exitCode, stderr } = await runHeadgate(
      artifact,
      [...args, "--migrator-env", "PG=parts", "--", "sh", "-c", `env -0 > ${file}`],
      { env: own, pid1 },
    );
    assert.equal(exitCode, 0, stderr);
    assert.equal(new URL(kept()["DATABASE_URL"] ?? "").username, owner.user);
    assert.equal(kept()["PGPASSWORD"], owner.password);
    const { PWD: _pwd, HOME: _home, SHLVL: _level, _: _underscore, ...found } = readVariables(file);
    assert.deepEqual(found, own);
  },
);

for (const artifact of artifacts) {
  testOn(
    artifact,
    "T1 the owner's login takes the place of the server's, and a command of one's own is told only what was asked for",
    async () => {
      const { database, env, owner } = await prepare();
      const { command, kept, processes } = keeper();
      const bare = await runHeadgate(artifact, ["migrate", "--migrator", command], { env });
      assert.equal(bare.exitCode, 0, bare.stderr);
      for (const [name, value] of Object.entries(env)) assert.equal(kept()[name], value);

      const files = { ...env, DATABASE_USER_FILE: "/run/secrets/server" };
      const { DATABASE_USER: _taken, ...container } = files;
      const told = await runHeadgate(artifact, ["migrate", "--migrator", command], {
        env: {
          ...container,
          HEADGATE_MIGRATOR_ENV: "DATABASE_URL,DATABASE=parts,PG=parts,SPRING_URL=jdbc",
        },
      });
      assert.equal(told.exitCode, 0, told.stderr);
      const login = `${owner.user}:${encodeURIComponent(owner.password)}`;
      const found = kept();
      const place = `127.0.0.1:${server.port}/${database}?sslmode=disable`;
      assert.ok(
        found["DATABASE_URL"]?.startsWith(`postgresql://${login}@${place}&application_name=`),
      );
      assert.ok(found["SPRING_URL"]?.startsWith(`jdbc:postgresql://${place}`));
      assert.deepEqual(
        ["DATABASE_USER", "DATABASE_PASSWORD", "PGUSER", "PGPASSWORD", "DATABASE_USER_FILE"].map(
          (name) => found[name],
        ),
        [owner.user, owner.password, owner.user, owner.password, undefined],
      );
      // As it is in the log.
      const started = told.lines.find(({ msg }) => msg === "started");
      assert.deepEqual(started?.["database"], [
        ...["DATABASE_URL=url", "DATABASE=parts", "PG=parts", "SPRING_URL=jdbc"],
      ]);
      for (const secret of [owner.password, encodeURIComponent(owner.password)])
        for (const text of [told.stderr, processes()])
          assert.ok(!text.includes(secret), "P1: in the log or in the arguments of a process");
    },
  );
}

test("W3 a password that is changed while headgate waits reaches the migrator", async () => {
  const { database, owner } = await prepare();
  const file = join(temporaryFolder("headgate-secret-"), "url");
  writeFileSync(file, server.url(database, owner));
  const { command, kept } = keeper();
  const next = join(temporaryFolder("headgate-secret-"), "next");
  writeFileSync(next, server.url(database, { ...owner, password: "the next one" }));
  const args = ["migrate", "--migrator", command, "--migrator-env", "DATABASE_URL"];
  const before = JSON.stringify(["cp", next, file]);
  const { exitCode, stderr } = await runHeadgate(first, [...args, "--before", before], {
    env: { DATABASE_URL_FILE: file },
  });
  assert.equal(exitCode, 0, stderr);
  assert.equal(new URL(kept()["DATABASE_URL"] ?? "").password, "the%20next%20one");
  assert.equal(kept()["DATABASE_URL_FILE"], undefined);
});

test("T1 hooks are told the database with --hook-env only", async () => {
  const { env, owner } = await prepare();
  const { command, kept } = keeper();
  const boot = (more: string[]) =>
    runHeadgate(
      first,
      ["migrate", "--migrations", makeMigrations(), "--before", command, ...more],
      {
        env,
      },
    );
  const [told, bare] = [["--hook-env", "PG=parts"], []];
  const asked = await boot(told);
  assert.equal(asked.exitCode, 0, asked.stderr);
  const { PGUSER, PGPASSWORD, PGHOST, PGPORT, DATABASE_URL } = kept();
  assert.deepEqual(
    [PGUSER, PGPASSWORD, PGHOST, PGPORT, DATABASE_URL],
    [owner.user, owner.password, "127.0.0.1", String(server.port), env.DATABASE_URL],
  );
  const project = makeMigratorProject();
  const args = ["migrate", ...project.args, "--migrator-env", "DATABASE_URL", "--before", command];
  const other = await runHeadgate(first, [...args, ...bare], { env });
  assert.equal(other.exitCode, 0, other.stderr);
  assert.deepEqual([kept()["PGUSER"], kept()["DATABASE_URL"]], ["server", env.DATABASE_URL]);
});

test("T1 a set says what its migrator is told, and a preset what its tool reads", async () => {
  const { database } = await prepare();
  const bin = join(temporaryFolder("headgate-bin-"), "bin");
  mkdirSync(bin);
  const file = join(bin, "kept");
  writeFileSync(join(bin, "flyway"), `#!/bin/sh\nenv -0 > ${file}\n`);
  chmodSync(join(bin, "flyway"), 0o755);
  const cwd = temporaryFolder("headgate-flyway-");
  writeFileSync(join(cwd, "flyway.conf"), "");
  mkdirSync(join(cwd, "sql"));
  writeFileSync(join(cwd, "sql/V1__one.sql"), "SELECT 1;");
  const boot = (env: Variables) =>
    runHeadgate(first, ["migrate"], {
      cwd,
      env: { DATABASE_URL: server.url(database), PATH: `${bin}:${process.env["PATH"]}`, ...env },
    });
  const preset = await boot({ HEADGATE_MIGRATOR: "flyway" });
  assert.equal(preset.exitCode, 0, preset.stderr);
  const { FLYWAY_URL, FLYWAY_USER, FLYWAY_PASSWORD } = readVariables(file);
  assert.match(
    FLYWAY_URL ?? "",
    /^jdbc:postgresql:\/\/127\.0\.0\.1:\d+\/\w+\?sslmode=disable&options=.*&ApplicationName=headgate-migrator[^&]*$/,
  );
  assert.deepEqual([FLYWAY_USER, FLYWAY_PASSWORD], [server.user, server.password]);

  const set = { name: "one", migrator: ["flyway"], "migrator-env": ["A=user", "B=database"] };
  const listed = await boot({ HEADGATE_SETS: JSON.stringify([set]) });
  assert.equal(listed.exitCode, 0, listed.stderr);
  const { A, B, FLYWAY_URL: none } = readVariables(file);
  assert.deepEqual([A, B, none], [server.user, database, undefined]);

  const local = server.url(database, { host: server.socketDir });
  const refused = await boot({ HEADGATE_MIGRATOR: "flyway", DATABASE_URL: local });
  assert.equal(refused.exitCode, 64);
  assert.match(refused.stderr, /FLYWAY_URL: a tool that uses JDBC reaches no unix socket/);
});

test("T1 mistakes in what is to be told are listed before anything is connected to", async () => {
  const args = ["migrate", "--migrator", "true", "--migrator-env", "URL=jdbs"];
  const { exitCode, stderr } = await runHeadgate(first, [...args, "--hook-env", "not a name"], {
    env: { DATABASE_URL: "postgres://127.0.0.1:1/x" },
  });
  assert.equal(exitCode, 64);
  assert.match(stderr, /--migrator-env: URL: \\"jdbs\\" is not one of .*; is jdbc meant\?/);
  assert.match(stderr, /--hook-env: \\"not a name\\" is not the name of a variable/);
  const lone = await runHeadgate(first, ["migrate", "--migrator-env", "URL"]);
  assert.match(lone.stderr, /--migrator-env is given without --migrator/);
});
