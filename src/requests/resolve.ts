/** The step that `headgate resolve` is about, and what became of it. */
export type Resolution = {
  readonly migration: number;
  readonly step: number;
  readonly isDone: boolean;
};

/**
 * @param operand as typed: `7:2`; undefined when it was left out, which is a mistake that is known already
 * @param mistakes receives what is wrong
 */
export function readResolution(
  operand: string | undefined,
  { isDone, isRedo }: { readonly isDone: boolean; readonly isRedo: boolean },
  mistakes: string[],
): Resolution {
  const [, migration, step] = /^(\d+):(\d+)$/.exec(operand ?? "0:0") ?? [];
  if (step === undefined) {
    mistakes.push(
      `"${operand}" is not a step; write it as the failed run named it: 7:2 is step 2 of migration 7`,
    );
  }
  if (isDone === isRedo) mistakes.push("choose one of --done and --redo");
  return { migration: Number(migration), step: Number(step), isDone };
}
