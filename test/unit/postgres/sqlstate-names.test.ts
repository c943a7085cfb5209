import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { conditionNames } from "../../../src/postgres/sqlstate-names.ts";
import { describeSqlState } from "../../../src/postgres/sqlstate.ts";
import { postgresBinaries } from "../../helpers/postgres-binaries.ts";
import { useServer } from "../../helpers/use-server.ts";

/** The version whose names they are. */
const major = 18;

const server = await useServer({ major });

/** PL/pgSQL knows no names for success, warnings and "no data". */
const errors = [...conditionNames()].filter(([code]) => !/^0[012]/.test(code));

test("M8 the server raises each condition under the SQLSTATE that headgate shows with its name", async () => {
  // OTHERS does not catch these two. A name that the server does not know gives 42704.
  await server.psql(
    "postgres",
    `CREATE FUNCTION code_of(name text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION USING ERRCODE = name;
    EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN RETURN SQLSTATE;
    END $$`,
  );
  const told = await server.psql<{ name: string; code: string }>(
    "postgres",
    "SELECT name, code_of(name) AS code FROM unnest($1::text[]) AS name",
    [errors.map(([, name]) => name)],
  );
  const others = told.filter(({ code }, index) => code !== errors[index]?.[0]);
  // These names belong to two codes, of which RAISE takes the first.
  assert.deepEqual(others, [
    { name: "modifying_sql_data_not_permitted", code: "2F002" },
    { name: "prohibited_sql_statement_attempted", code: "2F003" },
    { name: "reading_sql_data_not_permitted", code: "2F004" },
    { name: "null_value_not_allowed", code: "22004" },
  ]);
});

test("M8 the server catches each SQLSTATE by the name that headgate shows with it", async () => {
  const client = await server.connect("postgres");
  try {
    for (const [code, name] of errors) {
      await client.query(
        `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${code}'; EXCEPTION WHEN ${name} THEN NULL; END $$`,
      );
    }
  } finally {
    await client.end();
  }
});

test("M8 no SQLSTATE of the server's own list lacks its name, and none is beyond it", () => {
  const share = join(dirname(postgresBinaries(major).initdb), "../share/postgresql");
  const list = readFileSync(join(share, "errcodes.txt"), "utf8");
  // A line without a name is a second macro for the code of another line.
  const lines = list.matchAll(/^([0-9A-Z]{5})\s+[EWS]\s+ERRCODE_\w+[ \t]+(\w+)$/gm);
  const listed = new Map([...lines].map(([, code, name]) => [code, name]));
  assert.ok(listed.size > 250, `${listed.size} names were read`);
  assert.deepEqual(conditionNames(), listed);
});

test("M8 a SQLSTATE is shown with its name, and one that PostgreSQL does not define without", () => {
  assert.equal(describeSqlState("42P01"), "42P01 undefined_table");
  assert.equal(describeSqlState("00000"), "00000 successful_completion");
  assert.equal(describeSqlState("HG001"), "HG001");
});
