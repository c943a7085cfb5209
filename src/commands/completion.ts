import { completionScript } from "../completion.ts";
import type { Context } from "../look.ts";
import { print } from "../report/print.ts";

/** `headgate completion SHELL`: print the script for a shell. Needs no database. */
export function completion({ config }: Context): number {
  return print(completionScript(config.shell ?? "bash"));
}
