import assert from "node:assert/strict";
import { chownSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { factColumns, readFacts } from "../../../src/postgres/facts.ts";
import { eventually } from "../../helpers/eventually.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });

test("W1 in the moment of its promotion a server is still a standby, not one that somebody made read-only", async (t) => {
  await server.stop();
  const { uid, gid } = statSync(server.dataDir);
  const signal = join(server.dataDir, "standby.signal");
  writeFileSync(signal, "");
  chownSync(signal, uid, gid);
  await server.start();
  const client = await server.connect("postgres");
  t.after(() => client.end());
  const ask = async () => {
    const { rows } = await client.query<Record<string, unknown>>(`select ${factColumns}`);
    const { isStandby, isReadOnly } = readFacts(rows[0] ?? {});
    return { isStandby, isReadOnly };
  };
  // As a query whose transaction began before the promotion, and whose functions are called after it.
  await client.query("BEGIN");
  await client.query("SELECT 1");
  await server.psql("postgres", "SELECT pg_promote()");
  const inRecovery = async () =>
    (await server.psql<{ yes: boolean }>("postgres", "SELECT pg_is_in_recovery() AS yes"))[0]?.yes;
  await eventually("it is promoted", async () => (await inRecovery()) === false);
  assert.deepEqual(await ask(), { isStandby: true, isReadOnly: true });
  await client.query("COMMIT");
  assert.deepEqual(await ask(), { isStandby: false, isReadOnly: false });
  await client.query("SET default_transaction_read_only = on");
  assert.deepEqual(await ask(), { isStandby: false, isReadOnly: true });
});
