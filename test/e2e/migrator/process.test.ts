import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { testInPairs, testOn } from "../../helpers/everywhere.ts";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { makeMigratorProject } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer();

const fresh = async (): Promise<{ DATABASE_URL: string }> => ({
  DATABASE_URL: server.url(await createDatabase(server)),
});

/** The lines that a migrator printed, with where it printed them. */
const said = (lines: { [field: string]: unknown }[]): unknown[] =>
  lines.flatMap(({ phase, stream, msg }) =>
    phase === "migrator" && typeof stream === "string" ? [`${stream}: ${String(msg)}`] : [],
  );

testInPairs(
  "E4 after a migrator the server has no more descriptors, children and variables than without one, and its own stdin",
  async ({ artifact, pid1 }) => {
    const env = await fresh();
    const look =
      'ls -l /proc/self/fd | grep -c -e "->"; read children </proc/$$/task/$$/children; echo "$children"; env | sort; cat';
    const serve = ["--", "sh", "-c", look];
    const options = { pid1, env, input: "for the server" };
    const project = makeMigratorProject();
    const empty = temporaryFolder("headgate-empty-");
    const without = await runHeadgate(artifact, ["--migrations", empty, ...serve], options);
    const withOne = await runHeadgate(artifact, [...project.args, ...serve], options);
    assert.equal(withOne.exitCode, 0, withOne.stderr);
    assert.ok(withOne.lines.some(({ msg }) => msg === "migrated"));
    assert.equal(withOne.stdout, without.stdout);
    assert.match(withOne.stdout, /for the server$/);
  },
);

for (const artifact of artifacts) {
  testOn(
    artifact,
    "S4 each line of a migrator is a line of the log, and its exit code is told",
    async () => {
      const script = [
        ...["echo one", "echo two >&2", "printf 'no newline'", "printf '\\303\\244\\n' >&2"],
        ...["printf 'a\\r\\nb\\rc\\n'", "cat", "exit 7"],
      ].join("; ");
      const { exitCode, lines } = await runHeadgate(
        artifact,
        ["migrate", "--migrator", `sh -c ${JSON.stringify(script).replaceAll("\\\\", "\\")}`],
        { env: await fresh(), input: "not for the migrator" },
      );
      assert.equal(exitCode, 1);
      const printed = said(lines);
      assert.deepEqual(
        printed.filter((line) => String(line).startsWith("stdout")),
        ["stdout: one", "stdout: no newlinea", "stdout: b", "stdout: c"],
      );
      assert.deepEqual(
        printed.filter((line) => String(line).startsWith("stderr")),
        ["stderr: two", "stderr: ä"],
      );
      assert.equal(lines.at(-1)?.["migratorExitCode"], 7);
      assert.match(String(lines.at(-1)?.msg), /ended with exit code 7$/);
    },
  );

  testOn(
    artifact,
    "P1 secrets in what a migrator prints are hidden, in the termination message too",
    async () => {
      const database = await createDatabase(server);
      const password = server.password;
      const log = join(temporaryFolder("headgate-termination-"), "log");
      const { exitCode, stderr } = await runHeadgate(
        artifact,
        ["migrate", "--termination-log", log, "--migrator", "sh -c 'echo $DATABASE_URL; exit 1'"],
        { env: { DATABASE_URL: server.url(database) } },
      );
      assert.equal(exitCode, 1);
      const message = readFileSync(log, "utf8");
      for (const text of [stderr, message]) {
        assert.ok(!text.includes(password));
        assert.match(text, /postgres.*\[redacted\]/);
      }
      assert.match(message, /ended with exit code 1/);
    },
  );

  testOn(
    artifact,
    "S4 a line without an end is told in pieces, and a megabyte of lines is told whole",
    async () => {
      const script = "head -c 100000 /dev/zero | tr '\\0' x; echo; seq 1 100000";
      const { exitCode, lines } = await runHeadgate(
        artifact,
        ["migrate", "--migrator", JSON.stringify(["sh", "-c", script])],
        { env: await fresh() },
      );
      assert.equal(exitCode, 0);
      const printed = said(lines).map((line) => String(line).replace("stdout: ", ""));
      const wide = printed.filter((line) => line.startsWith("x")).join("");
      assert.equal(wide.length, 100_000);
      const numbers = printed.filter((line) => /^\d+$/.test(line));
      assert.deepEqual([numbers.length, numbers.at(-1)], [100_000, "100000"]);
    },
  );
}

