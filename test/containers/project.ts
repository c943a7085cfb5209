/** One compose project on the engine. */
import { spawnSync } from "node:child_process";
import type { TestContext } from "node:test";
import { onExit } from "../helpers/cleanup.ts";
import { eventually } from "../helpers/eventually.ts";
import { type Ended, type RunOptions, docker, root } from "./engine.ts";

export type LogLine = { msg: string; [field: string]: unknown };
export type State = { id: string; status: string; exitCode: number; health: string | undefined };
export type Project = ReturnType<typeof startProject>;
type Inspected = {
  Id: string;
  State: { Status: string; ExitCode: number; Health?: { Status: string } };
};

/** The services of each way to migrate in the repository's compose file. */
export const modes = [
  { mode: "entrypoint", profiles: [], api: "api", migrator: "api" },
  {
    mode: "separate service",
    profiles: ["separate"],
    api: "api-separate",
    migrator: "migrate",
  },
] as const;

const demo = "docker-compose.yml";
// The engine chooses the ports, so that nothing on this machine is in the way.
const anyPorts = { API_PORTS: "0", API_SEPARATE_PORTS: "0", API_PORT: "0" };
let projects = 0;

/** What differs from the demo: the compose files, profiles, more environment, and whose containers they are. */
type Difference = {
  files?: string[];
  profiles?: readonly string[];
  env?: Record<string, string>;
  name?: string;
};

/** A compose project that goes with its volumes when the test ends; nothing is started yet. */
export function startProject(t: TestContext, other: Difference = {}) {
  const name = other.name ?? `headgate-test-${process.pid}-${++projects}`;
  const { files = [demo], profiles = [], env } = other;
  const given = [
    ...files.flatMap((file) => ["--file", file]),
    ...profiles.flatMap((profile) => ["--profile", profile]),
  ];
  const compose = (args: string[], options: RunOptions = {}): Promise<Ended> =>
    docker(["compose", "--project-name", name, ...given, ...args], {
      env: { ...anyPorts, ...env },
      ...options,
    });

  const logs = async (...services: string[]): Promise<LogLine[]> => {
    const { stdout } = await compose(["logs", "--no-log-prefix", ...services]);
    // Compose puts a control sequence before a line, terminal or not.
    const json = stdout.split("\n").flatMap((line) => line.match(/\{.*/)?.[0] ?? []);
    return json.map((line) => JSON.parse(line) as LogLine);
  };

  const states = async (service: string): Promise<State[]> => {
    const { stdout } = await compose(["ps", "--all", "--quiet", service]);
    const ids = stdout.split("\n").filter(Boolean);
    if (ids.length === 0) return [];
    const { stdout: found } = await docker(["inspect", "--format", "{{json .}}", ...ids]);
    return found.split("\n").map((line) => {
      const { Id: id, State } = JSON.parse(line) as Inspected;
      const { Status: status, ExitCode: exitCode, Health } = State;
      return { id, status, exitCode, health: Health?.Status };
    });
  };

  const since = Math.floor(Date.now() / 1000);
  // Tests run containers of their own beside it, and a network in use is not removed.
  const beside = ["ps", "--all", "--quiet", "--filter", `label=headgate.test=${name}`];
  const down = ["--profile", "*", "down", "--volumes", "--timeout", "3", "--remove-orphans"];
  let isGone = false;
  t.after(async () => {
    const tail = t.passed ? undefined : await compose(["logs", "--tail", "30"], { mayFail: true });
    if (tail) t.diagnostic(tail.stdout);
    const { stdout } = await docker(beside);
    if (stdout !== "") await docker(["rm", "--force", ...stdout.split("\n")], { mayFail: true });
    await compose(down);
    isGone = true;
  });
  // A run that is interrupted leaves nothing either.
  onExit(() => {
    if (isGone) return;
    const found = spawnSync("docker", beside, { encoding: "utf8" }).stdout.split("\n");
    spawnSync("docker", ["rm", "--force", ...found.filter(Boolean)]);
    spawnSync("docker", ["compose", "--project-name", name, ...given, ...down], { cwd: root });
  });

  return {
    name,
    compose,
    /** For `docker run`: a place beside it, and gone with it. */
    place: ["--network", `${name}_default`, "--label", `headgate.test=${name}`],
    /** `up`, until every container is healthy. */
    up: (args: string[], options: RunOptions = {}): Promise<Ended> =>
      compose(["up", "--detach", "--wait", "--wait-timeout", "90", ...args], options),
    /** The lines of JSON that these services have logged. */
    logs,
    /** The state of each container of a service, running or ended. */
    states,
    /** How the containers of a service ended, also those that are no more. */
    exitCodes: async (service: string): Promise<string[]> => {
      const labels = [`project=${name}`, `service=${service}`];
      const filters = labels.flatMap((label) => ["--filter", `label=com.docker.compose.${label}`]);
      const span = ["--since", String(since), "--until", String(Math.ceil(Date.now() / 1000))];
      const format = ["--filter", "event=die", "--format", "{{.Actor.Attributes.exitCode}}"];
      const { stdout } = await docker(["events", ...span, ...filters, ...format]);
      return stdout.split("\n").filter(Boolean);
    },
    waitForLog: (service: string, msg: string): Promise<LogLine> =>
      eventually(
        `"${msg}" in the log of ${service}`,
        async () => (await logs(service)).find((line) => line.msg === msg),
        60_000,
      ),
    /** Asks the database, over its unix socket. */
    sql: async (query: string): Promise<string> => {
      const psql = ["psql", "-U", "app", "-d", "app", "-tAc", query];
      return (await compose(["exec", "-T", "db", ...psql])).stdout;
    },
    /** Where one replica listens. */
    url: async (service: string, index = 1, port = 3000): Promise<string> => {
      const found = await compose(["port", "--index", String(index), service, String(port)]);
      return `http://127.0.0.1:${found.stdout.split(":").at(-1)}`;
    },
  };
}
