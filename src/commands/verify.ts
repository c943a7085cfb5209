import { sleep } from "../deadline.ts";
import { HeadgateError } from "../errors.ts";
import { lookAtSets, type SetState } from "../gate/look-at-sets.ts";
import { prepareSets } from "../gate/prepare-sets.ts";
import type { Context } from "../look.ts";

/** Between looks of --wait, spread over the interval so that the pods of a roll-out do not look together. */
const pollMs = 2000;
const progressEveryMs = 10_000;

/**
 * `headgate verify`: exit 0 when every migration this image ships is applied. Reads only, also from a standby.
 * Without --wait it is a probe: one attempt to connect, one answer.
 */
export async function verify(context: Context): Promise<number> {
  const { config, log, signal } = context;
  const sets = await prepareSets(context);
  const started = performance.now();
  const patience = config.waitUntilApplied ? {} : { waitTimeoutMs: 0, authGraceMs: 0 };
  let lastLine = 0;
  for (;;) {
    const states = await lookAtSets(sets, patience);
    for (const { refusal } of states) if (refusal !== undefined) throw refusal;
    const pending = states.filter((state) => state.pending.length > 0);
    if (pending.length === 0) {
      for (const { ahead } of states)
        if (ahead !== undefined)
          log.warn({ phase: "verify", ahead }, "found the database ahead of this image");
      return context.print(states.map((state) => `${describe(state)}\n`).join(""));
    }
    const waited = performance.now() - started;
    if (!config.waitUntilApplied || waited >= config.lockWaitMs) {
      throw new HeadgateError("pending", pending.map(describe).join("; "));
    }
    if (lastLine === 0 || performance.now() - lastLine >= progressEveryMs) {
      lastLine = performance.now();
      log.info(
        {
          phase: "verify",
          pending: pending.flatMap((state) => state.pending).length,
          ms: Math.round(waited),
        },
        "waiting for migrations",
      );
    }
    await sleep(Math.min(Math.random() * pollMs, config.lockWaitMs - waited), signal);
  }
}

const describe = ({ name, summary }: SetState): string =>
  name === undefined ? summary : `${name}: ${summary}`;
