import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { HeadgateError } from "../../../src/errors.ts";
import { redactor } from "../../../src/report/redact.ts";
import { terminationMessage } from "../../../src/report/termination.ts";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { useServer } from "../../helpers/use-server.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts, requireOrSkip, runHeadgate, startHeadgate } from "../../helpers/headgate.ts";
import { makeMigrations } from "../../helpers/migrations.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer();
let folder: string;
before(async () => {
  folder = temporaryFolder("headgate-report-");
});

const BROKEN = { "1_first.sql": "CREATE TABLE a ();\n", "2_broken.sql": "SELECT 1;\nSELEKT 2;\n" };

/** The variables for a fresh database and these migrations. */
async function fresh(files?: Record<string, string>): Promise<Record<string, string>> {
  const DATABASE_URL = server.url(await createDatabase(server));
  return { DATABASE_URL, HEADGATE_MIGRATIONS: makeMigrations(files) };
}

/** Every way to fail that takes no long wait, with its exit code. */
const failures: Record<string, { args: string[]; exitCode: number; broken?: boolean }> = {
  "broken SQL": { args: ["migrate"], exitCode: 1, broken: true },
  "pending migrations": { args: ["verify"], exitCode: 3 },
  "a mistake in the arguments": { args: ["migrate", "--lock-wiat=1m", "--json"], exitCode: 64 },
  "a migrations folder that is not there": { args: ["migrate", "--migrations=/no"], exitCode: 64 },
  "a server that is not there": { args: ["wait", "--wait-timeout=300ms"], exitCode: 69 },
  "a command that is not there": { args: ["--", "no-such-command"], exitCode: 127 },
};

