/**
 * Compares `headgate plan` and squawk with what PostgreSQL 15 and 18 really do, on tables full of rows, for each
 * statement of the corpus. Prints a table; exits with 1 when headgate misses something or flags something falsely.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { artifacts, runHeadgate } from "../helpers/headgate.ts";
import { temporaryFolder } from "../helpers/cleanup.ts";
import { makeMigrations } from "../helpers/migrations.ts";
import { type Postgres, createDatabase, startPostgres } from "../helpers/postgres.ts";
import { type Case, corpus } from "./corpus.ts";
import { schema } from "./schema.ts";
import { type Effects, observeInside, observeOutside } from "./truth.ts";

const majors = [15, 18];
const folder = import.meta.dirname;
const install = ["ci", "--no-audit", "--no-fund", "--silent"];
for (const each of [folder, join(folder, "../matrix")]) {
  execFileSync("npm", install, { cwd: each, stdio: "inherit" });
}

/** What a tool says of a case. */
type Verdict = {
  readonly isMissed: boolean;
  readonly isFalse: boolean;
  /** For the table, when one of them is true. */
  readonly why: string;
};

/**
 * Squawk's rules that are about locks. The first kind says that it takes long, the second that others have to wait; the
 * rest of its rules are about style, other versions of the application, or lost data, and count for nothing here.
 */
const slowRules = [
  ...["adding-field-with-default", "adding-foreign-key-constraint", "adding-not-nullable-field"],
  ...["adding-serial-primary-key-field", "changing-column-type", "constraint-missing-not-valid"],
  ...[
    "disallowed-unique-constraint",
    "require-concurrent-index-creation",
    "require-concurrent-reindex",
  ],
  ...[
    "adding-required-field",
    "adding-exclude-constraint",
    "prefer-repack",
    "ban-alter-domain-with-add-constraint",
  ],
];
const momentRules = ["require-concurrent-index-deletion", "require-concurrent-partition-detach"];

async function observe(server: Postgres, cases: readonly Case[]): Promise<Map<Case, Effects>> {
  const database = await createDatabase(server, "truth");
  await server.psql(database, schema);
  const [client, monitor] = [await server.connect(database), await server.connect(database)];
  const effects = new Map<Case, Effects>();
  const failed: unknown[] = [];
  for (const each of cases.filter(({ heldBackBy }) => heldBackBy === undefined)) {
    await observeInside(client, monitor, each).then(
      (found) => effects.set(each, found),
      (error: unknown) => failed.push(error),
    );
  }
  if (failed.length > 0) throw new Error(failed.map(String).join("\n"));
  await client.end();
  await monitor.end();
  for (const [index, each] of cases.entries()) {
    if (each.heldBackBy === undefined) continue;
    const copy = `${database}_${index}`;
    await server.psql("postgres", `create database ${copy} template ${database}`);
    effects.set(each, await observeOutside(server, copy, each));
  }
  return effects;
}

type Statement = {
  readonly class: string;
  readonly locks: readonly { readonly relation: string; readonly mode: string }[];
  readonly held: readonly unknown[];
  readonly rewrites: readonly string[];
  readonly indexBuilds: readonly string[];
  readonly findings: readonly { readonly name: string; readonly text: string }[];
};

const modes = [
  ...["AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"],
  ...["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"],
];

async function askHeadgate(server: Postgres, database: string, each: Case): Promise<Statement[]> {
  const sql = each.heldBackBy === undefined ? each.sql : `-- headgate: no-transaction\n${each.sql}`;
  const migrations = makeMigrations({ "1_case.sql": sql });
  const args = ["plan", "--json", "--scratch-create", "--migrations", migrations];
  const [artifact = { name: "", command: [] }] = artifacts.toReversed();
  const env = { DATABASE_URL: server.url(database) };
  const { exitCode, stdout, stderr } = await runHeadgate(artifact, args, { env });
  if (exitCode !== 0) throw new Error(`${each.sql}: ${stderr}`);
  type Report = { sets: { pending: { statements: Statement[] }[] }[] };
  return (JSON.parse(stdout) as Report).sets.flatMap(({ pending }) =>
    pending.flatMap(({ statements }) => statements),
  );
}

