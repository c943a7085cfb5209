/**
 * The containers that the files to deploy describe, as processes with exactly their arguments and variables, and a
 * migrator of another tool in the image: only the preset is named. Where a value is a placeholder, a host of the
 * cluster's or a file of its own, the test's stands for it.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { testOn } from "../helpers/everywhere.ts";
import { type Artifact, artifacts, runHeadgate } from "../helpers/headgate.ts";
import { createDatabase, type Postgres } from "../helpers/postgres.ts";
import { type Certificates, makeCertificates, startTlsPostgres } from "../helpers/tls.ts";
import { helmTemplate, podOf as podOfManifest } from "../deploy/manifests.ts";
import { parseYaml } from "../deploy/yaml.ts";
import { knex } from "./node-tools.ts";
import { alembic } from "./python-tools.ts";
import { appliedSteps, fiveSteps, makeProject, requireTool, type Tool, toolPath } from "./tool.ts";

const root = new URL("../..", import.meta.url).pathname;
const read = (name: string): string => readFileSync(join(root, name), "utf8");

/** A value that is written down, or the name of a secret. */
type Entry = { readonly name: string; readonly value?: string; readonly valueFrom?: unknown };
type Container = {
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly Entry[];
};
type Variables = { readonly [name: string]: string };
type Pod = {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
};

const login = { user: "app", password: "only-for-this-demo" };
/** A server's, which may not change the schema. */
const reader = { user: "server", password: "may-only-read" };
let certificates: Certificates;
let server: Postgres;
before(async () => {
  certificates = makeCertificates();
  server = await startTlsPostgres(certificates);
  await server.psql(
    "postgres",
    `CREATE ROLE app LOGIN PASSWORD '${login.password}'; CREATE ROLE server LOGIN PASSWORD '${reader.password}'`,
  );
});

/** The pod in the n-th document of a manifest. */
async function podOf(name: string): Promise<Pod> {
  const { spec } = (await parseYaml(read(`deploy/kubernetes/${name}`))) as {
    spec: { template: { spec: Pod } };
  };
  return spec.template.spec;
}

async function kubernetes(name: string, kind: "containers" | "initContainers" = "containers") {
  const [container] = (await podOf(name))[kind] ?? [];
  assert.ok(container, name);
  return container;
}

async function compose(service: string): Promise<Container> {
  const { services } = (await parseYaml(read("docker-compose.yml"))) as {
    services: { [name: string]: { command?: string[]; environment: Variables } };
  };
  const { command, environment } = services[service] ?? {};
  const env = Object.entries(environment ?? {}).map(([name, value]) => ({ name, value }));
  return { ...(command === undefined ? {} : { args: command }), env };
}

function ecs(name: string): Container & { healthCheck?: { command: readonly string[] } } {
  type Task = {
    containerDefinitions: [
      {
        command?: string[];
        environment: Entry[];
        secrets: Entry[];
        healthCheck?: { command: string[] };
      },
    ];
  };
  const [definition] = (JSON.parse(read(`deploy/ecs/${name}.json`)) as Task).containerDefinitions;
  const { command, environment, secrets, healthCheck } = definition;
  return {
    ...(command === undefined ? {} : { args: command }), // what ECS calls so is the arguments
    ...(healthCheck === undefined ? {} : { healthCheck }),
    env: [...environment, ...secrets],
  };
}

/** What headgate.sh passes on of a step's variables: those whose names begin so. */
function workflow(name: string): Container {
  assert.match(read("deploy/github-actions/headgate.sh"), /\^\(HEADGATE\|DATABASE\|PG\)/);
  assert.match(
    read("deploy/github-actions/deploy.yml"),
    /DATABASE_URL: \$\{\{ secrets\.MIGRATE_DATABASE_URL \}\}/,
  );
  return { args: [name], env: [{ name: "DATABASE_URL", valueFrom: "secret" }] };
}

/** A platform that gives a container the address of the database, and a command beside the image's. */
function platform(file: string, command: RegExp): Container {
  const [, verb = ""] = command.exec(read(`deploy/platforms/${file}`)) ?? [];
  assert.equal(verb, "migrate", file);
  return { args: [verb], env: [{ name: "DATABASE_URL", valueFrom: "secret" }] };
}

/** The container that migrates, and those that come after it. */
const deployments: {
  readonly [file: string]: () => Promise<readonly Container[]> | readonly Container[];
} = {
  "docker-compose.yml, in the entrypoint": async () => [await compose("api")],
  "docker-compose.yml, as a service of its own": async () => [await compose("migrate")],
  "kubernetes/job (and argocd/production)": async () => [
    await kubernetes("job/migrate.yaml"),
    await kubernetes("job/deployment.yaml", "initContainers"),
    await kubernetes("status/status.yaml"),
  ],
  "kubernetes/init-container (and argocd/staging)": async () => [
    await kubernetes("init-container/deployment.yaml", "initContainers"),
  ],
  "kubernetes/entrypoint": async () => [await kubernetes("base/deployment.yaml")],
  ecs: () => {
    const api = ecs("api-task");
    const [, , ...check] = api.healthCheck?.command ?? [];
    return [ecs("migrate-task"), api, { ...api, args: check }];
  },
  "github-actions/deploy.yml": () => ["migrate", "status"].map(workflow),
  platforms: () =>
    [
      platform("fly/fly.toml", /release_command = "(\w+)"/),
      platform("heroku/heroku.yml", /- headgate (\w+)/),
      platform("render/render.yaml", /preDeployCommand: headgate (\w+)/),
    ].slice(0, 1), // the same to the last variable
};

