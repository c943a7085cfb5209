import { writeFileSync } from "node:fs";
import { HeadgateError, errorCode } from "../errors.ts";
import { prepareSets } from "../gate/prepare-sets.ts";
import type { Context } from "../look.ts";
import { makePlan } from "../plan/make-plan.ts";
import { toMarkdown, toText } from "../plan/print-plan.ts";
import { failLevels, type PlanReport, whatIsDue } from "../plan/report.ts";
import type { PlanRequest } from "../requests/plan.ts";

/** `headgate plan`: what `migrate` would do, statement by statement. Reads the catalog only; tries out on a scratch copy. */
export async function plan(context: Context): Promise<number> {
  const { config, redact, print } = context;
  const request: PlanRequest = config.plan ?? { format: "text", noColour: true };
  const report = await makePlan(context, await prepareSets(context));
  const hide = (key: string, value: unknown): unknown =>
    typeof value === "string" && !compared.has(key) ? redact(value) : value;
  const json = `${JSON.stringify(report, hide, 2)}\n`;
  if (request.out !== undefined) keep(request.out, json);
  const markdown = toMarkdown(report);
  const texts = {
    text: () => redact(toText(report, !request.noColour && isTerminal())),
    json: () => json,
    markdown: () => redact(markdown),
  };
  print(texts[request.format](), redact(markdown));
  if (request.failOn !== undefined) refuseDangers(report, request.failOn);
  return 0;
}

/** What `migrate --plan` compares stays to the letter: a password may be a word that a file is named after. */
const compared = new Set(["name", "checksum", "historyTable", "fingerprint", "state"]);

/** Loaded only here, because it takes 5 ms under Bun. */
const isTerminal = (): boolean => process.getBuiltinModule("node:tty").isatty(1);

function keep(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    const code = errorCode(error) || String(error);
    throw new HeadgateError("usage", `the plan cannot be written to ${path} (${code})`, {
      fix: "name a file in a folder that may be written with --out",
      cause: error,
    });
  }
}

function refuseDangers({ sets }: PlanReport, level: string): void {
  const names = failLevels[level] ?? [];
  const unknown = sets.flatMap(({ migrator }) =>
    migrator === null || migrator.due === null
      ? []
      : [`\`${migrator.command}\`: unknown: ${whatIsDue(migrator)}`],
  );
  const known = sets.flatMap(({ pending }) =>
    pending.flatMap(({ path, statements }) =>
      statements.flatMap(({ line, findings }) =>
        findings
          .filter(({ name, allowed }) => allowed === null && names.includes(name))
          .map(({ name, text }) => `${path}:${line}: ${name}: ${text}`),
      ),
    ),
  );
  // Every level has what is unknown.
  const problems = [...unknown, ...known];
  if (problems.length === 0) return;
  throw new HeadgateError("dangerous", `the plan has what --fail-on ${level} refuses`, {
    problems,
  });
}
