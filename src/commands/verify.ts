import { sleep } from "../deadline.ts";
import { HeadgateError } from "../errors.ts";
import { type Context, lookWhenReady } from "../look.ts";
import { readFolder } from "../migrations/folder.ts";
import { listNames, planMigrations, refuseUnlessSound } from "../migrations/plan.ts";
import { print } from "../report/print.ts";

/** Between looks of --wait, spread over the interval so that the pods of a roll-out do not look together. */
const pollMs = 2000;
const progressEveryMs = 10_000;

/**
 * `headgate verify`: exit 0 when every migration this image ships is applied. Reads only, also from a standby.
 * Without --wait it is a probe: one attempt to connect, one answer.
 */
export async function verify(context: Context): Promise<number> {
  const { config, log, signal } = context;
  const migrations = await readFolder(config.migrationsDir);
  const started = performance.now();
  const patience = config.waitUntilApplied ? {} : { waitTimeoutMs: 0, authGraceMs: 0 };
  let lastLine = 0;
  for (;;) {
    const { session, answer } = await lookWhenReady(context, { mustWrite: false, ...patience });
    session.end();
    const plan = planMigrations(migrations, answer.history);
    refuseUnlessSound(plan, config.failWhenAhead);
    if (plan.pending.length === 0) {
      print(`${plan.applied.length} applied, none pending\n`);
      return 0;
    }
    const waited = performance.now() - started;
    if (!config.waitUntilApplied || waited >= config.lockWaitMs) {
      throw new HeadgateError(
        "pending",
        `${plan.pending.length} of ${migrations.length} migrations are pending: ${listNames(plan.pending)}`,
      );
    }
    if (lastLine === 0 || performance.now() - lastLine >= progressEveryMs) {
      lastLine = performance.now();
      log.info(
        { phase: "verify", pending: plan.pending.length, ms: Math.round(waited) },
        "waiting for migrations",
      );
    }
    await sleep(Math.min(Math.random() * pollMs, config.lockWaitMs - waited), signal);
  }
}
