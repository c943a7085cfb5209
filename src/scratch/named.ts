import { createSchema } from "../apply/prepare-history.ts";
import { HeadgateError } from "../errors.ts";
import { toLockKey } from "../lock/key.ts";
import { runTogether } from "../postgres/run-together.ts";
import type { Session } from "../postgres/session.ts";
import { cleanUp } from "./clean-up.ts";
import { type Content, listContents, listExtensions } from "./contents.ts";

/** "headgate" in ASCII: one run at a time fills a scratch database. */
const lockKey = toLockKey(0x6865616467617465n).key;
const shown = 10;

/** What a scratch database was like before it was used. */
export type Found = { readonly extensions: readonly string[] };

/**
 * Takes a database that the user named, if nothing is in it.
 * @throws HeadgateError usage (64) that names what is in it; lock_timeout (75) when another run uses it
 */
export async function claimNamed(session: Session, signal: AbortSignal): Promise<Found> {
  const [lock] = await session.query(
    `select pg_catalog.pg_try_advisory_lock(${lockKey}) as mine`,
    signal,
  );
  if (lock?.rows[0]?.["mine"] !== true) {
    throw new HeadgateError(
      "lock_timeout",
      "the scratch database is in use by another headgate; nothing was changed",
      { fix: "run again when it is done, or give each run a scratch database of its own" },
    );
  }
  const contents = await listContents(session, signal);
  if (contents.length > 0) throw notEmpty(contents);
  return { extensions: await listExtensions(session, signal) };
}

function notEmpty(contents: readonly Content[]): HeadgateError {
  const more = contents.length - shown;
  return new HeadgateError("usage", "the scratch database is not empty; nothing was changed", {
    problems: [
      ...contents.slice(0, shown).map(({ kind, name }) => `${kind} ${name}`),
      ...(more > 0 ? [`and ${more} more`] : []),
    ],
    fix: "name an empty database with --scratch-url; if a killed run left these here, drop and create it again",
  });
}

/**
 * Removes all that was made since it was taken, also after a signal to stop. Never throws, because what it follows may
 * be worse.
 * @returns why something is still there
 */
export async function emptyNamed(
  session: Session,
  { extensions }: Found,
  signal: AbortSignal,
): Promise<string | undefined> {
  return cleanUp(signal, async (limit) => {
    await session.query(
      "rollback; reset session authorization; reset role; reset all; discard temp",
      limit,
    );
    // More than once, because some things can go only when others have.
    let left = await listContents(session, limit, extensions);
    for (let before = Number.POSITIVE_INFINITY; left.length > 0 && left.length < before;) {
      before = left.length;
      const drops = left.map(({ drop }) => ({ sql: drop }));
      await runTogether(session, drops, limit);
      left = await listContents(session, limit, extensions);
    }
    await createSchema(session, "public", limit);
    return left.length === 0
      ? undefined
      : `left: ${left
          .slice(0, shown)
          .map(({ kind, name }) => `${kind} ${name}`)
          .join(", ")}`;
  });
}
