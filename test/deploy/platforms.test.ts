/** The release phases of Fly, Heroku and Render: the commands that the files name, in the image, on a real Postgres. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { execa } from "execa";
import { files, image, type Release, tags } from "../cluster/images.ts";
import { freePort } from "../helpers/port.ts";
import { useServer } from "../helpers/use-server.ts";
import { eventually } from "../helpers/eventually.ts";
import { createDatabase } from "../helpers/postgres.ts";
import { deployTest, root, tell } from "./deploy-test.ts";
import { parseToml, parseYaml } from "./yaml.ts";

const read = (name: string): string => readFileSync(`${root}deploy/platforms/${name}`, "utf8");

const server = await useServer();

deployTest(
  { files: "platforms/fly", how: "ran as an emulation", needs: ["docker"] },
  "the release command is an argument of the image's ENTRYPOINT; a failure fails it",
  async () => {
    const fly = (await parseToml(read("fly/fly.toml"))) as {
      deploy: { release_command: string };
      http_service: { internal_port: number };
      env: { PORT: string };
    };
    assert.equal(fly.http_service.internal_port, Number(fly.env.PORT));
    const release = fly.deploy.release_command.split(" ");
    await releases((of) => `${image}:${tags[of]}`, release);
    tell("platforms/fly", "not run", "on Fly: no account here, and no network");
  },
);

deployTest(
  { files: "platforms/heroku", how: "ran as an emulation", needs: ["docker"] },
  "the release phase in an image without ENTRYPOINT; a failure fails it",
  async () => {
    const heroku = (await parseYaml(read("heroku/heroku.yml"))) as {
      release: { command: string[] };
    };
    // Heroku starts a command by a shell.
    await releases(withoutEntrypoint, ["sh", "-c", heroku.release.command.join(" && ")]);
    tell("platforms/heroku", "not run", "on Heroku: no account here, and no network");
  },
);

deployTest(
  { files: "platforms/render", how: "ran as an emulation", needs: ["docker"] },
  "the pre-deploy command in an image without ENTRYPOINT; a failure fails it",
  async () => {
    const render = (await parseYaml(read("render/render.yaml"))) as {
      services: { preDeployCommand: string }[];
    };
    const [service] = render.services;
    assert.ok(service);
    await releases(withoutEntrypoint, service.preDeployCommand.split(" "));
    tell("platforms/render", "not run", "on Render: no account here, and no network");
  },
);

/** The release command, the server; then a release command that fails. */
async function releases(
  imageOf: (release: Release) => string | Promise<string>,
  command: readonly string[],
): Promise<void> {
  const database = await createDatabase(server);
  const port = await freePort();
  const docker = (...args: readonly string[]) =>
    execa("docker", args, {
      reject: false,
      env: { DATABASE_URL: server.url(database), PORT: String(port) },
    });
  const run = ["run", "--network", "host", "--env", "DATABASE_URL", "--env", "PORT"];

  const now = await imageOf("now");
  const released = await docker(...run, "--rm", now, ...command);
  assert.equal(released.exitCode, 0, released.stderr);

  const { stdout: web } = await docker(...run, "--detach", now);
  try {
    const health = await eventually("the server answers", async () => {
      const response = await fetch(`http://127.0.0.1:${port}/health`);
      return response.ok && response.json();
    });
    assert.deepEqual(health, { status: "ok", migrations: files.length });
    await docker("stop", web);
    const { stdout: exitCode } = await docker("wait", web);
    assert.equal(exitCode, "0", "the server heard SIGTERM");
  } finally {
    await docker("rm", "--force", web);
  }

  const failed = await docker(...run, "--rm", await imageOf("broken"), ...command);
  assert.equal(failed.exitCode, 1);
  assert.match(failed.stderr, /42P01/);
}

/** The image that platforms/Dockerfile makes. */
async function withoutEntrypoint(release: Release): Promise<string> {
  const dockerfile = read("Dockerfile").replace("headgate-demo:local", `${image}:${tags[release]}`);
  const { stdout } = await execa("docker", ["build", "--quiet", "-"], { input: dockerfile });
  return stdout.trim();
}
