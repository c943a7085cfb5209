import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../helpers/cleanup.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { type Artifact, artifacts, requireOrSkip, runHeadgate } from "../../helpers/headgate.ts";
import { happy, makeMigrations } from "../../helpers/migrations.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

const runs = (command: string[]): boolean =>
  spawnSync(command[0] ?? "", command.slice(1), { stdio: "ignore" }).status === 0;

/** An ordinary user of no group and without any capability, as `runAsNonRoot` with `drop: [ALL]` gives. */
const asUser = (uid: number): string[] => [
  ...["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"],
  ...["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"],
];

/** PID 1 of a container whose root file system, and all that is mounted on it, is read-only. */
const READ_ONLY = `set -e
  while read -r _ _ _ _ mount _; do mount -o remount,bind,ro "$mount"; done < /proc/self/mountinfo
  exec "$@"`;
const readOnlyContainer = [
  ...["unshare", "-mpf", "--mount-proc", "--kill-child=SIGKILL", "sh", "-c", READ_ONLY, "sh"],
];

/** The artifact where the user may read it. */
function readableBy(uid: number, artifact: Artifact): Artifact {
  if (runs([...asUser(uid), ...artifact.command, "--version"])) return artifact;
  const folder = temporaryFolder("headgate-artifact-");
  const command = artifact.command.map((part) => {
    const copy = join(folder, basename(part));
    copyFileSync(part, copy);
    return copy;
  });
  return { ...artifact, command };
}

