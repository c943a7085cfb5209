/**
 * Ends the process with an exit code, at once. Before Node exits it waits for its threads, and one that asks a silent
 * name server comes back after 10 s or more. Exec ends threads without asking them, and the one program that is
 * certain to be here is Node itself.
 */
export function leave(exitCode: number): never {
  if (process.getActiveResourcesInfo().includes("GetAddrInfoReqWrap")) {
    process.execve?.(process.execPath, ["node", "-e", `process.exit(${exitCode})`], {});
  }
  process.exit(exitCode);
}
