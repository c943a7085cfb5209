import type { Given } from "./given.ts";

/** Which rows of the history `headgate repair` is about, what is to become of them, and why; whether it may write. */
export type RepairRequest = {
  readonly ids: readonly number[];
  readonly change: "accept" | "forget";
  readonly reason: string;
  readonly isConfirmed: boolean;
};

/**
 * @param operand as typed: `7`, `3,5`; undefined when it was left out, which is a mistake that is known already
 * @param mistakes receives what is wrong
 */
export function readRepair(
  operand: string | undefined,
  { text, isOn }: Given,
  mistakes: string[],
): RepairRequest {
  const words = (operand ?? "1").split(",");
  if (!words.every((word) => /^0*[1-9]\d{0,9}$/.test(word))) {
    mistakes.push(
      `"${operand}" is not the number of a migration, nor several with commas between them, such as 3,5; they start at 1`,
    );
  }
  const [isAccepted, isForgotten] = [isOn("accept"), isOn("forget")];
  if (isAccepted === isForgotten) mistakes.push("choose one of --accept and --forget");
  const reason = text("reason")?.trim() ?? "";
  if (reason === "") {
    mistakes.push('--reason "…" is needed: say why; it is kept in the journal');
  }
  return {
    ids: [...new Set(words.map(Number))].toSorted((a, b) => a - b),
    change: isForgotten ? "forget" : "accept",
    reason,
    isConfirmed: isOn("yes"),
  };
}
