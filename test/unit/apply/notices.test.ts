import assert from "node:assert/strict";
import { test } from "node:test";
import { noticeReporter } from "../../../src/apply/notices.ts";
import type { Log } from "../../../src/report/log.ts";

type Line = { level: string; facts: Record<string, unknown>; event: string };

/** A log that keeps its lines. */
function keepingLog(): { log: Log; lines: Line[] } {
  const lines: Line[] = [];
  const keep =
    (level: string) =>
    (facts: object, event: string): void =>
      void lines.push({ level, facts: { ...facts }, event });
  const log = {
    debug: keep("debug"),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
  };
  return { log, lines };
}

const phase = "migrate";

test("M8 a warning of the server is logged as one, and its lesser messages for debugging, each with its file", () => {
  const { log, lines } = keepingLog();
  const notices = noticeReporter(log);
  notices.listen({ severity: "NOTICE", code: "00000", message: "before any file" });
  notices.begin("1_a.sql");
  for (const severity of ["WARNING", "NOTICE", "INFO", "LOG", "DEBUG"]) {
    notices.listen({ severity, code: "00000", message: "hello" });
  }
  notices.finish();
  const told = (severity: string, migration: string | undefined, message = "hello"): Line => {
    return {
      level: "debug",
      facts: { phase, migration, severity, message },
      event: "told by the server",
    };
  };
  const migration = "1_a.sql";
  assert.deepEqual(lines, [
    told("NOTICE", undefined, "before any file"),
    { level: "warn", facts: { phase, migration, message: "hello" }, event: "warned by the server" },
    ...["NOTICE", "INFO", "LOG", "DEBUG"].map((severity) => told(severity, migration)),
  ]);
});

test("M8 of many messages the first few of each file are logged, and the rest is counted by severity", () => {
  const { log, lines } = keepingLog();
  const notices = noticeReporter(log, 3);
  for (const migration of ["1_a.sql", "2_b.sql"]) {
    notices.begin(migration);
    for (let index = 1; index <= 100_000; index++) {
      notices.listen({ severity: "WARNING", code: "01000", message: `w${index}` });
      notices.listen({
        severity: index % 2 ? "NOTICE" : "INFO",
        code: "00000",
        message: `n${index}`,
      });
    }
    notices.finish();
    // First, because to show how two hundred thousand lines differ takes a minute.
    assert.equal(lines.length, 7);
    const messages = lines.flatMap(({ facts }) => facts["message"] ?? []);
    assert.deepEqual(messages, ["w1", "n1", "w2", "n2", "w3", "n3"]);
    assert.deepEqual(lines.at(-1), {
      level: "warn",
      facts: {
        phase,
        migration,
        leftOut: { WARNING: 99_997, NOTICE: 49_998, INFO: 49_999 },
      },
      event: "left out more messages of the server",
    });
    lines.length = 0;
  }
  notices.finish();
  assert.deepEqual(lines, []);
});

test("M8 where only lesser messages were left out, nobody is warned", () => {
  const { log, lines } = keepingLog();
  const notices = noticeReporter(log);
  notices.begin("1_a.sql");
  for (let index = 0; index <= 20; index++)
    notices.listen({ severity: "INFO", code: "00000", message: "i" });
  notices.finish();
  assert.equal(lines.length, 21);
  assert.ok(lines.every(({ level }) => level === "debug"));
  assert.deepEqual(lines.at(-1)?.facts["leftOut"], { INFO: 1 });
});

test("M8 the next file also ends the count of the one before it", () => {
  const { log, lines } = keepingLog();
  const notices = noticeReporter(log, 0);
  notices.begin("1_a.sql");
  notices.listen({ severity: "WARNING", code: "01000", message: "w" });
  notices.begin("2_b.sql");
  notices.listen({ severity: "NOTICE", code: "00000", message: "n" });
  notices.finish();
  assert.deepEqual(
    lines.map(({ facts }) => facts),
    [
      { phase, migration: "1_a.sql", leftOut: { WARNING: 1 } },
      { phase, migration: "2_b.sql", leftOut: { NOTICE: 1 } },
    ],
  );
});

test("M8 a long message is cut, but not inside a character", () => {
  const { log, lines } = keepingLog();
  const notices = noticeReporter(log);
  for (const message of ["x".repeat(1000), "x".repeat(1001), `${"x".repeat(999)}🙂`]) {
    notices.listen({ severity: "WARNING", code: "01000", message });
  }
  assert.deepEqual(
    lines.map(({ facts }) => facts["message"]),
    ["x".repeat(1000), `${"x".repeat(1000)} …`, `${"x".repeat(999)} …`],
  );
});

test("M8 a warning is one in whatever language the server speaks, and shows no password", () => {
  const { log, lines } = keepingLog();
  noticeReporter(log).listen({
    severity: "WARNUNG",
    code: "01000",
    message: "PASSWORD 'hunter2' ist alt",
  });
  assert.equal(lines[0]?.["level"], "warn");
  assert.doesNotMatch(JSON.stringify(lines), /hunter2/);
});