test("L6 what a migrator leaves running is ended with it", async () => {
  const [artifact] = artifacts;
  assert.ok(artifact);
  const folder = temporaryFolder("headgate-left-");
  const script = "sh -c 'echo $$ > left; exec sleep 50' & while [ ! -s left ]; do :; done";
  const { exitCode } = await runHeadgate(
    artifact,
    ["migrate", "--migrator-dir", folder, "--migrator", JSON.stringify(["sh", "-c", script])],
    { env: await fresh() },
  );
  assert.equal(exitCode, 0);
  const pid = readFileSync(join(folder, "left"), "utf8").trim();
  const state = existsSync(`/proc/${pid}/stat`)
    ? readFileSync(`/proc/${pid}/stat`, "utf8")
    : "gone";
  assert.match(state, /^gone$|\) Z /, "at most a zombie that init has not reaped yet");
});

test("P4 the environment is the container's, with names for the sessions and limits that were asked for", async () => {
  const [artifact] = artifacts;
  assert.ok(artifact);
  const env = { ...(await fresh()), PGOPTIONS: "-c work_mem=8MB", OWN: '$x `y` "z"' };
  const run = (args: string[]) =>
    runHeadgate(artifact, ["migrate", "--migrator", "env", ...args], { env });
  const plain = said((await run([])).lines).map(String);
  assert.ok(plain.includes(`stdout: OWN=${env.OWN}`));
  assert.ok(
    plain.includes(`stdout: DATABASE_URL=${env.DATABASE_URL.replace(/:[^:@]+@/, ":[redacted]@")}`),
  );
  assert.ok(plain.some((line) => /^stdout: PGAPPNAME=headgate-migrator [0-9a-f]{12} /.test(line)));
  const check = "-c client_connection_check_interval=500";
  assert.ok(plain.includes(`stdout: PGOPTIONS=-c work_mem=8MB ${check}`));
  const limited = said((await run(["--migrator-lock-timeout", "2s"])).lines);
  assert.ok(limited.includes(`stdout: PGOPTIONS=-c work_mem=8MB ${check} -c lock_timeout=2000`));
});

test("P4 a program is found by PATH, or by its path from --migrator-dir, before the database is touched", async () => {
  const [artifact] = artifacts;
  assert.ok(artifact);
  const folder = temporaryFolder("headgate-program-");
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin/move"), "#!/bin/sh\npwd\n", { mode: 0o755 });
  const env = await fresh();
  const args = ["migrate", "--migrator-dir", folder, "--migrator", "bin/move now"];
  const { exitCode, lines, stderr } = await runHeadgate(artifact, args, { env });
  assert.equal(exitCode, 0, stderr);
  assert.deepEqual(said(lines), [`stdout: ${folder}`]);

  const nowhere = { DATABASE_URL: "postgres://a:b@127.0.0.1:1/c" };
  const refused = await runHeadgate(
    artifact,
    ["migrate", "--migrator", "no-such-tool up", "--before", "no/such/backup", "--after", "true"],
    { env: nowhere },
  );
  assert.equal(refused.exitCode, 64);
  assert.match(refused.stderr, /the migrator \\"no-such-tool\\" is not in PATH/);
  assert.match(refused.stderr, /the --before command \\"no\/such\/backup\\" does not exist/);
});

test("M6 a mistake in how a migrator is described is refused with the remedy, all at once", async () => {
  const [artifact] = artifacts;
  assert.ok(artifact);
  const env = await fresh();
  const refusal = async (args: string[], cwd?: string): Promise<string> => {
    const where = cwd === undefined ? {} : { cwd };
    const { exitCode, stderr } = await runHeadgate(artifact, ["migrate", ...args], {
      env,
      ...where,
    });
    assert.equal(exitCode, 64, stderr);
    return stderr;
  };
  const both = await refusal([
    ...["--migrator", "a | b", "--migrations", "sql", "--migrator-state", "not a table"],
    ...["--before", "'open"],
  ]);
  for (const each of [
    /no shell reads it/,
    /choose one/,
    /not a table name/,
    /quote ' is not closed/,
  ])
    assert.match(both, each);
  assert.match(await refusal(["--migrator-inputs", "*.py"]), /given without --migrator/);
  const folder = temporaryFolder("headgate-tools-");
  const none = await refusal(["--migrator", "true", "--migrator-inputs", "*.py"], folder);
  assert.match(none, /none of the migrator's files is there: \*\.py in /);

  const senseless = await refusal(["--migrator", "true", "--migrator-inputs", "[z-a]"], folder);
  assert.match(senseless, /cannot be looked for: .*[Rr]ange/);

  writeFileSync(join(folder, "alembic.ini"), "");
  assert.match(await refusal([], folder), /this looks like alembic: is --migrator alembic meant\?/);
  writeFileSync(join(folder, "manage.py"), "");
  assert.doesNotMatch(await refusal([], folder), /looks like/, "two tools' files tell nothing");
});
