import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Command, readArguments } from "../../src/cli.ts";
import { type Config, readConfig } from "../../src/config.ts";
import { describeConfig } from "../../src/describe-config.ts";
import { parseDuration } from "../../src/duration.ts";
import { HeadgateError } from "../../src/errors.ts";
import { commandHelp, helpText, optionsTable } from "../../src/help.ts";
import { splitCommand } from "../../src/migrator/words.ts";
import { commandNames, options, optionsOf, variableOf } from "../../src/options.ts";
import { temporaryFolder } from "../helpers/cleanup.ts";

const HERE = { DATABASE_URL: "postgres://app:battery-staple@db/app" };

/** The configuration of these arguments and variables. */
function configure(argv: string[], env: Record<string, string> = HERE): Config {
  return readConfig(readArguments(argv), env, new Set());
}

/** Every mistake in these arguments and variables. */
function mistakes(argv: string[], env: Record<string, string> = HERE): readonly string[] {
  try {
    configure(argv, env);
  } catch (error) {
    assert.ok(error instanceof HeadgateError);
    assert.equal(error.exitCode, 64);
    return error.problems;
  }
  return [];
}

test("everything after the first -- is the server, as it was typed", () => {
  const { server, verb, mistakes } = readArguments(["--", "node", "--", "--json", "-h", ""]);
  assert.deepEqual([verb, server, mistakes], ["run", ["node", "--", "--json", "-h", ""], []]);
  const named = readArguments(["run", "--lock-wait", "1m", "--", "a"]);
  assert.deepEqual([named.verb, named.server], ["run", ["a"]]);
});

test("a flag takes its value after a space or an equals sign", () => {
  for (const argv of [
    ["migrate", "--lock-wait", "1m"],
    ["migrate", "--lock-wait=1m"],
    ["--lock-wait", "1m", "migrate"],
  ]) {
    assert.equal(configure(argv).lockWaitMs, 60_000);
  }
});

test("a misspelt command, flag or variable is answered with the nearest known one", () => {
  assert.match(mistakes(["migrat"])[0] ?? "", /did you mean `headgate migrate`\?/);
  for (const argv of [
    ["migrate", "--lock-wiat", "1m"],
    ["--lock-wiat", "1m", "migrate"],
    ["--lock-wiat", "1m", "--", "node"],
    ["--lock-wiat=1m", "--", "node"],
    ["status", "--jsn"],
    ["--jsn", "status"],
  ]) {
    const found = mistakes(argv);
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0] ?? "", /did you mean --(lock-wait|json)\?/);
  }
  const { remarks } = configure(["migrate"], { ...HERE, HEADGATE_LOCK_WIAT: "1m" });
  assert.match(remarks[0] ?? "", /did you mean HEADGATE_LOCK_WAIT\?/);
});

test("a server without its -- is answered with how to write it", () => {
  assert.match(mistakes(["node", "server.js"])[0] ?? "", /`headgate -- node …`/);
  assert.match(mistakes(["run", "node", "server.js"])[0] ?? "", /`headgate -- node …`/);
  assert.match(mistakes([])[0] ?? "", /no server command/);
  assert.match(mistakes(["run", "--"])[0] ?? "", /no server command/);
});

for (const [what, argv, expected] of [
  ["a server for a command that starts none", ["migrate", "--", "node"], /starts no server/],
  ["a flag of another command", ["wait", "--json"], /not an option of `headgate wait` .*: status/],
  ["a value for a switch", ["status", "--json=yes"], /--json takes no value/],
  ["a flag without its value", ["migrate", "--lock-wait"], /--lock-wait needs a value/],
  ["a flag with an empty value", ["migrate", "--lock-wait="], /--lock-wait needs a value/],
  ["a flag given twice", ["wait", "--wait-timeout=1s", "--wait-timeout=2s"], /given twice/],
  ["an unknown short flag", ["wait", "-x"], /unknown option -x/],
  ["a second command", ["wait", "migrate"], /unexpected argument "migrate"/],
  ["a number that is no duration", ["wait", "--wait-timeout", "10"], /"10" is not a duration/],
  ["a negative duration", ["wait", "--wait-timeout", "-1s"], /"-1s" is not a duration/],
  [
    "a word that is no choice",
    ["wait", "--log-level", "loud"],
    /not one of debug, info, warn, error/,
  ],
  ["a limit of no files", ["--nofile", "0", "--", "a"], /"0" is not a positive whole number/],
  ["a table name with a space", ["migrate", "--history-table", "a b"], /"a b" is not a table name/],
  ["a table name of three parts", ["migrate", "--history-table", "a.b.c"], /is not a table name/],
  ["a command to wait for", ["wait", "--wait-for", "command:true"], /is not tcp:host:port/],
] as const) {
  test(`${what} is refused`, () => {
    const found = mistakes([...argv]);
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0] ?? "", expected);
  });
}