/** Headgate is held to more than the danger: every lock, every table that is rewritten or gets an index. */
function judgeHeadgate(effects: Effects, statements: readonly Statement[]): Verdict {
  const found = statements.flatMap(({ findings, held }) =>
    findings.filter(
      ({ name }) =>
        ["rewrite", "index-build", "scan", "unknown"].includes(name) ||
        (name === "data-change" && held.length > 0),
    ),
  );
  const locks: Record<string, string> = {};
  for (const { relation, mode } of statements.flatMap((statement) => statement.locks)) {
    if (modes.indexOf(mode) > modes.indexOf(locks[relation] ?? "")) locks[relation] = mode;
  }
  // The rows that a change of rows looks up in other tables are not in the copy, nor are the locks for that.
  const isCompared = (mode: string | undefined): boolean =>
    mode !== "RowShareLock" && mode !== "AccessShareLock";
  const names = [...new Set([...Object.keys(locks), ...Object.keys(effects.locks)])].filter(
    (name) =>
      isCompared(locks[name] ?? effects.locks[name]) ||
      isCompared(effects.locks[name] ?? locks[name]),
  );
  const weaker = names.filter(
    (name) => modes.indexOf(locks[name] ?? "") < modes.indexOf(effects.locks[name] ?? ""),
  );
  const stronger = names.filter(
    (name) => modes.indexOf(locks[name] ?? "") > modes.indexOf(effects.locks[name] ?? ""),
  );
  const rewrites = compare(
    effects.rewrites,
    statements.flatMap((each) => each.rewrites),
  );
  const builds = compare(
    effects.builds,
    statements.flatMap((each) => each.indexBuilds),
  );
  const isScan = statements.some((each) => each.class === "scan");
  const misses = [
    ...(effects.isLong && found.length === 0 ? ["no finding"] : []),
    ...(effects.scans.length > 0 && statements.every((each) => each.class === "instant")
      ? ["scan"]
      : []),
    ...weaker.map(
      (name) => `lock on ${name}: ${effects.locks[name]}, not ${locks[name] ?? "none"}`,
    ),
    ...rewrites.missing.map((name) => `rewrite of ${name}`),
    ...builds.missing.map((name) => `index build on ${name}`),
  ];
  const falsehoods = [
    ...(!effects.isLong && found.length > 0
      ? found.map(({ name, text }) => `${name}: ${text}`)
      : []),
    ...(isScan && effects.scans.length === 0 ? ["scan"] : []),
    ...stronger.map(
      (name) => `lock on ${name}: ${effects.locks[name] ?? "none"}, not ${locks[name]}`,
    ),
    ...rewrites.extra.map((name) => `rewrite of ${name}`),
    ...builds.extra.map((name) => `index build on ${name}`),
  ];
  const why = [
    ...misses.map((text) => `missed ${text}`),
    ...falsehoods.map((text) => `said ${text}`),
  ];
  return { isMissed: misses.length > 0, isFalse: falsehoods.length > 0, why: why.join("; ") };
}

function compare(
  expected: readonly string[],
  found: readonly string[],
): { missing: string[]; extra: string[] } {
  return {
    missing: expected.filter((name) => !found.includes(name)),
    extra: found.filter((name) => !expected.includes(name)),
  };
}

type Violation = { readonly file: string; readonly rule_name: string };

