/** The images of docker/, run by hand as `docker run` does. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { eventually } from "../helpers/eventually.ts";
import { answer, containerTest, measured, docker, graceMs, reportAtEnd } from "./engine.ts";
import { startProject } from "./project.ts";

const image = (name: string): string => `headgate-test-${name}`;
const settings = ["HOST=db", "USER=app", "DATABASE=app", "PASSWORD=only-for-this-demo"];
const database = settings.flatMap((setting) => ["-e", `PG${setting}`]);

async function build(target: string): Promise<string> {
  const what = ["-f", "docker/Dockerfile", "--target", target, "."];
  await docker(["build", "-q", "-t", image(target), ...what]);
  return image(target);
}

/** A fresh database, and how to run something beside it. */
async function startDatabase(t: TestContext) {
  const project = startProject(t);
  await project.up(["db"]);
  const place = [...project.place, ...database];
  return {
    run: (args: string[]) => docker(["run", "--rm", ...place, ...args], { mayFail: true }),
    /** Starts it in the background, gone when the test ends. */
    start: async (args: string[]): Promise<string> =>
      (await docker(["run", "-d", ...place, ...args])).stdout,
  };
}

const health = (wanted: string, id: string): Promise<unknown> =>
  eventually(
    `health is ${wanted}`,
    async () => (await docker(["inspect", "-f", "{{.State.Health.Status}}", id])).stdout === wanted,
    60_000,
  );

/** Where the container's port 3000 is. */
async function published(id: string): Promise<string> {
  const { stdout } = await docker(["port", id, "3000"]);
  return `http://127.0.0.1:${stdout.split("\n")[0]?.split(":").at(-1)}`;
}

containerTest(
  "docker/Dockerfile",
  "the images hold what they say, run as an ordinary user, and carry labels",
  async (t) => {
    for (const target of ["headgate", "bundle", "demo"]) {
      const name = await build(target);
      const { stdout } = await docker(["inspect", "-f", "{{json .}}", name]);
      const { Size, RootFS, Config } = JSON.parse(stdout) as {
        Size: number;
        RootFS: { Layers: string[] };
        Config: { User: string; Labels: Record<string, string>; Healthcheck?: { Test: string[] } };
      };
      measured(t, "docker/Dockerfile", `size of ${target}: ${(Size / 1e6).toFixed(1)} MB`);
      for (const label of ["title", "description", "licenses", "version", "revision"]) {
        assert.ok(Config.Labels[`org.opencontainers.image.${label}`], `${target} has a ${label}`);
      }
      if (target === "demo") {
        assert.equal(Config.User, "1000:1000");
        assert.deepEqual(Config.Healthcheck?.Test, ["CMD", "headgate", "verify"]);
      } else assert.equal(RootFS.Layers.length, 1, target);
    }
  },
);

containerTest(
  "docker/Dockerfile",
  "`docker run IMAGE COMMAND` does what one expects, and without COMMAND it serves",
  async (t) => {
    const demo = await build("demo");
    const { run, start } = await startDatabase(t);

    const pending = await run([demo, "status"]);
    assert.equal(pending.exitCode, 0, pending.stderr);
    assert.equal(pending.stdout.match(/ pending /g)?.length, 3);
    assert.equal((await run([demo, "verify"])).exitCode, 3);

    const server = ["--health-interval=1s", "--health-start-period=1ms", "--health-retries=1"];
    const ahead = await start([...server, "--entrypoint", "node", demo, "api.mjs"]);
    await health("unhealthy", ahead); // the server listens, and its schema is not there

    const migrate = await run([demo, "migrate"]);
    assert.equal(migrate.exitCode, 0, migrate.stderr);
    assert.match(migrate.stderr, /"msg":"migrated"/);
    await health("healthy", ahead);
    assert.equal((await run([demo, "verify"])).stdout, "3 applied, none pending");
    assert.equal((await run([demo, "status"])).stdout.match(/ applied /g)?.length, 4);

    const id = await start(["--health-interval=1s", "-p", "3000", demo]);
    await health("healthy", id);
    await answer(`${await published(id)}/health`);
    // No init here: headgate was process 1, and has become the server.
    const cmdline = await docker(["exec", id, "cat", "/proc/1/cmdline"]);
    assert.equal(cmdline.stdout, "node\0api.mjs\0");
    const stop = await docker(["stop", "--time", "30", id]);
    assert.ok(stop.ms < graceMs, `${stop.ms} ms`);
    assert.equal((await docker(["inspect", "-f", "{{.State.ExitCode}}", id])).stdout, "0");

    const mistaken = await run([demo, "sh"]);
    assert.equal(mistaken.exitCode, 64);
    assert.match(mistaken.stderr, /unknown command \\"sh\\"; a server command goes after --/);
  },
);

