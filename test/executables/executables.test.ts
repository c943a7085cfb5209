/**
 * What `npm run build:all` made, each in the smallest place that it is for. Not run: arm64 with musl, of which no
 * standard library is to be had here.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { execa } from "execa";
import { requireOrSkip } from "../helpers/conditions.ts";
import { useServer } from "../helpers/use-server.ts";
import { makeMigrations } from "../helpers/migrations.ts";
import { report } from "../helpers/report.ts";
import { createDatabase } from "../helpers/postgres.ts";

const release = new URL("../../dist/release", import.meta.url).pathname;
const hasDocker = spawnSync("docker", ["info"]).status === 0;
/** Where Debian's libc6-arm64-cross has the loader. */
const arm64Root = "/usr/aarch64-linux-gnu";
const hasQemu =
  existsSync(arm64Root) && spawnSync("qemu-aarch64-static", ["--version"]).status === 0;

const server = await useServer();

/** As restricted as a cluster can make it. */
const restricted = [
  ...["--rm", "--network", "host", "--read-only", "--cap-drop", "ALL", "--memory", "64m"],
  ...["--security-opt", "no-new-privileges", "--user", "65532:65532"],
];

type Place = { readonly file: string; readonly name: string; readonly image?: string };
const places: readonly Place[] = [
  {
    file: "headgate-linux-x64",
    name: "glibc and nothing else",
    image: "gcr.io/distroless/base-debian12",
  },
  { file: "headgate-linux-x64-musl", name: "musl with libstdc++", image: "headgate-test/musl" },
  { file: "headgate-linux-arm64", name: "arm64 with glibc, emulated" },
];

function run(place: Place, folder: string, url: string, args: readonly string[]) {
  const file = `${release}/${place.file}`;
  const env = { DATABASE_URL: url, HEADGATE_MIGRATIONS: folder };
  if (place.image === undefined) {
    return execa("qemu-aarch64-static", ["-L", arm64Root, file, ...args], { env, reject: false });
  }
  const variables = Object.keys(env).flatMap((name) => ["--env", name]);
  const mounts = ["--volume", `${file}:/headgate:ro`, "--volume", `${folder}:${folder}:ro`];
  const command = [place.image, "/headgate", ...args];
  return execa("docker", ["run", ...restricted, ...variables, ...mounts, ...command], {
    env,
    reject: false,
  });
}

for (const place of places) {
  test(`P3 ${place.file} works in ${place.name}`, async (t) => {
    const how = place.image === undefined ? "" : "non-root, read-only, no capabilities, 64 MiB: ";
    const row = report(place.file, `${how}${place.name}`);
    const possible = place.image === undefined ? hasQemu : hasDocker;
    if (
      !requireOrSkip(
        t,
        possible,
        place.image === undefined ? "no qemu-aarch64-static" : "no docker",
      )
    )
      return;
    const database = await createDatabase(server);
    const folder = makeMigrations();
    const url = server.url(database);
    const version = await run(place, folder, url, ["--version"]);
    assert.match(version.stdout, /^headgate \d+\.\d+\.\d+ \(commit .*bun \d/);
    // Emulated, it has no server to become: the machine's own programs are for another processor.
    const boot = place.image === undefined ? ["migrate"] : ["--", "/headgate", "--version"];
    const booted = await run(place, folder, url, boot);
    assert.equal(booted.exitCode, 0, booted.stderr);
    if (place.image !== undefined) assert.equal(booted.stdout, version.stdout);
    const verified = await run(place, folder, url, ["verify"]);
    assert.equal(verified.exitCode, 0, verified.stderr);
    const refused = await run(place, folder, `${url}_missing`, ["migrate", "--auth-grace", "1ms"]);
    assert.equal(refused.exitCode, 77, refused.stderr);
    row.state = "ran";
  });
}

report("headgate-linux-arm64-musl", "no musl for arm64 is to be had here", "built only");

test("a musl executable says what it lacks where there is no libstdc++", async (t) => {
  if (!requireOrSkip(t, hasDocker, "no docker")) return;
  const file = `${release}/headgate-linux-x64-musl`;
  const { exitCode, stderr } = await execa(
    "docker",
    [
      "run",
      "--rm",
      "--volume",
      `${file}:/headgate:ro`,
      "headgate-test/musl:bare",
      "/headgate",
      "--version",
    ],
    { reject: false },
  );
  assert.notEqual(exitCode, 0);
  assert.match(stderr, /libstdc\+\+/);
});

test("the checksums are those of the files, and the bill of materials names what is bundled", async () => {
  await execa("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: release });
  const { stdout } = await execa("cat", [`${release}/headgate.cdx.json`]);
  const { components } = JSON.parse(stdout) as { components: { name: string }[] };
  const names = components.map(({ name }) => name);
  for (const name of ["pg", "pg-protocol", "pino", "wait-on", "postgres-migrations"])
    assert.ok(names.includes(name), name);
  assert.ok(!names.includes("typescript"));
});