for (const artifact of artifacts) {
  // The second is nobody's, as OpenShift gives them out.
  for (const uid of [65_534, 1_000_650_000]) {
    testOn(
      artifact,
      `P3 it works as user ${uid} without capabilities on a read-only file system`,
      async (t) => {
        const can = runs([...readOnlyContainer, ...asUser(uid), "true"]);
        if (!requireOrSkip(t, can, "not root, or no mount namespaces")) return;
        const env = {
          DATABASE_URL: server.url(await createDatabase(server)),
          HEADGATE_MIGRATIONS: makeMigrations(),
          HOME: "/nonexistent",
        };
        const ours = readableBy(uid, artifact);
        const place = { env, wrap: [...readOnlyContainer, ...asUser(uid)] };
        const look = `id -u; grep -h CapEff /proc/self/status; touch /tmp/x /dev/shm/x 2>&1 || echo $$`;
        const result = await runHeadgate(ours, ["--", "sh", "-c", look], place);
        assert.equal(result.exitCode, 0, result.stderr);
        assert.match(
          result.stdout,
          new RegExp(`^${uid}\nCapEff:\\s0+\n(touch: .*Read-only.*\n){2}1\n$`),
        );
        assert.deepEqual(
          result.lines.filter(({ level }) => level !== "info"),
          [],
        );
        for (const verb of ["migrate", "verify", "status", "wait"]) {
          assert.equal((await runHeadgate(ours, [verb], place)).exitCode, 0, verb);
        }
      },
    );
  }

  testOn(artifact, "P3 it needs no network but the way to the database", async (t) => {
    const alone = ["unshare", "-rn"];
    if (!requireOrSkip(t, runs([...alone, "true"]), "no network namespaces")) return;
    const url = server.url(await createDatabase(server), { host: server.socketDir });
    const env = { DATABASE_URL: url, HEADGATE_MIGRATIONS: makeMigrations() };
    const result = await runHeadgate(artifact, ["--", "cat", "/proc/net/dev"], {
      env,
      wrap: alone,
    });
    assert.equal(result.exitCode, 0, result.stderr);
    assert.doesNotMatch(result.stdout, /eth/);
  });

  testOn(artifact, "P4 nothing is passed through a shell: there may be none", async (t) => {
    // What runs it is a shell already, and replaced under itself by a program that always fails.
    const hide = `for shell in sh dash bash busybox; do
        path=$(command -v $shell) && mount --bind /bin/false "$(readlink -f "$path")"
      done
      exec "$@"`;
    const wrap = ["unshare", "-rm", "sh", "-c", hide, "sh"];
    if (!requireOrSkip(t, runs([...wrap, "true"]), "no mount namespaces")) return;
    assert.ok(!runs([...wrap, "sh", "-c", "true"]), "there still is a shell");

    const evil = "$(touch ran)`touch ran`; touch ran #\"' ";
    const cwd = temporaryFolder("headgate-shell-");
    const migrations = join(cwd, `migrations ${evil}`);
    const [first = ""] = Object.keys(happy);
    renameSync(makeMigrations(), migrations);
    renameSync(join(migrations, first), join(migrations, `1_${evil}.sql`));
    // A name that ends in white space, or has a comment after it, is taken for a slip and refused.
    const database = `${await createDatabase(server)}${evil.trim().replace(" #", "#")}`;
    const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
    await server.psql("postgres", `CREATE DATABASE ${quoted(database)}`);
    await server.psql(
      "postgres",
      `CREATE ROLE ${quoted(`${database}r`)} SUPERUSER LOGIN PASSWORD 'battery'`,
    );
    const login = { user: `${database}r`, password: "battery" };
    const env = { DATABASE_URL: server.url(database, login), EVIL: evil };
    const args = ["--migrations", migrations, "--history-table", quoted(evil), "--nofile", "200"];
    const command = [...args, "--unset-env", "HOME", "--", "printf", "%s\n", evil, "$EVIL"];
    const result = await runHeadgate(artifact, command, { env, cwd, wrap });
    assert.equal(result.exitCode, 0, result.stderr);
    assert.equal(result.stdout, `${evil}\n$EVIL\n`);
    const broken = await runHeadgate(artifact, ["--migrations", evil, "--", evil], {
      env,
      cwd,
      wrap,
    });
    assert.equal(broken.exitCode, 127);
    assert.deepEqual(readdirSync(cwd), [basename(migrations)]);
  });

  testOn(artifact, "P5 nothing in the working directory is read", async () => {
    const cwd = temporaryFolder("headgate-cwd-");
    const wrong = "postgres://u:wrong@127.0.0.1:1/wrong";
    const sabotage = `require("fs").writeFileSync(${JSON.stringify(join(cwd, "ran"))}, ""); process.exit(99)`;
    for (const name of [".env", ".env.local", ".env.production", ".env.development", ".env.test"]) {
      writeFileSync(
        join(cwd, name),
        `HEADGATE_DATABASE_URL=${wrong}\nNODE_OPTIONS=--no-such\nADDED=1\n`,
      );
    }
    for (const name of ["bunfig.toml", ".bunfig.toml"]) {
      writeFileSync(join(cwd, name), 'preload = ["./sabotage.cjs"]\n[run]\nbun = true\n');
    }
    writeFileSync(join(cwd, "sabotage.cjs"), sabotage);
    writeFileSync(join(cwd, "package.json"), '{"type": "module", "main": "sabotage.cjs"}');
    writeFileSync(join(cwd, "tsconfig.json"), "{ broken");
    writeFileSync(join(cwd, ".npmrc"), "node-options=--no-such");
    for (const name of ["pg", "pino", "wait-on", "pg-native", "bun:ffi"]) {
      mkdirSync(join(cwd, "node_modules", name), { recursive: true });
      writeFileSync(join(cwd, "node_modules", name, "index.js"), sabotage);
    }
    mkdirSync(join(cwd, "migrations"));
    const env = { DATABASE_URL: server.url(await createDatabase(server)), NODE_ENV: "production" };
    const args = ["--wait-for", `tcp:127.0.0.1:${server.port}`, "--", "env"];
    const result = await runHeadgate(artifact, args, { env, cwd });
    assert.equal(result.exitCode, 0, result.stderr);
    assert.ok(!existsSync(join(cwd, "ran")));
    const names = result.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split("=")[0]);
    assert.deepEqual(new Set(names), new Set(["DATABASE_URL", "HOME", "NODE_ENV", "PATH"]));
  });

  testOn(artifact, "P5 variables that change the runtime are reported by name", async () => {
    const database = { DATABASE_URL: server.url("postgres") };
    const plain = await runHeadgate(artifact, ["wait"], { env: database });
    assert.equal(plain.lines[0]?.["runtimeVariables"], undefined);
    const env = { ...database, NODE_OPTIONS: "--max-old-space-size=900", BUN_OPTIONS: "--smol" };
    const result = await runHeadgate(artifact, ["wait"], { env });
    assert.equal(result.exitCode, 0, result.stderr);
    assert.deepEqual(result.lines[0]?.["runtimeVariables"], ["NODE_OPTIONS", "BUN_OPTIONS"]);
    assert.doesNotMatch(result.stderr, /smol|900/);
  });
}

test("P5 variables that change the runtime are documented", () => {
  const docs = join(import.meta.dirname, "../../../docs");
  const pages = readdirSync(docs).filter((name) => name.endsWith(".md"));
  const text = pages.map((name) => readFileSync(join(docs, name), "utf8"));
  for (const name of ["NODE_OPTIONS", "BUN_OPTIONS", "BUN_BE_BUN"]) {
    assert.ok(text.join("").includes(`\`${name}\``), name);
  }
});
