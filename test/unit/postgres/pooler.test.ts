import assert from "node:assert/strict";
import { test } from "node:test";
import { forbidsTransactions, poolerLimit, poolerState } from "../../../src/postgres/pooler.ts";
import { saysGoodbye, type ServerError } from "../../../src/postgres/sqlstate.ts";

const error = (message: string, fields: Partial<ServerError> = {}): ServerError =>
  Object.assign(new Error(message), { code: "08P01", severity: "FATAL", ...fields });

/** As PgBouncer 1.7 to 1.25 say it; the later words are those of later versions. */
for (const [text, kind] of [
  ["no such database: shop", "grace"],
  ["no such user: api", "grace"],
  ["no such user", "grace"],
  ["auth failed", "grace"],
  ["password authentication failed", "grace"],
  ["SASL authentication failed", "grace"],
  ["login rejected", "fatal"],
  ["SSL required", "fatal"],
  ["unsupported startup parameter: options", "mistake"],
  ["unsupported startup parameter in options: search_path", "mistake"],
  ["unsupported options startup parameter: only '-c config=val' is allowed", "mistake"],
  ["no more connections allowed (max_client_conn)", "retry"],
  ['database "shop" is disabled', "retry"],
  ["query_wait_timeout", "retry"],
  ["client_login_timeout (server down)", "retry"],
  ["server login has been failing, try again later (server_login_retry)", "retry"],
  ["server login has been failing, cached error: connect failed (server_login_retry)", "retry"],
] as const) {
  test(`W1 a pooler's "${text}" means: ${kind}`, () => {
    assert.equal(poolerState(error(text))?.kind, kind);
  });
}

test("what only looks like a pooler's own word is not taken for one", () => {
  assert.equal(poolerState(error("no such user", { routine: "exec_stmt_raise" })), undefined);
  assert.equal(poolerState(error("no such user", { code: "28000" })), undefined);
  assert.equal(poolerState(error("server conn crashed?")), undefined);
  assert.equal(poolerState(new Error("no such user")), undefined);
});

test("limits of a pooler are known by the setting's name", () => {
  assert.equal(poolerLimit(error("query timeout")), "query_timeout");
  assert.equal(poolerLimit(error("idle transaction timeout")), "idle_transaction_timeout");
  assert.equal(poolerLimit(error("transaction timeout")), "transaction_timeout");
  assert.equal(poolerLimit(error("constructor")), undefined);
  assert.equal(poolerLimit(error("server conn crashed?")), undefined);
  const words = "transaction blocks not allowed in statement pooling mode";
  assert.equal(forbidsTransactions(error(words)), true);
  assert.equal(forbidsTransactions(error(words, { routine: "exec_stmt_raise" })), false);
});

test("a session is over by its severity, or by class 08 of whoever is no server", () => {
  const routine = "dblink_connect";
  for (const [fields, expected] of [
    [{ code: "57P01", severity: "FATAL", routine: "ProcessInterrupts" }, true],
    [{ code: "XX000", severity: "PANIC", routine: "XLogWrite" }, true],
    [{ code: "08P01", severity: "ERROR" }, true],
    [{ code: "08001", severity: "ERROR", routine }, false],
    [{ code: "42P01", severity: "ERROR", routine: "parserOpenTable" }, false],
  ] as const) {
    assert.equal(saysGoodbye(error("as it came", fields)), expected, JSON.stringify(fields));
  }
});