test("all mistakes are listed at once, whatever their kind", () => {
  const argv = ["migrate", "--lock-wiat", "1m", "--wait-timeout", "soon", "--log-level", "loud"];
  const env = { HEADGATE_ON_AHEAD: "stop", HEADGATE_CREATE_DATABASE: "maybe" };
  const found = mistakes(argv, env).join("\n");
  for (const each of [
    /--lock-wiat/,
    /--wait-timeout: "soon"/,
    /--log-level: "loud"/,
    /HEADGATE_ON_AHEAD: "stop"/,
    /HEADGATE_CREATE_DATABASE: "maybe"/,
    /no database host/,
  ]) {
    assert.match(found, each);
  }
});

test("a flag beats its variable, and the variable beats the default", () => {
  assert.equal(configure(["migrate"]).lockWaitMs, 600_000);
  const env = { ...HERE, HEADGATE_LOCK_WAIT: "2m" };
  assert.equal(configure(["migrate"], env).lockWaitMs, 120_000);
  assert.equal(configure(["migrate", "--lock-wait", "1m"], env).lockWaitMs, 60_000);
  const empty = { ...HERE, HEADGATE_LOCK_WAIT: "" };
  assert.equal(configure(["migrate"], empty).lockWaitMs, 600_000, "an empty variable is none");
});

test("every option has its variable, which counts as the flag does", () => {
  const values: Record<string, string> = {
    ...{ text: "x", duration: "7s", integer: "7", switch: "true", list: "tcp:a:1,tcp:b:2" },
  };
  const approved = join(temporaryFolder("headgate-config-"), "plan.json");
  writeFileSync(approved, '{"version": 1, "sets": []}');
  for (const command of commandNames) {
    for (const { name, kind, choices } of optionsOf(command)) {
      // Without the last ones nothing says what is wanted: they have no default to differ from.
      const needed = ["done", "redo", "from", "accept", "forget", "reason"];
      if (["database-url", ...needed].includes(name)) continue;
      const own = {
        "migrator-state": "one,two",
        "migrator-env": "A,B=parts",
        "hook-env": "A=url,PG=parts",
        "notify-url": "https://hooks.example.com/x",
        sets: '[{"name": "x"}]',
        "scratch-url": "postgres://u@h/scratch",
        plan: approved,
      };
      const value = own[name as keyof typeof own] ?? choices?.at(-1) ?? values[kind] ?? "";
      const rest = {
        run: ["--", "a"],
        resolve: ["7:2", "--redo"],
        stamp: ["2"],
        repair: ["7", "--accept", "--reason", "why"],
        new: ["x"],
        completion: ["fish"],
      };
      // What tells of a migrator means nothing without one, and a round trip needs a place.
      const also = /^migrator-(inputs|state|dir|env)$/.test(name)
        ? ["--migrator", "alembic"]
        : name === "roundtrip"
          ? ["--scratch-create"]
          : [];
      const server = [...also, ...(rest[command as keyof typeof rest] ?? [])];
      const typed = (kind === "list" ? value.split(",") : [value]).flatMap((item) =>
        kind === "switch" ? [`--${name}`] : [`--${name}`, item],
      );
      const plain = ({ from: _from, rereadDatabase: _reread, ...config }: Config): object => config;
      const byFlag = configure([command, ...typed, ...server]);
      const byVariable = configure([command, ...server], { ...HERE, [variableOf(name)]: value });
      assert.deepEqual(plain(byFlag), plain(byVariable), name);
      assert.notDeepEqual(plain(byFlag), plain(configure([command, ...server])), name);
      assert.equal(byFlag.from[name], `--${name}`);
      assert.equal(byVariable.from[name], variableOf(name));
    }
  }
});

test("resolve takes one step, and one of --done and --redo", () => {
  const { resolution } = configure(["resolve", "7:2", "--done"]);
  assert.deepEqual(resolution, { migration: 7, step: 2, isDone: true });
  assert.equal(configure(["resolve", "--redo", "12:34"]).resolution?.isDone, false);
  assert.match(mistakes(["resolve", "--done"]).join(), /needs its STEP/);
  assert.match(mistakes(["resolve", "7", "--done"]).join(), /"7" is not a step/);
  assert.match(mistakes(["resolve", "7:2"]).join(), /choose one of --done and --redo/);
  assert.match(mistakes(["resolve", "7:2", "8:1", "--redo"]).join(), /unexpected argument "8:1"/);
});

test("repair takes numbers, one of --accept and --forget, and a reason", () => {
  const { repair } = configure(["repair", "7,03", "--accept", "--reason", " a formatter ran "]);
  assert.deepEqual(repair, {
    ...{ ids: [3, 7], change: "accept", reason: "a formatter ran", isConfirmed: false },
  });
  const because = ["--reason", "x"];
  assert.equal(
    configure(["repair", "7", "--forget", "--yes", ...because]).repair?.change,
    "forget",
  );
  assert.match(mistakes(["repair", "--forget", ...because]).join(), /needs its ID/);
  for (const operand of ["0", "seven", "3,", "3-5", "7:2", "99999999999"]) {
    assert.match(
      mistakes(["repair", operand, "--forget", ...because]).join(),
      /start at 1/,
      operand,
    );
  }
  for (const flags of [[], ["--accept", "--forget"]]) {
    const found = mistakes(["repair", "7", ...flags, "--reason", " "]).join("\n");
    assert.match(found, /choose one of --accept and --forget\n--reason "…" is needed: say why/);
  }
  const inSets = { ...HERE, HEADGATE_SETS: '[{"name": "a"}, {"name": "b", "history-table": "b"}]' };
  const found = mistakes(["repair", "7", "--forget", ...because], inSets).join();
  assert.match(found, /HEADGATE_SETS is set, and `headgate repair` works on one folder/);
});