for (const artifact of artifacts) {
  for (const [what, { args, exitCode, broken }] of Object.entries(failures)) {
    testOn(
      artifact,
      `${what} is reported in one line, with what to do, and nothing on stdout`,
      async () => {
        const env = await fresh(broken ? BROKEN : undefined);
        if (exitCode === 69) env["DATABASE_URL"] = server.url("x", { port: await freePort() });
        const result = await runHeadgate(artifact, args, { env });
        assert.equal(result.exitCode, exitCode, result.stderr);
        assert.equal(result.stdout, "");
        assert.ok(
          result.lines.every(({ raw }) => raw === undefined),
          result.stderr,
        );
        const errors = result.lines.filter(({ level }) => level === "error");
        assert.equal(errors.length, 1);
        assert.equal(errors[0], result.lines.at(-1), "it is the last line");
        assert.equal(errors[0]?.["exitCode"], exitCode);
        assert.equal(typeof errors[0]["fix"], "string");
        assert.doesNotMatch(result.stderr, /\n?\s+at .*:\d+:\d+|node:internal/, "a stack trace");
      },
    );

    testOn(artifact, `${what} is told to Kubernetes in at most 4096 bytes`, async () => {
      const env = await fresh(broken ? BROKEN : undefined);
      if (exitCode === 69) env["DATABASE_URL"] = server.url("x", { port: await freePort() });
      const file = join(folder, "termination");
      writeFileSync(file, "");
      const result = await runHeadgate(artifact, args, {
        env: { ...env, HEADGATE_TERMINATION_LOG: file },
      });
      assert.equal(result.exitCode, exitCode, result.stderr);
      const told = readFileSync(file);
      assert.ok(told.length <= 4096);
      assert.match(
        told.toString(),
        new RegExp(`^\\w+ \\(exit ${exitCode}\\): .+\n[^]*to do: .+\n`),
      );
    });
  }

  testOn(
    artifact,
    "an SQL failure names file, line, column, SQLSTATE and statement, in the log and to Kubernetes",
    async () => {
      const file = join(folder, "termination-sql");
      const env = { ...(await fresh(BROKEN)), HEADGATE_TERMINATION_LOG: file };
      const result = await runHeadgate(artifact, ["migrate"], { env });
      const { migration, line, column, sqlstate, statement, msg } = result.lines.at(-1) ?? {};
      assert.deepEqual([migration, line, column], ["2_broken.sql", 2, 1]);
      assert.deepEqual([sqlstate, statement], ["42601", "SELEKT 2"]);
      for (const text of [msg, readFileSync(file, "utf8")]) {
        assert.match(String(text), /2_broken\.sql:2:1: .*"SELEKT" \(42601 syntax_error\)/);
      }
    },
  );

  testOn(artifact, "success leaves the termination file alone", async () => {
    const file = join(folder, `untouched-${artifact.name.slice(0, 3)}`);
    const env = { ...(await fresh()), HEADGATE_TERMINATION_LOG: file };
    assert.equal((await runHeadgate(artifact, ["migrate"], { env })).exitCode, 0);
    assert.ok(!existsSync(file));
  });

  testOn(
    artifact,
    "a termination file that cannot be written changes neither exit code nor error line",
    async () => {
      const args = [
        "wait",
        "--wait-timeout=x",
        "--termination-log",
        join(folder, "no/such/folder"),
      ];
      const result = await runHeadgate(artifact, args, { env: await fresh() });
      assert.equal(result.exitCode, 64);
      const levels = result.lines.map(({ level, msg }) => `${String(level)} ${String(msg)}`);
      assert.match(levels[0] ?? "", /^error the configuration has mistakes/);
      assert.match(levels[1] ?? "", /^warn could not write the termination log/);
    },
  );

  testOn(
    artifact,
    "where stderr is no terminal each line is one JSON object with level, time and event",
    async () => {
      const result = await runHeadgate(artifact, ["--", "true"], { env: await fresh() });
      assert.equal(result.exitCode, 0, result.stderr);
      for (const line of result.stderr.trimEnd().split("\n")) {
        const { level, time, msg } = JSON.parse(line) as Record<string, string>;
        assert.equal(level, "info");
        assert.equal(new Date(time ?? "").toISOString(), time);
        assert.ok((msg ?? "").length > 0 && line.endsWith(`"msg":${JSON.stringify(msg)}}`), line);
      }
      assert.deepEqual(
        result.lines.map(({ msg }) => msg),
        [
          "configured",
          "locked",
          "marked",
          "applied",
          "applied",
          "applied",
          "migrated",
          "handed over",
        ],
      );
    },
  );

  testOn(artifact, "--log-format text gives lines for people", async () => {
    const args = ["migrate", "--log-format", "text"];
    const good = await runHeadgate(artifact, args, { env: await fresh() });
    assert.equal(good.exitCode, 0, good.stderr);
    for (const line of good.stderr.trimEnd().split("\n")) {
      assert.match(line, /^\d\d:\d\d:\d\d\.\d{3} headgate: [a-z]/);
    }
    assert.match(
      good.stderr,
      /headgate: applied phase=migrate migration=1_create-accounts\.sql ms=\d/,
    );
    const bad = await runHeadgate(artifact, args, { env: await fresh(BROKEN) });
    assert.match(bad.stderr, /headgate: ERROR .*2_broken\.sql:2:1: /);
    assert.match(bad.stderr, /\n {2}2 \| SELEKT 2;\n {4}\| \^\n[^]*\n {2}to do: .+\n$/);
    const env = { ...(await fresh()), HEADGATE_LOG_FORMAT: "text" };
    const mistaken = await runHeadgate(artifact, ["migrate", "--lock-wait", "soon"], { env });
    assert.match(
      mistaken.stderr,
      /headgate: ERROR the configuration has mistakes.*\n {2}- --lock-/,
    );
  });

  testOn(artifact, "a terminal gets lines for people without asking", async (t) => {
    const wrap = ["script", "-qec", 'exec "$COMMAND" $ARGUMENTS', "/dev/null"];
    const { exitCode } = await runHeadgate({ name: "script", command: ["script", "-V"] }, []).catch(
      () => ({ exitCode: 127 }),
    );
    if (!requireOrSkip(t, exitCode === 0, "no script(1) to make a terminal")) return;
    const [COMMAND = "", ...rest] = artifact.command;
    const env = { ...(await fresh()), COMMAND, ARGUMENTS: [...rest, "migrate"].join(" ") };
    const result = await runHeadgate({ name: "on a terminal", command: wrap }, [], { env });
    assert.equal(result.exitCode, 0);
    assert.match(result.stdout, /^\d\d:\d\d:\d\d\.\d{3} headgate: configured /);
  });

  testOn(artifact, "--log-level hides what is less important", async () => {
    const env = await fresh();
    for (const [level, expected] of [
      ["info", ["info"]],
      ["warn", []],
      ["error", []],
    ] as const) {
      const args = ["migrate", "--log-level", level];
      const { lines } = await runHeadgate(artifact, args, { env });
      assert.deepEqual([...new Set(lines.map((line) => line["level"]))], expected);
    }
    const noisy = { ...env, HEADGATE_NO_SUCH: "1", HEADGATE_LOG_LEVEL: "warn" };
    const warned = await runHeadgate(artifact, ["wait"], { env: noisy });
    assert.deepEqual(
      warned.lines.map(({ level }) => level),
      ["warn"],
    );
    const failed = await runHeadgate(artifact, ["verify", "--log-level", "error"], {
      env: await fresh(),
    });
    assert.deepEqual(
      failed.lines.map(({ level }) => level),
      ["error"],
    );
  });

  testOn(artifact, "being stopped is a warning and no failure", async () => {
    const file = join(folder, "stopped");
    const url = server.url("x", { port: await freePort() });
    const env = { DATABASE_URL: url, HEADGATE_TERMINATION_LOG: file };
    const running = await startHeadgate(artifact, ["wait"], { env });
    await running.waitForLog("waiting");
    running.signal("SIGTERM");
    const { exitCode, lines } = await running.result;
    assert.equal(exitCode, 143);
    assert.deepEqual([lines.at(-1)?.["level"], lines.at(-1)?.msg], ["warn", "stopped"]);
    assert.ok(!existsSync(file));
  });
}

