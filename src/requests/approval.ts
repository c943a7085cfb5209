import { readFileSync } from "node:fs";
import { errorCode } from "../errors.ts";

/** A migration as a plan names it. */
export type ApprovedFile = {
  readonly id: number;
  readonly name: string;
  readonly checksum: string;
};

/** What `headgate plan --out` wrote, as far as `--plan` holds a run to it. */
export type Approval = {
  readonly path: string;
  readonly sets: readonly {
    readonly name: string | null;
    readonly historyTable: string;
    readonly migrator: {
      readonly command: string;
      readonly fingerprint: string | null;
      /** Of its own tables; plans of older versions have none. */
      readonly state?: string | null;
    } | null;
    readonly applied: readonly ApprovedFile[];
    readonly pending: readonly ApprovedFile[];
  }[];
};

/**
 * Reads the plan that was approved.
 * @param from the flag or variable that names it, for the mistakes
 * @param mistakes receives why it cannot be used
 */
export function readApproval(path: string, from: string, mistakes: string[]): Approval | undefined {
  let plan: unknown;
  try {
    plan = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    mistakes.push(`${from}: cannot read the plan ${path} (${errorCode(error) || "not JSON"})`);
    return undefined;
  }
  if (!isApproval(plan)) {
    mistakes.push(`${from}: ${path} is not what \`headgate plan --out\` of this version writes`);
    return undefined;
  }
  return { path, sets: plan.sets };
}

function isApproval(plan: unknown): plan is Approval {
  const isFile = (file: Partial<ApprovedFile>): boolean =>
    typeof file?.id === "number" &&
    typeof file.name === "string" &&
    typeof file.checksum === "string";
  const { version, sets } = (plan ?? {}) as { version?: unknown; sets?: Approval["sets"] };
  return (
    version === 1 &&
    Array.isArray(sets) &&
    sets.every(
      (set: Partial<Approval["sets"][number]>) =>
        typeof set?.historyTable === "string" &&
        [set.applied, set.pending].every((files) => Array.isArray(files) && files.every(isFile)),
    )
  );
}