test("a variable of another command's option is left alone", () => {
  const env = { ...HERE, HEADGATE_JSON: "maybe", HEADGATE_NOFILE: "lots" };
  assert.deepEqual([mistakes(["wait"], env), configure(["wait"], env).remarks], [[], []]);
});

test("variables that Kubernetes makes for a Service called headgate are no misspellings", () => {
  const env = {
    ...{ HEADGATE_SERVICE_HOST: "10.0.0.1", HEADGATE_SERVICE_PORT: "80" },
    ...{ HEADGATE_PORT: "tcp://10.0.0.1:80", HEADGATE_PORT_80_TCP_ADDR: "10.0.0.1" },
  };
  assert.deepEqual(configure(["wait"], { ...HERE, ...env }).remarks, []);
});

test("durations are written with their unit, and 0 is no limit", () => {
  for (const [text, ms] of [
    ["250ms", 250],
    ["30s", 30_000],
    ["1.5s", 1500],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["0", Infinity],
    ["0s", Infinity],
  ] as const) {
    assert.equal(parseDuration(text), ms);
  }
  for (const text of ["", "10", "s", "1d", "1 s", "-1s", "1e3s", "١s", "1s2ms", "Infinity"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test("a table name is folded as Postgres folds it, and may name its schema", () => {
  for (const [text, names] of [
    ["migrations", ["migrations"]],
    ["Billing.Migrations", ["billing", "migrations"]],
    ['"Billing"."my ""own"" table"', ["Billing", 'my "own" table']],
    ["übersicht.m1$", ["übersicht", "m1$"]],
  ] as const) {
    assert.deepEqual(configure(["migrate", "--history-table", text]).historyTable, names);
  }
});

test("help is one screen, names every command and option, and each command has examples", () => {
  const help = helpText();
  assert.ok(help.split("\n").length <= 45, "more than a screen");
  for (const { name } of options) assert.ok(help.includes(`--${name}`), name);
  for (const name of commandNames) {
    assert.ok(help.includes(summaryOf(commandHelp(name))), name);
    assert.match(commandHelp(name), /examples:\n {2}headgate/);
    for (const option of optionsOf(name)) {
      assert.ok(commandHelp(name).includes(variableOf(option.name)), option.name);
    }
    for (const line of commandHelp(name).split("examples:\n")[1]?.trim().split("\n") ?? []) {
      const words = splitCommand(line.trim());
      const argv = typeof words === "string" ? assert.fail(words) : words.slice(1);
      assert.deepEqual(mistakes(argv), [], `the example does not work: ${line}`);
    }
  }
  assert.equal(optionsTable().split("\n").length, options.length + 2);
});

const summaryOf = (help: string): string => help.split("\n")[2] ?? "?";

test("help and version are given wherever they are asked for", () => {
  const asked = (argv: string[]): Pick<Command, "verb" | "helpOf"> => {
    const { verb, helpOf } = readArguments(argv);
    return { verb, ...(helpOf === undefined ? {} : { helpOf }) };
  };
  for (const argv of [["--help"], ["-h"], ["help"], ["bogus", "--help"]]) {
    assert.deepEqual(asked(argv), { verb: "help" });
  }
  for (const argv of [
    ["migrate", "--help"],
    ["-h", "migrate"],
    ["help", "migrate"],
  ]) {
    assert.deepEqual(asked(argv), { verb: "help", helpOf: "migrate" });
  }
  for (const argv of [["--version"], ["-V"], ["migrate", "--version"]]) {
    assert.deepEqual(asked(argv), { verb: "version" });
  }
  assert.equal(asked(["--", "node", "--help"]).verb, "run");
});

test("the first log line says where each value came from, and no secret", () => {
  const env = {
    ...HERE,
    HEADGATE_LOCK_WAIT: "2m",
    PGPASSWORD: "correct-horse",
    PGSSLMODE: "require",
  };
  const said = describeConfig(configure(["migrate", "--migrations", "sql"], env));
  assert.deepEqual(said, {
    ...{ host: "db:5432", database: "app", user: "app", sslmode: "require" },
    databaseFrom: {
      ...{ user: "DATABASE_URL", password: "DATABASE_URL", host: "DATABASE_URL" },
      ...{ dbname: "DATABASE_URL", sslmode: "PGSSLMODE" },
    },
    ...{ migrations: "sql", historyTable: "migrations" },
    optionsFrom: { migrations: "--migrations", "lock-wait": "HEADGATE_LOCK_WAIT" },
  });
  assert.doesNotMatch(JSON.stringify(said), /battery|horse/);
});
