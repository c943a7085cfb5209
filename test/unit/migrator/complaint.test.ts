import assert from "node:assert/strict";
import { test } from "node:test";
import { inWords, readComplaint } from "../../../src/migrator/complaint.ts";

const read = (preset: string | undefined, text: string): string =>
  inWords(readComplaint(preset, text.split("\n"), "/app"));

test("T2 what a tool does not say is left out, and what is Postgres' own is found in any tool's words", () => {
  assert.equal(read("alembic", "nothing of use"), "");
  assert.equal(
    read("alembic", "ERROR [alembic.util.messaging] x\n  FAILED: Can't locate revision 'x'"),
    ": Can't locate revision 'x'",
  );
  assert.equal(
    read(
      "alembic",
      "Traceback (most recent call last):\n  File \"a\", line 1\nKeyError: 'DATABASE_URL'",
    ),
    ": KeyError: 'DATABASE_URL'",
  );
  assert.equal(
    read(undefined, "step 3\nERROR:  column x does not exist\nLINE 1: SELECT x\n               ^"),
    ": column x does not exist; the statement: SELECT x",
  );
  assert.equal(
    read("prisma", "Database error:\nERROR: relation does not exist"),
    ": relation does not exist",
  );
  assert.equal(read("drizzle", "\u001b[2K\u001b[1G[⣯] applying migrations..."), "");
});

test("T2 a migration that was applied is not the one that failed, and long words are cut", () => {
  assert.equal(
    read(
      "django",
      "  Applying a.0001_x... OK\n  Applying a.0002_y...\ndjango.db.utils.ProgrammingError: no",
    ),
    " in a.0002_y: no",
  );
  const long = read("dbmate", `Applying: 1.sql\nError: pq: ${"x".repeat(1000)}`);
  assert.ok(long.length < 350 && long.endsWith(" …"), long);
});
