/** The ECS script against a fake `aws`, and the real aws CLI's own checks of what is sent. Nothing reaches AWS. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { execa } from "execa";
import { eventually } from "../helpers/eventually.ts";
import { deployTest, root, tell } from "./deploy-test.ts";
import { answerAsAws, fakeAws, type Play } from "./fake-aws.ts";

const folder = `${root}deploy/ecs`;
const arn = "arn:aws:ecs:eu-west-1:111122223333:task/production/0123456789abcdef";
const started = `${arn}\tNone`;
const settings = {
  CLUSTER: "production",
  TASK_DEFINITION: "api-migrate:42",
  SUBNETS: "subnet-1,subnet-2",
  SECURITY_GROUPS: "sg-1",
  LOG_GROUP: "/ecs/api-migrate",
  POLL: "0.05",
};
const running = "RUNNING\tNone\tNone\tNone";
const stopped = (code: string, why = "Essential container in task exited"): string =>
  `STOPPED\t${code}\tNone\t${why}`;
const failure = String.raw`{"level":"error","code":"sql_failed","exitCode":1,"msg":"migrations/4_x.sql:1:1: relation \\"nots\\" does not exist (42P01), 100% sure"}`;

const about = { files: "ecs/migrate.sh", how: "ran as an emulation" } as const;

deployTest(about, "success: it waits for the task, shows its log and exits 0", async () => {
  const { exitCode, stdout, calls } = await play({
    "run-task": [started],
    "describe-tasks": ["PROVISIONING\tNone\tNone\tNone", running, stopped("0")],
    "get-log-events": [`{"msg":"migrated"}`],
  });
  assert.equal(exitCode, 0);
  assert.equal(stdout, `started ${arn}\n{"msg":"migrated"}\nmigrated`);
  assert.equal(calls.length, 5);
  assert.match(calls[0] ?? "", /--cluster production --task-definition api-migrate:42 /);
  assert.match(calls[0] ?? "", /subnets=\[subnet-1,subnet-2\],securityGroups=\[sg-1\]/);
  assert.match(calls[4] ?? "", /--log-stream-name headgate\/migrate\/0123456789abcdef /);
});

deployTest(about, "failure: it exits with headgate's code, and says why in one line", async () => {
  const scene: Play = {
    "run-task": [started],
    "describe-tasks": [running, stopped("1")],
    "get-log-events": [`{"level":"info","msg":"locked"}\\n${failure}`],
  };
  const why = `migrations/4_x.sql:1:1: relation "nots" does not exist (42P01), 100`;
  const plain = await play(scene);
  assert.equal(plain.exitCode, 1);
  assert.equal(plain.stderr, `migrate.sh: ${why}% sure (exit 1)`);
  const onGitHub = await play(scene, { GITHUB_ACTIONS: "true" });
  assert.equal(
    onGitHub.stdout.split("\n").at(-1),
    `::error title=migrate task, exit 1::${why}%25 sure`,
  );
  for (const code of ["65", "75", "77", "137"]) {
    const end = await play({ ...scene, "describe-tasks": [stopped(code)] });
    assert.equal(end.exitCode, Number(code));
  }
});

deployTest(
  about,
  "a task that is not placed, or whose container does not start, is exit 69",
  async () => {
    const unplaced = await play({ "run-task": ["None\tRESOURCE:MEMORY"] });
    assert.equal(unplaced.exitCode, 69);
    assert.match(unplaced.stderr, /ECS placed no task: RESOURCE:MEMORY/);
    const refused = await play({ "run-task": ["!"] });
    assert.equal(refused.exitCode, 69);
    const unpulled = await play({
      "run-task": [started],
      "describe-tasks": [
        "STOPPED\tNone\tCannotPullContainerError: no such tag\tTask failed to start",
      ],
      "get-log-events": ["!"],
    });
    assert.equal(unpulled.exitCode, 69);
    assert.match(unpulled.stderr, /did not start: CannotPullContainerError: no such tag/);
  },
);

deployTest(about, "a task that does not end is stopped, and is exit 124", async () => {
  const limits = { TIMEOUT: "1", STOP_TIMEOUT: "1" };
  const scene: Play = {
    "run-task": [started],
    "describe-tasks": [running],
    "stop-task": ["STOPPED"],
    "get-log-events": ["{}"],
  };
  const deaf = await play(scene, limits);
  assert.equal(deaf.exitCode, 124);
  assert.match(deaf.stderr, /was told to stop and has not/);
  assert.equal(deaf.calls.filter((call) => call.includes("stop-task")).length, 1);

  const obedient = await play({ ...scene, "describe-stopped": [stopped("143")] }, { TIMEOUT: "1" });
  assert.equal(obedient.exitCode, 124);
  assert.match(obedient.stderr, /not done after 1 s, and stopped/);
});

deployTest(about, "a failed look is no failure of the migration", async () => {
  const { exitCode } = await play({
    "run-task": [started],
    "describe-tasks": ["!", running, "!", stopped("0")],
    "get-log-events": ["{}"],
  });
  assert.equal(exitCode, 0);
});

deployTest(about, "a cancelled CI job stops the task", async () => {
  const aws = fakeAws({
    "run-task": [started],
    "describe-tasks": [running],
    "stop-task": ["STOPPED"],
  });
  const script = start(aws.folder, { POLL: "4" });
  await eventually("the first look", () => aws.calls().some((call) => /describe-tasks/.test(call)));
  const cancelled = performance.now();
  script.kill("SIGTERM");
  assert.equal((await script).exitCode, 143);
  assert.ok(performance.now() - cancelled < 3500, "it does not sleep on");
  assert.match(aws.calls().at(-1) ?? "", /stop-task .*--reason the CI job was ended/);
});

deployTest(about, "a missing setting is exit 64 before anything is called", async () => {
  const { exitCode, stderr } = await play({ "run-task": [started] }, { SUBNETS: "" });
  assert.equal(exitCode, 64);
  assert.equal(stderr, "migrate.sh: SUBNETS is not set (exit 64)");
});

deployTest(
  { files: "ecs/migrate.sh", how: "validated only", needs: ["shellcheck"] },
  "shellcheck finds nothing",
  async () => {
    await execa("shellcheck", [`${folder}/migrate.sh`]);
  },
);

deployTest(
  {
    files: "ecs/{migrate-task.json,api-task.json,migrate.sh}",
    how: "validated only",
    needs: ["aws"],
  },
  "the real aws CLI knows every field and every argument",
  async () => {
    const register = (file: string) => [
      "ecs",
      "register-task-definition",
      "--cli-input-json",
      file,
    ];
    for (const name of ["migrate-task", "api-task"]) {
      await checkedByAws(register(`file://${folder}/${name}.json`));
    }
    await assert.rejects(checkedByAws(register(`{"famly": "x"}`)), /Unknown parameter in input/);

    const { calls } = await play({
      "run-task": [started],
      "describe-tasks": [running, stopped("0")],
      "stop-task": ["STOPPED"],
      "get-log-events": ["{}"],
    });
    assert.equal(calls.length, 4);
    // The fake has joined the arguments; only --query and --reason hold spaces, and neither is sent.
    for (const call of new Set(calls)) {
      await checkedByAws(
        call
          .replace(/ --query .*$/, "")
          .replace(/ --output text/, "")
          .split(" "),
      );
    }
    tell("ecs", "not run", "against AWS: no account here, and no network");
  },
);

deployTest(
  { files: "ecs/migrate.sh", how: "ran as an emulation", needs: ["aws"] },
  "the real aws CLI, with its queries, on an endpoint that answers as ECS does",
  async () => {
    const task = { taskArn: arn, lastStatus: "PENDING" };
    const sidecar = { name: "proxy", exitCode: 0 };
    const end = { lastStatus: "STOPPED", stoppedReason: "Essential container in task exited" };
    const endpoint = await answerAsAws({
      RunTask: [{ tasks: [task], failures: [] }],
      DescribeTasks: [
        { tasks: [{ ...task, containers: [sidecar, { name: "migrate" }] }] },
        { tasks: [{ ...task, ...end, containers: [sidecar, { name: "migrate", exitCode: 65 }] }] },
      ],
      GetLogEvents: [
        { events: [{ message: `{"level":"info"}` }, { message: JSON.stringify(logged) }] },
      ],
    });
    try {
      const { exitCode, stdout, stderr } = await start(endpoint.folder, endpoint.env);
      assert.equal(stdout, `started ${arn}\n{"level":"info"}\n${JSON.stringify(logged)}`);
      assert.equal(stderr, `migrate.sh: ${logged.msg} (exit 65)`);
      assert.equal(exitCode, 65);
    } finally {
      endpoint.close();
    }
  },
);
const logged = { level: "error", msg: 'the history and the files disagree: "4_x.sql" was changed' };

deployTest(
  { files: "ecs/{migrate-task.json,api-task.json}", how: "validated only" },
  "the tasks give headgate the names it reads, secrets as references, and time to roll back",
  async () => {
    type Pair = { name: string; value?: string; valueFrom?: string };
    type Container = { secrets: Pair[]; environment: Pair[]; stopTimeout: number };
    const readme = readFileSync(`${root}README.md`, "utf8");
    for (const name of ["migrate-task", "api-task"]) {
      const task = JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8")) as {
        containerDefinitions: Container[];
      };
      const [container] = task.containerDefinitions;
      assert.ok(container && container.stopTimeout >= 10);
      for (const { name, valueFrom } of container.secrets) {
        assert.match(valueFrom ?? "", /^arn:aws:secretsmanager:/, name);
      }
      for (const { name } of [...container.environment, ...container.secrets]) {
        const isKnown = readme.includes(name) || /^(PORT|PGSSL|DATABASE_)/.test(name);
        assert.ok(isKnown, name);
        if (/PASSWORD|USER|URL/.test(name)) {
          assert.ok(
            container.secrets.some((secret) => secret.name === name),
            name,
          );
        }
      }
    }
  },
);

function start(path: string, env: { [name: string]: string } = {}) {
  return execa(`${folder}/migrate.sh`, {
    reject: false,
    extendEnv: false,
    env: { ...settings, PATH: `${path}:/usr/bin:/bin`, ...env },
    timeout: 30_000,
  });
}

async function play(
  scene: Play,
  env?: { [name: string]: string },
): Promise<{
  exitCode: number | undefined;
  stdout: string;
  stderr: string;
  calls: readonly string[];
}> {
  const aws = fakeAws(scene);
  const { exitCode, stdout, stderr } = await start(aws.folder, env);
  return {
    exitCode,
    stdout,
    stderr,
    get calls() {
      return aws.calls();
    },
  };
}

/** Checks arguments as for a real call, and calls nobody. */
async function checkedByAws(args: readonly string[]): Promise<void> {
  const offline = ["--region", "eu-west-1", "--generate-cli-skeleton", "output"];
  await execa("aws", [...args, ...offline]);
}
