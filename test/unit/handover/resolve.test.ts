import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HeadgateError } from "../../../src/errors.ts";
import { resolveServer } from "../../../src/handover/resolve.ts";
import { temporaryFolder } from "../../helpers/cleanup.ts";

const folder = temporaryFolder("headgate-env-");

/** Writes a script; gives its path. */
function script(name: string, content: string, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

script("tool", "#!/bin/sh\nexit 0\n");
script("not-for-you", "#!/bin/sh\n", 0o644);
script("broken", "#!/no/such/interpreter\n");
script("plain", "exit 0\n");
const path = `${folder}:/usr/bin:/bin`;

/** The exit code with which a command is refused; 0 when it is not. */
function refused(command: readonly string[]): { code: number; message: string } {
  try {
    resolveServer(command, path);
    return { code: 0, message: "" };
  } catch (error) {
    assert.ok(error instanceof HeadgateError, String(error));
    return { code: error.exitCode, message: error.message };
  }
}

/** The exit code with which it really ends; 0 for all that is no refusal. */
function really([file = "", ...args]: readonly string[]): number {
  const { status } = spawnSync(file, args, { env: { PATH: path }, stdio: "ignore" });
  return status === 126 || status === 127 ? status : 0;
}

const scripts = [
  "#!/usr/bin/env nosuch\n",
  "#!/usr/bin/env tool\n",
  "#! /usr/bin/env  \t tool \t\n",
  "#!/usr/bin/env tool --option\n",
  "#!/usr/bin/env -S tool --option\n",
  "#!/usr/bin/env -S nosuch --option\n",
  "#!/usr/bin/env -S -i PATH=/usr/bin tool\n",
  `#!/usr/bin/env -S -i PATH=${folder} tool\n`,
  "#!/usr/bin/env --split-string=A=1 -u B nosuch\n",
  "#!/usr/bin/env -vS nosuch\n",
  "#!/usr/bin/env tool\r\n",
  "#!/usr/bin/env not-for-you\n",
  "#!/usr/bin/env plain\n",
  "#!/usr/bin/env ./nowhere/tool\n",
  "#!/usr/bin/env -S 'nosuch'\n",
  "#!/usr/bin/env --no-such-option\n",
].map((text, index) => [text, [script(`script-${index}`, text)]] as const);

const inner = script("inner", "#!/usr/bin/env nosuch\n");
const commands = [
  ["/usr/bin/env"],
  ["/usr/bin/env", "nosuch"],
  ["/usr/bin/env", "A=1", "tool"],
  ["/usr/bin/env", "A=1", "nosuch", "tool"],
  ["/usr/bin/env", "--", "A=1", "nosuch"],
  ["/usr/bin/env", "-i", "PATH=/usr/bin", "tool"],
  ["/usr/bin/env", "-", `PATH=${folder}`, "tool"],
  ["/usr/bin/env", "-u", "A", "nosuch"],
  ["/usr/bin/env", "-uA", "tool"],
  ["/usr/bin/env", "--unset", "A", "nosuch"],
  ["/usr/bin/env", "--unset=A", "tool"],
  ["/usr/bin/env", "--ignore-signal=PIPE", "--debug", "nosuch"],
  ["/usr/bin/env", "-C", folder, "./tool"],
  ["/usr/bin/env", "/usr/bin/env", "nosuch"],
  ["/usr/bin/env", "inner"],
  [inner],
].map((command) => [command.join(" "), command] as const);

test("E7 what env would not find or not execute is refused with the code it would end with, and nothing else is", () => {
  const codes = [...scripts, ...commands].map(([what, command]) => {
    const { code, message } = refused(command);
    // A quote is left to env.
    const isRead = !what.includes("'");
    assert.equal(code, isRead ? really(command) : 0, `${what}: ${message}`);
    return code;
  });
  assert.deepEqual(new Set(codes), new Set([0, 126, 127]));
});

test("E7 a refusal names the program that env does not find, and the command that needs it", () => {
  assert.equal(
    refused([inner]).message,
    `the program "nosuch" that env runs for the server command "${inner}" is not in PATH (${path})`,
  );
});

test("E7 a missing interpreter of what env runs is 126, as that of the command itself is", () => {
  assert.equal(refused(["/usr/bin/env", "broken"]).code, 126);
  assert.equal(refused(["broken"]).code, 126);
});

test("E7 where env is not told where to search, or scripts lead in a circle, nothing is refused", () => {
  assert.equal(refused(["/usr/bin/env", "-i", "nosuch"]).code, 0);
  assert.equal(refused(["/usr/bin/env", "-u", "PATH", "nosuch"]).code, 0);
  assert.equal(refused([script("circle", "#!/usr/bin/env circle\n")]).code, 0);
});
