import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { execa } from "execa";
import { commandNames, optionsOf } from "../../../src/options.ts";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { artifacts, requireOrSkip, runHeadgate } from "../../helpers/headgate.ts";
import { addMigrations } from "../../helpers/migrations.ts";

const folder = temporaryFolder("headgate-completion-");
const scriptOf = (shell: string): string => join(folder, `headgate.${shell}`);
const isInstalled = (shell: string): boolean => spawnSync(shell, ["--version"]).status === 0;

before(async () => {
  addMigrations(folder, { "folder/file.json": "", "file.txt": "" });
  for (const shell of ["bash", "zsh", "fish"]) {
    const [first] = artifacts;
    assert.ok(first);
    const { stdout } = await runHeadgate(first, ["completion", shell]);
    writeFileSync(scriptOf(shell), stdout);
  }
});

/** What bash suggests for the last of these words. */
async function complete(...words: string[]): Promise<string[]> {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const program = `source "$0"; COMP_WORDS=(headgate ${quoted}); COMP_CWORD=${words.length}
    _headgate; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await execa("bash", ["--norc", "-c", program, scriptOf("bash")], {
    cwd: folder,
  });
  return stdout.split("\n").filter(Boolean);
}

for (const artifact of artifacts) {
  testOn(
    artifact,
    "D4 completion prints a script and nothing else, and needs no database",
    async () => {
      for (const shell of ["bash", "zsh", "fish"]) {
        const result = await runHeadgate(artifact, ["completion", shell]);
        assert.deepEqual([result.exitCode, result.stderr], [0, ""]);
        assert.match(result.stdout, new RegExp(`^#.*${shell}`, "m"));
      }
      for (const args of [["completion"], ["completion", "tcsh"]]) {
        assert.equal((await runHeadgate(artifact, args)).exitCode, 64);
      }
    },
  );
}

test("D4 bash completes headgate by the function of the script", async () => {
  const program = 'source "$0"; complete -p headgate';
  const { stdout } = await execa("bash", ["--norc", "-c", program, scriptOf("bash")]);
  assert.equal(stdout, "complete -F _headgate headgate");
});

test("D4 bash completes commands, the options of each, their values, and what they take", async () => {
  const first = await complete("");
  assert.deepEqual(first.slice(0, commandNames.length), [...commandNames]);
  assert.deepEqual(await complete("st"), ["status", "stamp"]);
  for (const name of commandNames) {
    const wanted = [...optionsOf(name).map((option) => `--${option.name}`), "--help"];
    assert.deepEqual(await complete(name, "--"), wanted, name);
  }
  assert.deepEqual(
    await complete("rollback", "--st"),
    ["--steps", "--statement-timeout"].toReversed(),
  );
  assert.deepEqual(await complete("--unset"), ["--unset-env"], "an option of the main job");
  assert.deepEqual(await complete("migrate", "--on-failure", ""), ["stop", "rollback"]);
  assert.deepEqual(await complete("migrate", "--on-failure", "=", "ro"), ["rollback"]);
  assert.deepEqual(await complete("migrate", "--on-failure", "="), ["stop", "rollback"]);
  assert.deepEqual(await complete("stamp", "--from", "kn"), ["knex"]);
  assert.deepEqual(await complete("completion", ""), ["bash", "zsh", "fish", "--help"]);
  assert.deepEqual(await complete("migrate", "--migrations", "f"), ["folder"]);
  assert.deepEqual(await complete("migrate", "--sets", "fi"), ["file.txt"]);
  assert.deepEqual(await complete("migrate", "--lock-wait", ""), []);
  // A value is not taken for a command, nor the server's words for headgate's.
  assert.deepEqual(await complete("--migrations", "status", "--exit"), []);
  assert.deepEqual(await complete("--", "node", "--lo"), []);
});

test("D4 the script for zsh is one that it reads, and hands the right words to zsh's own functions", async (t) => {
  if (!requireOrSkip(t, isInstalled("zsh"), "zsh is not installed")) return;
  const syntax = spawnSync("zsh", ["-n", scriptOf("zsh")]);
  assert.equal(syntax.status, 0, syntax.stderr.toString());
  // Of zsh's own system only the functions that the script calls are replaced; no terminal is driven.
  const handed = async (...words: string[]): Promise<string[]> => {
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const program = `_arguments() { print -rl -- "$@" }; _describe() { print -rl -- \${(P)2} }
      _normal() { print -rl -- normal "\${words[@]}" }
      source ${scriptOf("zsh")}; words=(headgate ${quoted}); CURRENT=\${#words}; _headgate`;
    const { stdout } = await execa("zsh", ["-f", "-c", program]);
    return stdout.split("\n");
  };
  const names = (await handed("")).map((line) => line.split(":")[0]);
  assert.deepEqual(names, [...commandNames]);
  for (const name of commandNames) {
    const all = await handed(name, "");
    for (const option of optionsOf(name)) {
      assert.ok(all.some((line) => line.replace(/^\*/, "").startsWith(`--${option.name}[`)));
    }
  }
  assert.ok((await handed("stamp", "")).some((line) => /:TOOL:\(alembic knex /.test(line)));
  assert.ok((await handed("completion", "")).includes("1:SHELL:(bash zsh fish)"));
  // An option of the main job, which has no command before it.
  assert.ok((await handed("--un")).some((line) => line.startsWith("*--unset-env[")));
  assert.deepEqual(await handed("--", "node", ""), ["normal", "node", ""]);
});

test("D4 fish completes commands, options and values", async (t) => {
  if (!requireOrSkip(t, isInstalled("fish"), "fish is not installed")) return;
  const suggest = async (line: string): Promise<string[]> => {
    const program = `source ${scriptOf("fish")}; complete -C '${line}'`;
    const { stdout } = await execa("fish", ["--no-config", "-c", program], { cwd: folder });
    return stdout.split("\n").map((each) => each.split("\t")[0] ?? "");
  };
  const first = await suggest("headgate ");
  for (const name of commandNames) assert.ok(first.includes(name), name);
  assert.deepEqual(await suggest("headgate stamp --fr"), ["--from"]);
  assert.deepEqual(await suggest("headgate stamp --from kn"), ["knex"]);
  assert.ok((await suggest("headgate rollback --")).includes("--steps"));
  assert.ok(!(await suggest("headgate status --")).includes("--steps"));
  assert.deepEqual(await suggest("headgate completion z"), ["zsh"]);
});