/** The environment of a container, with the test's database for the one that its values name. */
function environmentOf({ env = [] }: Container, database: string): Variables {
  const secrets = temporaryFolder("headgate-secrets-");
  const put = (name: string, text: string): string => {
    writeFileSync(join(secrets, name), `${text}\n`);
    return join(secrets, name);
  };
  // As the demo's Secret has it, scheme included.
  const url = server.url(database, { ...login, host: "localhost", scheme: "postgres" });
  const stand: { [name: string]: string } = {
    DATABASE_URL: url,
    DATABASE_URL_FILE: put("url", url),
    PGPASSWORD_FILE: put("password", login.password),
    PGHOST: "localhost",
    PGDATABASE: database,
    DATABASE_HOST: "localhost",
    DATABASE_PORT: String(server.port),
    DATABASE_NAME: database,
    DATABASE_USER: login.user,
    DATABASE_PASSWORD: login.password,
    PGSSLROOTCERT: certificates.ca,
  };
  const names = env.map(({ name }) => name);
  if (names.includes("HEADGATE_DATABASE_URL")) {
    stand["HEADGATE_DATABASE_URL"] = url;
    stand["DATABASE_URL"] = server.url(database, {
      ...reader,
      host: "localhost",
      scheme: "postgres",
    });
  }
  const pairs = env.map(({ name, value }): [string, string] => {
    const found = stand[name] ?? value;
    assert.ok(found !== undefined, `no value for ${name}`);
    return [name, found];
  });
  // Compose has it at the port that needs not be said.
  const port = names.includes("PGHOST") ? { PGPORT: String(server.port) } : {};
  return { ...Object.fromEntries(pairs), ...port };
}

async function prepare(tool: Tool) {
  const database = await createDatabase(server);
  await server.psql("postgres", `ALTER DATABASE ${database} OWNER TO app`);
  await server.psql(
    database,
    `ALTER SCHEMA public OWNER TO app;
    ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO server`,
  );
  const { folder } = makeProject(tool, fiveSteps);
  const boot = async (artifact: Artifact, container: Container): Promise<void> => {
    await runContainer(artifact, container, folder, {
      ...environmentOf(container, database),
      ...{ HEADGATE_MIGRATOR: tool.preset, PATH: toolPath, PYTHONDONTWRITEBYTECODE: "1" },
    });
    assert.deepEqual(await appliedSteps(server, database), [1, 2, 3, 4, 5]);
  };
  return { database, boot };
}

for (const artifact of artifacts) {
  for (const [file, containers] of Object.entries(deployments)) {
    for (const tool of [alembic, knex]) {
      testOn(artifact, `T1 ${file} migrates with ${tool.preset}, unchanged`, async (t) => {
        if (!requireTool(t, tool)) return;
        const { boot } = await prepare(tool);
        for (const container of await containers()) await boot(artifact, container);
      });
    }
  }
}

/** The chart's containers; it names an owner's login beside the server's. */
async function chart(mode: string): Promise<readonly Container[]> {
  const manifests = await helmTemplate(
    `--set=migrate.mode=${mode}`,
    "--set=database.migrateKey=owner",
  );
  return manifests
    .toSorted((one, other) => Number(other.kind === "Job") - Number(one.kind === "Job"))
    .flatMap(
      (manifest) =>
        podOfManifest(manifest)?.initContainers ?? podOfManifest(manifest)?.containers ?? [],
    )
    .map((container) => {
      const { command = [], env } = container as Container;
      assert.equal(command[0], "headgate");
      const end = command.indexOf("--");
      const server = ["--", "echo", "serving"];
      const args = end < 0 ? command.slice(1) : [...command.slice(1, end), ...server];
      return { args, ...(env === undefined ? {} : { env }) };
    });
}

const [artifact] = artifacts;
assert.ok(artifact);
const hasHelm = spawnSync("helm", ["version"]).status === 0;
for (const mode of ["hook", "init", "entrypoint"]) {
  for (const tool of [alembic, knex]) {
    test(`T1 the chart in mode ${mode} migrates with ${tool.preset} as the owner, unchanged`, async (t) => {
      if (!hasHelm) return t.skip("helm is not installed");
      if (!requireTool(t, tool)) return;
      const { database, boot } = await prepare(tool);
      for (const container of await chart(mode)) await boot(artifact, container);
      const [owner] = await server.psql(
        database,
        "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename IN ('applied', 'things')",
      );
      assert.deepEqual(owner, { tableowner: login.user });
    });
  }
}

/** As the image's ENTRYPOINT with the container's arguments, or with the image's CMD: a server. */
async function runContainer(
  artifact: Artifact,
  { args = ["--", "echo", "serving"], command }: Container,
  cwd: string,
  env: Variables,
): Promise<void> {
  assert.equal(command, undefined);
  const { exitCode, stdout, stderr } = await runHeadgate(artifact, [...args], { cwd, env });
  assert.equal(exitCode, 0, `${args.join(" ")}\n${stderr}`);
  if (args[0] === "--") assert.equal(stdout, "serving\n");
}
