export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/**
 * @param operand as typed; undefined when it was left out, which is a mistake that is known already
 * @param mistakes receives what is wrong
 */
export function readShell(operand: string | undefined, mistakes: string[]): Shell {
  const shell = shells.find((name) => name === operand);
  if (operand !== undefined && shell === undefined) {
    mistakes.push(`there is no completion for "${operand}", only for ${shells.join(", ")}`);
  }
  return shell ?? "bash";
}
