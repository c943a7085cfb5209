import { hostname } from "node:os";
import { HeadgateError } from "../errors.ts";
import type { Context } from "../look.ts";
import { nameApplication } from "../postgres/application-name.ts";
import { askFacts, mustBeWritable } from "../postgres/facts.ts";
import type { Session } from "../postgres/session.ts";
import type { DatabaseSettings } from "../postgres/settings.ts";
import { waitUntilReady } from "../readiness/wait-until-ready.ts";
import { createScratch, dropOrphans, dropScratch } from "./created.ts";
import { refuseSameDatabase } from "./identity.ts";
import { claimNamed, emptyNamed } from "./named.ts";

/**
 * Gives an empty database to work in, and leaves nothing of it behind: also after a failure or a signal to stop, a
 * database that was named is empty again, and one that was created is gone.
 * @param target a session on the database to migrate, outside any transaction; it is used to create and drop, and to
 * make sure that the scratch database is another one. Only a named scratch can do without.
 * @param use what is done in it; the session is as the server gives it
 * @throws HeadgateError usage (64) when none is configured, it is not empty, or it is the target itself; not_ready (69)
 * when it cannot be reached; refused (77) without the rights; lock_timeout (75) when another run uses it
 */
export async function withScratch<T>(
  context: Context,
  target: Session | undefined,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const { scratch } = context.config;
  if (scratch?.kind === "named") return useNamed(context, scratch.settings, target, use);
  if (scratch === undefined || target === undefined) {
    throw new HeadgateError("usage", "this needs a scratch database, and none is configured", {
      fix: "name an empty database with --scratch-url, or let headgate create one with --scratch-create",
    });
  }
  return useCreated(context, target, use);
}

async function useNamed<T>(
  context: Context,
  settings: DatabaseSettings,
  target: Session | undefined,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const { log, signal } = context;
  const session = await openScratch(context, settings);
  try {
    if (target !== undefined) await refuseSameDatabase(target, session, signal);
    const found = await claimNamed(session, signal);
    try {
      return await use(session);
    } finally {
      const trouble = await emptyNamed(session, found, signal);
      const facts = { phase: "scratch", database: settings.database, trouble };
      if (trouble !== undefined) log.warn(facts, "could not empty the scratch database");
    }
  } finally {
    session.end();
  }
}

async function useCreated<T>(
  context: Context,
  target: Session,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const { config, log, signal } = context;
  await dropOrphans(target, log, signal);
  const database = await createScratch(target, signal);
  try {
    const settings = { ...config.database.settings, endpoints: [target.endpoint], database };
    const session = await openScratch(context, settings);
    try {
      return await use(session);
    } finally {
      session.end();
    }
  } finally {
    const trouble = await dropScratch(target, database, signal);
    const facts = { phase: "scratch", database, trouble };
    if (trouble !== undefined) log.warn(facts, "could not drop the scratch database");
  }
}

/** Waits for it as for the target; what it fails with says that it is about the scratch database. */
async function openScratch(context: Context, settings: DatabaseSettings): Promise<Session> {
  const { config, log, signal } = context;
  try {
    const { session } = await waitUntilReady(
      {
        settings: () => settings,
        applicationName: nameApplication(hostname()),
        waitTimeoutMs: config.waitTimeoutMs,
        connectTimeoutMs: settings.connectTimeoutMs ?? config.connectTimeoutMs,
        authGraceMs: config.authGraceMs,
        log,
        ask: async (candidate, limit) => mustBeWritable(await askFacts(candidate, limit)),
      },
      signal,
    );
    return session;
  } catch (error) {
    if (!(error instanceof HeadgateError)) throw error;
    const { code, message, fix, details, cause } = error;
    throw new HeadgateError(code, `the scratch database: ${message}`, { fix, details, cause });
  }
}
