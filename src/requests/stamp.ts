import { type ToolName, toolNames } from "../adopt/tools.ts";

/** Up to which file `headgate stamp` records, or which tool knows it; and whether it may write. */
export type StampRequest = {
  readonly to?: number;
  readonly from?: ToolName;
  readonly isConfirmed: boolean;
};

/**
 * @param operand as typed
 * @param from the value of --from
 * @param mistakes receives what is wrong
 */
export function readStamp(
  operand: string | undefined,
  from: string | undefined,
  isConfirmed: boolean,
  mistakes: string[],
): StampRequest {
  const tool = toolNames.find((name) => name === from);
  if ((operand === undefined) === (from === undefined)) {
    mistakes.push(
      "`headgate stamp` takes either the number of the newest file that is there already, or --from TOOL",
    );
  }
  const to = /^\d{1,10}$/.test(operand ?? "") ? Number(operand) : 0;
  if (operand !== undefined && to === 0) {
    mistakes.push(`"${operand}" is not the number of a file; they start at 1`);
  }
  return {
    isConfirmed,
    ...(operand === undefined ? {} : { to }),
    ...(tool === undefined ? {} : { from: tool }),
  };
}
