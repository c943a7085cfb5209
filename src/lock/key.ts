import { createHash } from "node:crypto";

/** A 64-bit advisory lock key as `pg_locks` shows it: two unsigned halves. */
export type LockKey = { readonly key: string; readonly classid: number; readonly objid: number };

/** The key every postgres-migrations process takes (postgres-migrations 5.3.0, dist/with-lock.js). */
const packageKey = toLockKey(-8525285245963000605n);

/**
 * The locks of one history table. Advisory locks are per database already; the first key, taken exclusively, makes
 * them per schema and table as well. A table called `migrations` may also be in use by plain postgres-migrations,
 * which takes one key for all schemas: headgate takes that one in shared mode, so that it shuts those processes out
 * but not another headgate that migrates another schema.
 */
export function lockKeys(schema: string, table: string): { own: LockKey; shared?: LockKey } {
  const digest = createHash("sha256").update(`headgate\0${schema}\0${table}`).digest();
  const own = toLockKey(digest.readBigInt64BE(0));
  return table === "migrations" ? { own, shared: packageKey } : { own };
}

/** The lock of one migrator whose runs are recorded in a table. Never a key of the migrator's own. */
export function migratorKeys(schema: string, table: string, name: string): { own: LockKey } {
  const subject = `headgate migrator\0${schema}\0${table}\0${name}`;
  return { own: toLockKey(createHash("sha256").update(subject).digest().readBigInt64BE(0)) };
}

export function toLockKey(key: bigint): LockKey {
  const bits = BigInt.asUintN(64, key);
  return { key: key.toString(), classid: Number(bits >> 32n), objid: Number(bits & 0xffffffffn) };
}
