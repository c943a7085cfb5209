import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../helpers/cleanup.ts";

/** What a fake `aws` answers to each call of a kind, in turn; the last answer again and again. "!" fails. */
export type Play = {
  readonly "run-task": readonly string[];
  readonly "describe-tasks"?: readonly string[];
  readonly "stop-task"?: readonly string[];
  /** Instead of "describe-tasks", once the task has been told to stop. */
  readonly "describe-stopped"?: readonly string[];
  readonly "get-log-events"?: readonly string[];
};

/** Makes a folder for PATH with a program `aws` that plays this, and a list of the calls that it has got. */
export function fakeAws(play: Play): { folder: string; calls: () => readonly string[] } {
  const folder = temporaryFolder("headgate-aws-");
  for (const [verb, answers] of Object.entries(play)) {
    writeFileSync(join(folder, verb), answers.map((answer) => `${answer}\n`).join(""));
  }
  writeFileSync(
    join(folder, "aws"),
    `#!/bin/bash
echo "$*" >>"${folder}/calls"
answers="${folder}/$2"
[[ -e $answers ]] || { echo "fake aws: no answer to $2" >&2; exit 1; }
[[ $2 != stop-task || ! -e ${folder}/describe-stopped ]] || mv "${folder}/describe-stopped" "${folder}/describe-tasks"
answer=$(head -n1 "$answers")
(($(wc -l <"$answers") == 1)) || sed -i 1d "$answers"
[[ $answer != '!' ]] || { echo 'fake aws: Rate exceeded' >&2; exit 254; }
printf '%b\\n' "$answer"
`,
  );
  chmodSync(join(folder, "aws"), 0o755);
  return { folder, calls: () => readFileSync(join(folder, "calls"), "utf8").trim().split("\n") };
}

/**
 * Starts a server that answers the aws CLI's calls: for each operation in turn, the last answer again and again.
 * @returns a folder for PATH with an `aws` that sends the real one there
 */
export async function answerAsAws(answers: { readonly [operation: string]: readonly object[] }) {
  const asked = new Map<string, number>();
  const server = createServer((request, response) => {
    const operation = String(request.headers["x-amz-target"]).split(".")[1] ?? "";
    const turn = asked.get(operation) ?? 0;
    asked.set(operation, turn + 1);
    const answer = answers[operation]?.[turn] ?? answers[operation]?.at(-1);
    request.resume();
    response.writeHead(answer ? 200 : 400, { "content-type": "application/x-amz-json-1.1" });
    response.end(JSON.stringify(answer ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const folder = temporaryFolder("headgate-aws-");
  writeFileSync(
    join(folder, "aws"),
    `#!/bin/bash\nPATH=$REAL_PATH exec aws --endpoint-url http://127.0.0.1:${port} "$@"\n`,
  );
  chmodSync(join(folder, "aws"), 0o755);
  const env = {
    REAL_PATH: process.env["PATH"] ?? "",
    AWS_REGION: "eu-west-1",
    AWS_DEFAULT_REGION: "eu-west-1",
    AWS_ACCESS_KEY_ID: "none",
    AWS_SECRET_ACCESS_KEY: "none",
  };
  return { folder, env, close: () => server.close() };
}
