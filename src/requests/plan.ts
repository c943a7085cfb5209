import { type Approval, readApproval } from "./approval.ts";
import type { Given } from "./given.ts";

/** How `headgate plan` tells what it found. */
export type PlanRequest = {
  readonly format: "text" | "json" | "markdown";
  /** Where the plan is kept for approval. */
  readonly out?: string;
  readonly failOn?: string;
  /** NO_COLOR is set (https://no-color.org). */
  readonly noColour: boolean;
};

export type PlanRequests = {
  readonly plan?: PlanRequest;
  /** The one plan that may be carried out. */
  readonly approval?: Approval;
};

/**
 * Reads the options of `headgate plan`, and --plan of the commands that apply.
 * @param mistakes receives what is wrong
 */
export function readPlan(
  verb: string,
  given: Given,
  env: { readonly [name: string]: string | undefined },
  mistakes: string[],
): PlanRequests {
  if (verb !== "plan") {
    const path = given.text("plan");
    const approval =
      path === undefined ? undefined : readApproval(path, given.nameOf("plan"), mistakes);
    return approval === undefined ? {} : { approval };
  }
  const [isJson, isMarkdown] = [given.isOn("json"), given.isOn("markdown")];
  if (isJson && isMarkdown) mistakes.push("choose one of --json and --markdown");
  const [out, failOn] = [given.text("out"), given.choice("fail-on")];
  return {
    plan: {
      format: isJson ? "json" : isMarkdown ? "markdown" : "text",
      ...(out === undefined ? {} : { out }),
      ...(failOn === undefined ? {} : { failOn }),
      noColour: (env["NO_COLOR"] ?? "") !== "",
    },
  };
}