function askSquawk(major: number, cases: readonly Case[]): Map<Case, readonly string[]> {
  const files = temporaryFolder("headgate-squawk-");
  const paths = cases.map(({ sql }, index) => {
    const path = join(files, `${index}.sql`);
    writeFileSync(path, `${sql};\n`);
    return path;
  });
  const program = join(folder, "node_modules/@squawk-cli/linux-x64/bin/squawk");
  const answers = new Map<Case, readonly string[]>();
  // Files of one transaction each, except those that need none.
  for (const isInside of [true, false]) {
    const chosen = cases.flatMap((each, index) =>
      (each.heldBackBy === undefined) === isInside ? [{ each, path: paths[index] ?? "" }] : [],
    );
    const args = [
      ...["--reporter", "json", "--pg-version", String(major)],
      ...(isInside ? ["--assume-in-transaction"] : []),
      ...chosen.map(({ path }) => path),
    ];
    const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1e8 });
    if (stdout === "") throw new Error(`squawk: ${stderr}`);
    const violations = JSON.parse(stdout) as Violation[];
    for (const { each, path } of chosen) {
      answers.set(
        each,
        violations.filter(({ file }) => file === path).map((found) => found.rule_name),
      );
    }
  }
  return answers;
}

function judgeSquawk(effects: Effects, rules: readonly string[]): Verdict {
  const slow = rules.filter((rule) => slowRules.includes(rule));
  const moment = rules.filter((rule) => momentRules.includes(rule));
  const isHarmless = Object.values(effects.locks).every(
    (mode) => modes.indexOf(mode) < modes.indexOf("ShareLock"),
  );
  const isFalse = (!effects.isLong && slow.length > 0) || (isHarmless && moment.length > 0);
  const isMissed = effects.isLong && slow.length === 0;
  return {
    isMissed,
    isFalse,
    why: isMissed ? "missed" : isFalse ? `said ${[...slow, ...moment].join(", ")}` : "",
  };
}

let failures = 0;
for (const major of majors) {
  const server = await startPostgres({ major, settings: { autovacuum: "off" } });
  const cases = corpus.filter(({ since }) => since <= major);
  const effects = await observe(server, cases);
  const squawk = askSquawk(major, cases);
  const target = await createDatabase(server, "target");
  await server.psql(target, schema);
  const verdicts = new Map<Case, Verdict>();
  // As many at once as keep two processors busy.
  const queue = [...cases];
  const work = async (): Promise<void> => {
    for (let each = queue.shift(); each !== undefined; each = queue.shift()) {
      const statements = await askHeadgate(server, target, each);
      verdicts.set(each, judgeHeadgate(effects.get(each) as Effects, statements));
    }
  };
  await Promise.all([work(), work(), work()]);
  await server.stop();

  const rows = cases.map((each) => ({
    each,
    truth: effects.get(each) as Effects,
    headgate: verdicts.get(each) as Verdict,
    squawk: judgeSquawk(effects.get(each) as Effects, squawk.get(each) ?? []),
  }));
  console.log(`\nPostgreSQL ${major}: ${cases.length} cases`);
  for (const { each, truth, headgate, squawk: other } of rows) {
    if (headgate.why === "" && other.why === "") continue;
    console.log(`  ${truth.isLong ? "dangerous" : "harmless "}  ${each.sql}`);
    if (headgate.why !== "") console.log(`             headgate: ${headgate.why}`);
    if (other.why !== "") console.log(`             squawk: ${other.why}`);
  }
  const count = (of: "headgate" | "squawk", key: "isMissed" | "isFalse"): number =>
    rows.filter((row) => row[of][key]).length;
  const dangerous = rows.filter(({ truth }) => truth.isLong).length;
  console.log(`\nPostgreSQL ${major}, ${cases.length} cases, ${dangerous} of them dangerous:`);
  console.log("            missed  falsely flagged");
  for (const tool of ["headgate", "squawk"] as const) {
    console.log(
      `  ${tool.padEnd(8)}  ${String(count(tool, "isMissed")).padStart(6)}  ${String(count(tool, "isFalse")).padStart(15)}`,
    );
  }
  failures += count("headgate", "isMissed") + count("headgate", "isFalse");
}
process.exit(failures === 0 ? 0 : 1);
