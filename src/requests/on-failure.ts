/**
 * Whether what a run has applied is undone when one of its files fails.
 * @param choice `stop` or `rollback`
 * @param from the flag or variable
 * @param mistakes receives what is wrong
 */
export function readOnFailure(
  choice: string | undefined,
  from: string,
  hasMigrator: boolean,
  mistakes: string[],
): boolean {
  const isWanted = choice === "rollback";
  if (isWanted && hasMigrator) {
    mistakes.push(`${from}: headgate cannot undo what a migrator has applied, only SQL files`);
  }
  return isWanted;
}