containerTest(
  "docker/Dockerfile",
  "P3 nobody, no capabilities, a read-only root and 64 MiB are enough",
  async (t) => {
    const headgate = await build("headgate");
    // No shell, no Node, no libstdc++: glibc and the executable.
    const recipe = `FROM ${headgate} AS headgate
    FROM gcr.io/distroless/base-debian12
    COPY --from=headgate /headgate /
    COPY migrations /migrations
    ENTRYPOINT ["/headgate"]`;
    await docker(["build", "-q", "-t", image("bare"), "-f-", "."], { input: recipe });
    const demo = await build("demo");
    const { run } = await startDatabase(t);
    const cage = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
    const small = ["--memory", "64m", "--memory-swap", "64m", "--pids-limit", "64"];
    const asNobody = [...cage, ...small, "--user", "65534:65534"];
    for (const name of [image("bare"), demo]) {
      for (const command of ["migrate", "verify", "status", "wait"]) {
        const { exitCode, stderr, ms } = await run([...asNobody, name, command]);
        assert.equal(exitCode, 0, `${name} ${command}: ${stderr}`);
        measured(
          t,
          "docker/Dockerfile",
          `${name} ${command}, caged: ${ms} ms with the container's start`,
        );
      }
    }
  },
);

containerTest(
  "docker/examples",
  "the examples build and serve: the bundled file under Node, the executable under Python",
  async (t) => {
    const bundle = await build("bundle");
    const node = image("example-node");
    const bundled = ["--build-arg", `BUNDLE=${bundle}`, "-t", node];
    await docker(["build", "-q", ...bundled, "docker/examples/node"]);
    const { start, run } = await startDatabase(t);
    assert.equal((await run([node, "migrate"])).exitCode, 0);
    const id = await start(["--health-interval=1s", "-p", "3000", node]);
    await health("healthy", id);
    assert.deepEqual(await answer(await published(id)), ["Delft", "Utrecht"]);

    // The official Python image asks pip for the driver; where no package index is in reach, this one has it.
    const own = "headgate-test/alembic";
    const hasOwn = (await docker(["inspect", own], { mayFail: true })).exitCode === 0;
    const env = { HEADGATE: await build("headgate"), ...(hasOwn ? { BASE: own } : {}) };
    measured(
      t,
      "docker/examples",
      `Python's base image: ${hasOwn ? own : "python:3.11-slim-bookworm"}`,
    );
    const files = ["docker/examples/python/docker-compose.yml"];
    const project = startProject(t, { files, env });
    await project.up(["--build"]);
    assert.deepEqual(await answer(await project.url("api", 1, 8000)), ["Delft", "Utrecht"]);
    const stop = await project.compose(["stop", "api"]);
    assert.ok(stop.ms < graceMs, `${stop.ms} ms: Python heard the signal`);
    const example = await docker(["inspect", "-f", "{{.Size}}", node, "headgate-example-python"]);
    measured(
      t,
      "docker/Dockerfile",
      `sizes of the examples, Node and Python: ${example.stdout.split("\n").join(", ")} bytes`,
    );
  },
);

reportAtEnd();