test("a termination message that is too long is cut between characters, its most important part first", () => {
  const problems = Array.from({ length: 500 }, (_, index) => `mistake ${index}: ü€😀`);
  for (let shift = 0; shift < 8; shift++) {
    const failure = new HeadgateError("usage", "x".repeat(shift), { problems });
    const message = terminationMessage(failure, (text) => text);
    const length = Buffer.byteLength(message);
    assert.ok(length <= 4096 && length > 4080, `${length} bytes`);
    assert.match(message, /^usage \(exit 64\): x*\n- mistake 0: ü€😀\n[^\uFFFD]* …\n$/);
  }
});

test("a secret is removed in every spelling, and the rest of the line stays as it is", () => {
  const secret = `it's "so" se/cret`;
  const redact = redactor(new Set([secret, `${secret}!longer`, "short"]));
  for (const [line, expected] of [
    [`a ${secret} b`, "a [redacted] b"],
    [`a ${secret}!longer b`, "a [redacted] b"],
    [JSON.stringify({ a: secret, b: 1 }), '{"a":"[redacted]","b":1}'],
    [`/x?y=${encodeURIComponent(secret)}&z`, "/x?y=[redacted]&z"],
    [`select '${secret.replaceAll("'", "''")}'`, "select '[redacted]'"],
    ["a short word", "a short word"],
    ["postgres://u:p@ss:w/rd@h:1/d x@y", "postgres://u:[redacted]@h:1/d x@y"],
    ["http://h:80/a@b", "http://h:80/a@b"],
    ["amqp://u:p@h/", "amqp://u:[redacted]@h/"],
    ["http://h/?token=x&y=1", "http://h/?token=[redacted]&y=1"],
    ["password authentication failed", "password authentication failed"],
    ["check user, password, grants", "check user, password, grants"],
    ["connection 'host=h password=x y'", "connection 'host=h password=[redacted] y'"],
    ["alter role r password 'x''y' login", "alter role r password '[redacted]' login"],
  ] as const) {
    assert.equal(redact(line), expected);
  }
});
