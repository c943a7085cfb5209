import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type HeadgateResult,
  artifacts,
  runHeadgate,
  startHeadgate,
} from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { useServer } from "../../helpers/use-server.ts";
import { eventually } from "../../helpers/eventually.ts";
import { addMigrations, type MigrationFiles, makeMigrations } from "../../helpers/migrations.ts";
import { makeMigratorProject } from "../../helpers/plain-migrator.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ settings: { autovacuum: "off" } });

const schema = `
  create table customers (id bigint primary key, email text);
  create table orders (id int primary key, customer bigint, note varchar(10), at timestamp);
  insert into customers select i, 'mail' || i from generate_series(1, 20000) i;
  insert into orders select i, i, 'note', now() from generate_series(1, 20000) i;
  analyze`;

type Statement = {
  line: number;
  sql: string;
  class: string;
  locksAre: string;
  locks: { relation: string; mode: string; blocks: string; rows: number | null }[];
  held: { relation: string; mode: string }[];
  rewrites: string[];
  rows: number | null;
  bytes: number | null;
  findings: { name: string; text: string; allowed: string | null }[];
  safer: string | null;
};
type Report = {
  version: number;
  analysis: string;
  notes: string[];
  sets: {
    name: string | null;
    migrator: { command: string; fingerprint: string | null } | null;
    applied: { id: number; name: string }[];
    pending: { id: number; name: string; statements: Statement[] }[];
  }[];
};

async function makeTarget(sql = schema): Promise<string> {
  const database = await createDatabase(server);
  await server.psql(database, sql);
  return database;
}

type Asked = {
  artifact?: (typeof artifacts)[number];
  env?: Record<string, string>;
  args?: string[];
};

async function plan(
  database: string,
  files: MigrationFiles | string,
  { artifact = artifacts[0], env = {}, args = ["--scratch-create", "--json"] }: Asked = {},
): Promise<HeadgateResult & { report: Report; statements: Statement[] }> {
  assert.ok(artifact);
  const folder = typeof files === "string" ? files : makeMigrations(files);
  const result = await runHeadgate(artifact, ["plan", "--migrations", folder, ...args], {
    env: { DATABASE_URL: server.url(database), ...env },
  });
  const isJson = args.includes("--json") && result.stdout !== "";
  const report = (isJson ? JSON.parse(result.stdout) : { sets: [] }) as Report;
  const statements = report.sets.flatMap(({ pending }) =>
    pending.flatMap((file) => file.statements),
  );
  return { ...result, report, statements };
}

const summary = ({ line, class: found, locks, findings }: Statement): unknown => [
  line,
  found,
  locks
    .filter(({ blocks }) => blocks !== "nothing")
    .map(({ relation, mode }) => `${relation} ${mode}`),
  findings.map(({ name }) => name),
];

for (const artifact of artifacts) {
  testOn(
    artifact,
    "N3 plan reads nothing but the catalog and the history of the target, and needs no right on its tables",
    async () => {
      const database = await makeTarget();
      const scratch = await createDatabase(server, "scratch");
      const reader = `reader_${database}`;
      await server.psql(
        database,
        `create table migrations (id integer primary key, name varchar(100) unique not null, hash varchar(40) not null, executed_at timestamp default current_timestamp);
      create role ${reader} login password 'long-secret'; grant select on migrations to ${reader};
      revoke create on schema public from public; create function forbidden() returns int language plpgsql as 'begin raise exception ''ran''; end';
      create view watched as select forbidden() as x, note from orders`,
      );
      const look = async (): Promise<unknown> =>
        server.psql(
          database,
          `select relname, seq_scan, idx_scan, n_tup_ins, n_tup_upd, n_tup_del, pg_relation_filenode(relid) as file
        from pg_stat_user_tables where relname <> 'migrations' order by 1`,
        );
      const before = await look();
      const { exitCode, statements, stderr } = await plan(
        database,
        {
          "1_change.sql":
            "ALTER TABLE orders ALTER id TYPE bigint; DROP TABLE customers; SELECT pg_sleep(0);",
        },
        {
          artifact,
          env: {
            DATABASE_URL: server.url(database, { user: reader, password: "long-secret" }),
            PGOPTIONS: "-c default_transaction_read_only=on",
            HEADGATE_SCRATCH_URL: server.url(scratch),
          },
          args: ["--json"],
        },
      );
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual(statements.map(summary), [
        [1, "rewrite", ["orders AccessExclusiveLock"], ["rewrite"]],
        [1, "instant", ["customers AccessExclusiveLock"], ["lock"]],
        [1, "instant", [], []],
      ]);
      assert.deepEqual(await look(), before);
      assert.deepEqual(await server.psql(scratch, "select from pg_class where oid >= 16384"), []);
    },
  );

  testOn(
    artifact,
    "N4 each statement has its class, its locks on tables that were there, their sizes, and a safer form",
    async () => {
      const { statements, exitCode, report } = await plan(
        await makeTarget(),
        {
          "1_a.sql": `ALTER TABLE orders ADD COLUMN paid boolean DEFAULT false;
CREATE INDEX orders_customer ON orders (customer);
CREATE TABLE fresh (id int PRIMARY KEY, a int);
CREATE INDEX ON fresh (a);`,
          "2_b.sql":
            "ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (customer) REFERENCES customers;",
          "3_c.sql":
            "ALTER TABLE fresh ALTER a TYPE bigint;\n\nALTER TABLE orders ALTER note SET NOT NULL;",
          "4_d.sql":
            "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY orders_at ON orders (at);\nDROP INDEX CONCURRENTLY orders_at;\nUPDATE orders SET note = 'x';",
        },
        { artifact },
      );
      assert.equal(exitCode, 0);
      assert.equal(report.version, 1);
      assert.equal(report.analysis, "traced");
      assert.deepEqual(statements.map(summary), [
        [1, "instant", ["orders AccessExclusiveLock"], ["lock"]],
        // The lock of the first statement is held.
        [2, "index build", ["orders ShareLock"], ["index-build"]],
        [3, "instant", [], []],
        [4, "instant", [], []],
        [1, "scan", ["orders ShareRowExclusiveLock", "customers ShareRowExclusiveLock"], ["scan"]],
        [1, "instant", [], []],
        [3, "scan", ["orders AccessExclusiveLock"], ["scan"]],
        [2, "index build", [], []],
        [3, "instant", [], []],
        [4, "data change", [], []],
      ]);
      const [first, second, , , third] = statements;
      assert.equal(first?.locks[0]?.rows, 20_000);
      assert.deepEqual(
        second?.held.map(({ mode }) => mode),
        ["AccessExclusiveLock"],
      );
      assert.ok((second?.bytes ?? 0) > 1e6 && (second?.bytes ?? 0) < 4e6, String(second?.bytes));
      assert.match(
        second?.safer ?? "",
        /no-transaction\nCREATE INDEX CONCURRENTLY orders_customer ON orders \(customer\);$/,
      );
      assert.match(
        third?.safer ?? "",
        /NOT VALID;\n.*\nALTER TABLE orders VALIDATE CONSTRAINT c;$/,
      );
    },
  );
}

test("N4 the safer form, pasted into files as it says, has no finding but the moment that it takes", async () => {
  const database =
    await makeTarget(`${schema}; create index orders_at on orders (at); create materialized view totals as select customer, count(*) from orders group by 1;
    create unique index on totals (customer); create table "order" ("limit" int, "Name" text); create table parts (a int) partition by range (a); create table part partition of parts for values from (1) to (2)`);
  const risky = [
    "CREATE UNIQUE INDEX orders_both ON orders (id, customer)",
    "DROP INDEX orders_at",
    "REINDEX TABLE orders",
    "REFRESH MATERIALIZED VIEW totals",
    "ALTER TABLE orders ADD CHECK (id > 0), ADD COLUMN x int",
    "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE",
    "ALTER TABLE orders ALTER COLUMN note SET NOT NULL",
    "ALTER TABLE orders ADD CONSTRAINT once UNIQUE (note, id)",
    "ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid(), ADD COLUMN price numeric(10, 2) NOT NULL DEFAULT 0 CHECK (price >= 0)",
    "ALTER TABLE orders ADD COLUMN code text UNIQUE",
    // PostgreSQL 13 has no other form of it.
    ...(server.major >= 14 ? ["ALTER TABLE parts DETACH PARTITION part"] : []),
    'ALTER TABLE "order" ALTER "limit" SET NOT NULL',
    'CREATE INDEX "user" ON "order" ("limit")',
    'ALTER TABLE "order" ALTER "limit" TYPE bigint',
  ];
  for (const sql of risky) {
    const { statements } = await plan(database, { "1_risky.sql": sql });
    const [statement] = statements;
    const { safer } = statement ?? {};
    assert.ok(typeof safer === "string", sql);
    // Where it says so, another file begins.
    const pieces = safer
      .split(/^-- in a (?:later file|file of its own).*\n/m)
      .filter((piece) => piece.trim() !== "");
    const files = Object.fromEntries(
      pieces.map((piece, index) => [`${index + 1}_p${index}.sql`, piece]),
    );
    const again = await plan(database, files);
    const findings = again.statements.flatMap((each) =>
      each.findings.map(({ name, text }) => `${name}: ${text}`),
    );
    assert.deepEqual(
      findings.filter((text) => !text.startsWith("lock: ")),
      [],
      `${sql}\n${safer}`,
    );
    assert.equal(again.exitCode, 0, `${safer}\n${again.stderr}`);
  }
});

test("N5 files that are applied are not in the plan, and of a file that was begun only the steps that are left", async () => {
  const database = await makeTarget();
  const folder = makeMigrations({ "1_a.sql": "CREATE TABLE a (id int);" });
  const env = { DATABASE_URL: server.url(database) };
  const migrate = (): Promise<HeadgateResult> =>
    runHeadgate(artifacts[0] ?? assert.fail(), ["migrate", "--migrations", folder], { env });
  assert.equal((await migrate()).exitCode, 0);
  addMigrations(folder, {
    "2_b.sql":
      "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY b ON orders (at);\nALTER TABLE missing ADD b int;",
  });
  assert.equal((await migrate()).exitCode, 1);
  addMigrations(folder, {
    "2_b.sql":
      "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY b ON orders (at);\nALTER TABLE a ADD b int;",
  });
  const { report, statements, stderr } = await plan(database, folder);
  assert.deepEqual(
    report.sets[0]?.applied.map(({ name }) => name),
    ["a"],
    stderr,
  );
  assert.deepEqual(
    statements.map(({ sql }) => sql),
    ["ALTER TABLE a ADD b int"],
  );
  assert.deepEqual(
    statements[0]?.locks.map(({ relation }) => relation),
    ["a"],
  );
});

test("N5 what migrate would refuse, plan refuses with the same words and exit code", async () => {
  const database = await makeTarget();
  const committed = await plan(database, { "1_a.sql": "CREATE TABLE a (); COMMIT;" });
  assert.equal(committed.exitCode, 1);
  assert.match(committed.stderr, /COMMIT inside the file/);
  await server.psql(
    database,
    "create table migrations (id integer primary key, name varchar(100) unique not null, hash varchar(40) not null, executed_at timestamp default current_timestamp); insert into migrations values (1, 'a', 'x')",
  );
  const changed = await plan(database, { "1_a.sql": "CREATE TABLE a ();" });
  assert.equal(changed.exitCode, 65);
  assert.match(changed.stderr, /edited after it was applied/);
});

test("N4 where a column is written anew because of its domain, no form with that domain is called safer", async () => {
  const database = await makeTarget(`${schema}; create domain positive as int check (value > 0)`);
  const { statements } = await plan(database, {
    "1_a.sql": "ALTER TABLE orders ADD COLUMN a positive;",
    "2_b.sql": "ALTER TABLE orders ADD COLUMN b positive DEFAULT 3;",
  });
  const found = statements.map(({ class: work, safer }) => [work, safer]);
  assert.deepEqual(found, [
    ["rewrite", null],
    ["rewrite", null],
  ]);
});

test("N5 an index that a failed build left INVALID is built anew, as migrate would do it", async () => {
  const database = await makeTarget(
    "create table t (a int, b int); insert into t values (1, 1), (1, 1)",
  );
  const build = "CREATE UNIQUE INDEX CONCURRENTLY once ON t (a)";
  const folder = makeMigrations({ "1_steps.sql": `-- headgate: no-transaction\n${build};` });
  const failed = await runHeadgate(artifacts[0] as (typeof artifacts)[0], ["migrate"], {
    env: { DATABASE_URL: server.url(database), HEADGATE_MIGRATIONS: folder },
  });
  assert.equal(failed.exitCode, 1, failed.stderr);
  const { statements } = await plan(database, folder);
  assert.deepEqual(statements.map(summary), [[2, "index build", [], []]]);
  const inside = await plan(database, {
    "1_one.sql": "CREATE UNIQUE INDEX IF NOT EXISTS once ON t (a);",
  });
  assert.deepEqual(inside.statements.map(summary), [
    [1, "index build", ["t ShareLock"], ["index-build"]],
  ]);
  const repair = await plan(database, { "1_two.sql": "DROP INDEX once;" });
  assert.deepEqual(repair.statements[0]?.class, "instant");
});

test("N4 of many partitions a finding names a few, the same at each run", async () => {
  const database = await makeTarget(`create table logs (a int) partition by list (a);
    do $$ begin for i in 1..9 loop execute format('create table logs_%s partition of logs for values in (%s)', i, i); end loop; end $$`);
  const { statements } = await plan(database, { "1_a.sql": "CREATE INDEX ON logs (a);" });
  const [finding] = statements[0]?.findings ?? [];
  assert.equal(
    finding?.text,
    "builds an index (logs_1, logs_2, logs_3, logs_4, logs_5 and 4 more), and meanwhile blocks writes of logs, logs_1, logs_2, logs_3, logs_4 and 5 more",
  );
  assert.equal(statements[0]?.locks.length, 10);
});

test("N6 what cannot be tried out is unknown and counts as dangerous, and the plan goes on behind it", async () => {
  const database = await makeTarget();
  const role = `role_${database}`;
  const { exitCode, statements, stderr } = await plan(database, {
    "1_a.sql": `SELECT 1 / 0;
CREATE ROLE ${role};
DO $$ BEGIN EXECUTE 'create role ${role}'; END $$;
DO $$ BEGIN EXECUTE 'grant temporary on database ${database} to pg_monitor'; END $$;
DO $$ BEGIN BEGIN EXECUTE 'grant temporary on database ${database} to pg_monitor'; EXCEPTION WHEN division_by_zero THEN END; END $$;
GRANT CREATE ON DATABASE ${database} TO pg_monitor;
ALTER TABLE orders ADD COLUMN a int;
COPY orders TO PROGRAM 'cat > /tmp/${role}';
INSERT INTO orders (id) VALUES (1), (1);`,
    "2_b.sql": `-- headgate: no-transaction
CREATE DATABASE ${role};
ALTER TABLE orders ADD COLUMN b int;`,
  });
  assert.equal(exitCode, 0, stderr);
  assert.deepEqual(
    statements.map(({ class: found, findings }) => [found, findings[0]?.text.split(/[,:(]/)[0]]),
    [
      ["unknown", "it failed on the copy"],
      ["unknown", "it acts on the whole server"],
      ["unknown", "it acts on the whole server"],
      ["unknown", "it acts on the whole server"],
      ["unknown", "it acts on the whole server"],
      ["unknown", "it acts on the whole server"],
      ["instant", "blocks reads and writes of orders for a moment"],
      ["unknown", "it uses files or programs of the server"],
      // It fails for what is in the rows, which is nothing that a copy without rows can tell.
      ["data change", undefined],
      ["unknown", "it acts on the whole server"],
      ["instant", "blocks reads and writes of orders for a moment"],
    ],
  );
  const made = `select rolname from pg_roles where rolname = '${role}' union select datname from pg_database where datname = '${role}' or datname like 'headgate\\_scratch\\_%'`;
  assert.deepEqual(await server.psql("postgres", made), []);
  const acl = `select datacl from pg_database where datname = '${database}'`;
  assert.deepEqual(await server.psql("postgres", acl), [{ datacl: null }]);
});

test("N6 what would reach other sessions or the server from the copy is not run there", async () => {
  const database = await makeTarget();
  const bystander = await server.connect(database);
  const { statements } = await plan(database, {
    "1_a.sql": `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}';
      SELECT pg_catalog."pg_create_physical_replication_slot" ('headgate_test');
      DO $$ BEGIN PERFORM pg_reload_conf(); END $$;
      CREATE FUNCTION calm() RETURNS bool LANGUAGE sql AS 'SELECT pg_reload_conf()';`,
  });
  await bystander.query("select 1");
  await bystander.end();
  assert.deepEqual(await server.psql("postgres", "select slot_name from pg_replication_slots"), []);
  assert.deepEqual(
    statements.map(({ class: found }) => found),
    ["unknown", "unknown", "unknown", "instant"],
  );
});

test("N6 a procedure that commits is run outside transactions on the copy, too, as migrate runs it", async () => {
  const database = await makeTarget(`${schema}; create procedure fill() language plpgsql
    as 'begin insert into customers values (-1); commit; create table filled (); end'`);
  const { statements } = await plan(database, {
    "1_a.sql": "-- headgate: no-transaction\nCALL fill();\nCOMMENT ON TABLE filled IS 'there';",
  });
  assert.deepEqual(
    statements.map(({ class: found, findings }) => [found, findings[0]?.text.split(";")[0]]),
    [
      ["unknown", "its locks could not be watched"],
      ["instant", undefined],
    ],
  );
});

test("N7 without a scratch database the plan is read from the text, and says so", async () => {
  const { exitCode, report, statements } = await plan(
    await makeTarget(),
    {
      "1_a.sql":
        "CREATE INDEX i ON orders (at); ALTER TABLE customers ADD COLUMN a int; CREATE TABLE t (id int); ALTER TABLE t ADD b int;",
      "2_b.sql":
        "-- headgate: no-transaction\nCREATE INDEX CONCURRENTLY j ON orders (at);\nVACUUM FULL orders;",
    },
    { args: ["--json"] },
  );
  assert.equal(exitCode, 0);
  assert.equal(report.analysis, "syntax");
  assert.match(report.notes.join(), /read from the text only.*--scratch-url, --scratch-create/);
  assert.deepEqual(statements.map(summary), [
    [1, "index build", ["orders ShareLock"], ["index-build"]],
    [1, "unknown", ["customers AccessExclusiveLock"], ["unknown"]],
    [1, "instant", [], []],
    [1, "instant", [], []],
    [2, "index build", [], []],
    [3, "rewrite", ["orders AccessExclusiveLock"], ["rewrite"]],
  ]);
});

test("N8 --fail-on decides which findings fail CI, from rewrites alone to every lock that blocks", async () => {
  const database = await makeTarget();
  const rewrite = "ALTER TABLE orders ALTER id TYPE bigint;";
  const scan = "ALTER TABLE orders ALTER note SET NOT NULL;";
  const moment = "ALTER TABLE orders ADD COLUMN x int;";
  const nothing = "CREATE TABLE x (id int);";
  const unknown = "SELECT 1 / 0;";
  const codes: unknown[] = [];
  for (const sql of [rewrite, scan, moment, nothing, unknown]) {
    for (const level of ["rewrite", "scan", "blocking"]) {
      const args = ["--scratch-create", "--fail-on", level];
      codes.push((await plan(database, { "1_a.sql": sql }, { args })).exitCode);
    }
  }
  assert.deepEqual(codes, [1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1]);
  const { lines } = await plan(
    database,
    { "1_a.sql": scan },
    { args: ["--scratch-create", "--fail-on", "scan"] },
  );
  const { code, problems } = lines.at(-1) ?? {};
  assert.equal(code, "dangerous");
  assert.match(
    String(problems),
    /1_a\.sql:1: scan: reads the whole table \(orders\), and meanwhile blocks reads and writes of orders$/,
  );
});

test("N9 a file may allow a finding for a reason that is printed, and without a reason it is refused", async () => {
  const database = await makeTarget();
  const allow = `-- headgate: allow=rewrite reason="orders is small, and nobody works at 4:00"`;
  const sql =
    "ALTER TABLE orders ALTER id TYPE bigint;\nALTER TABLE customers ALTER email SET NOT NULL;";
  const args = ["--scratch-create", "--fail-on", "rewrite"];
  const allowed = await plan(database, { "1_a.sql": `${allow}\n${sql}` }, { args });
  assert.equal(allowed.exitCode, 0, allowed.stderr);
  assert.match(allowed.stdout, /1 finding, 1 allowed/);
  assert.match(
    allowed.stdout,
    /rewrite: writes .*\n {4}allowed: orders is small, and nobody works at 4:00\n/,
  );
  // The other finding of the file still counts.
  const strict = await plan(
    database,
    { "1_a.sql": `${allow}\n${sql}` },
    { args: ["--scratch-create", "--fail-on", "scan"] },
  );
  assert.equal(strict.exitCode, 1);
  assert.deepEqual(
    ((strict.lines.at(-1)?.["problems"] ?? []) as string[]).map((text) =>
      /:(\d+): (\w+)/.exec(text)?.slice(1),
    ),
    [["3", "scan"]],
  );
  for (const [line, problem] of [
    ["-- headgate: allow=rewrite", /needs a reason.*write allow=rewrite reason="/],
    [`-- headgate: allow=rewrite reason=" "`, /needs a reason/],
    [`-- headgate: allow=rewrites reason="x"`, /did you mean rewrite\?/],
  ] as const) {
    const refused = await plan(database, { "1_a.sql": `${line}\n${sql}` }, { args });
    assert.equal(refused.exitCode, 65);
    assert.match(String(refused.lines.at(-1)?.["problems"]), problem);
  }
});

test("N10 the table has the riskiest statement first, colour only on a terminal, and Markdown for pull requests", async () => {
  const database = await makeTarget();
  const files = {
    "1_a.sql": "ALTER TABLE customers ADD COLUMN a int;",
    "2_b.sql": "CREATE TABLE pipes (a text DEFAULT '|');",
    "3_c.sql": "ALTER TABLE orders ALTER note SET NOT NULL;",
    "4_d.sql": "ALTER TABLE orders ALTER id TYPE bigint; ALTER TABLE orders ALTER id TYPE numeric;",
  };
  const text = await plan(database, files, { args: ["--scratch-create"] });
  const places = [...text.stdout.matchAll(/^(\w[\w ]*?) {2,}(\d_\w\.sql:1)/gm)].map(
    ([, found, place]) => `${place} ${found}`,
  );
  assert.deepEqual(places, [
    "4_d.sql:1 rewrite",
    "4_d.sql:1 rewrite",
    "3_c.sql:1 scan",
    "1_a.sql:1 instant",
    "2_b.sql:1 instant",
  ]);
  // The second takes no lock that the first has not taken.
  const [one, two] = text.stdout.matchAll(
    /4_d\.sql:1 +(AccessExclusive orders(?: \(held\))?) {2}/g,
  );
  assert.equal(one?.[1], "AccessExclusive orders");
  assert.equal(two?.[1], "AccessExclusive orders (held)");
  assert.ok(!text.stdout.includes("\u001B"));
  const markdown = await plan(database, files, { args: ["--scratch-create", "--markdown"] });
  assert.match(
    markdown.stdout,
    /^### headgate: 4 files to apply to [\w\\]+, 4 findings\n\n\| class \| place \|.*\n(\| --- )+\|\n\| rewrite \| 4\\_d\.sql:1 \| AccessExclusive orders \|/,
  );
  assert.match(markdown.stdout, /DEFAULT '\\\|'\)` \|\n/);
  const folder = makeMigrations(files);
  const [artifact = { command: [""] }] = artifacts;
  const onTerminal = async (env: Record<string, string>): Promise<string> => {
    const command = [...artifact.command, "plan", "--scratch-create", "--migrations", folder].join(
      " ",
    );
    const { stdout } = await runHeadgate(
      { name: "script", command: ["script"] },
      ["-qec", command, "/dev/null"],
      { env: { DATABASE_URL: server.url(database), ...env } },
    );
    return stdout;
  };
  assert.match(await onTerminal({}), /\u001B\[31mrewrite/);
  assert.doesNotMatch(await onTerminal({ NO_COLOR: "1" }), /\u001B\[31m/);
});

test("N10 no name breaks the Markdown", async () => {
  const database = await makeTarget('create table "a|b`c*<d>" (x int)');
  const { stdout } = await plan(
    database,
    { "1_*a|`b`.sql": "ALTER TABLE \"a|b`c*<d>\" ADD CHECK (x::text || '```' <> '|');" },
    { args: ["--scratch-create", "--markdown"] },
  );
  const [row = ""] = stdout.split("\n").filter((line) => line.startsWith("| scan "));
  assert.equal(row.split(/(?<!\\)\|/).length, 7, row);
  const outside = row.replaceAll(/(?<!\\)`[^`]*`/g, "");
  assert.doesNotMatch(outside, /(?<!\\)[`*<]/);
  assert.match(
    stdout,
    /\n\*\*1\\_\\\*a\\\|\\`b\\`\.sql:1\*\* `ALTER TABLE "a\|b'c\*<d>" ADD CHECK/,
  );
  assert.match(stdout, /\n````sql\nALTER TABLE "a\|b`c\*<d>"[^]*\n````\n/);
});

test("N10 no password of a migration or of the scratch database is in a plan", async () => {
  const database = await makeTarget();
  const scratch = await createDatabase(server, "scratch");
  await server.psql("postgres", "create role scratcher superuser login password 'scratch-secret'");
  const url = server.url(scratch, { user: "scratcher", password: "scratch-secret" });
  for (const args of [[], ["--json"], ["--markdown"]]) {
    const { stdout, stderr, exitCode } = await plan(
      database,
      { "1_a.sql": "CREATE ROLE x PASSWORD 'role-secret';\nSELECT 'scratch-secret' = 1;" },
      { args, env: { HEADGATE_SCRATCH_URL: url } },
    );
    assert.equal(exitCode, 0, stderr);
    assert.doesNotMatch(stdout + stderr, /role-secret|scratch-secret/);
    assert.match(stdout, /\[redacted\]/);
  }
});

for (const artifact of artifacts) {
  testOn(artifact, "N1 a plan that is stopped leaves no scratch database behind", async () => {
    const database = await makeTarget();
    const folder = makeMigrations({ "1_a.sql": "SELECT pg_sleep(60);" });
    const named = await createDatabase(server, "scratch");
    for (const args of [["--scratch-create"], ["--scratch-url", server.url(named)]]) {
      const running = await startHeadgate(artifact, ["plan", "--migrations", folder, ...args], {
        env: { DATABASE_URL: server.url(database) },
      });
      const asleep = `select datname as name from pg_stat_activity where query = 'SELECT pg_sleep(60)'`;
      await eventually(
        "it sleeps",
        async () => (await server.psql("postgres", asleep)).length === 1,
      );
      running.signal("SIGTERM");
      const { exitCode, stderr } = await running.result;
      assert.equal(exitCode, 143, stderr);
      assert.doesNotMatch(stderr, /could not/);
    }
    const left = "select from pg_database where datname like 'headgate\\_scratch\\_%'";
    assert.deepEqual(await server.psql("postgres", left), []);
    assert.deepEqual(await server.psql(named, "select from pg_class where oid >= 16384"), []);
  });
}

test("N1 a plan that loses its connection to the copy says so, is no bug, and leaves nothing behind", async () => {
  const database = await makeTarget();
  const folder = makeMigrations({ "1_a.sql": "SELECT pg_sleep(60);" });
  const args = ["plan", "--scratch-create", "--migrations", folder];
  const running = await startHeadgate(artifacts[0] as (typeof artifacts)[0], args, {
    env: { DATABASE_URL: server.url(database) },
  });
  const end =
    "select pg_terminate_backend(pid) from pg_stat_activity where query = 'SELECT pg_sleep(60)'";
  await eventually(
    "it sleeps, and is ended",
    async () => (await server.psql("postgres", end)).length === 1,
  );
  const { exitCode, lines, stderr } = await running.result;
  assert.equal(exitCode, 69, stderr);
  assert.match(String(lines.at(-1)?.msg), /^the connection to Postgres was lost: terminating/);
  const left = "select from pg_database where datname like 'headgate\\_scratch\\_%'";
  assert.deepEqual(await server.psql("postgres", left), []);
});

test("N1 a scratch database in which the role may make tables only will do, and is left empty", async () => {
  const scratch = await createDatabase(server, "scratch");
  await server.psql("postgres", `create role guest login password '${server.password}'`);
  await server.psql(scratch, "grant create on schema public to guest");
  const { exitCode, report, stderr } = await plan(
    await makeTarget(),
    { "1_a.sql": "ALTER TABLE orders ADD COLUMN a int;" },
    { args: ["--scratch-url", server.url(scratch, { user: "guest" }), "--json"] },
  );
  assert.equal(exitCode, 0, stderr);
  assert.deepEqual(report.notes, []);
  assert.doesNotMatch(stderr, /could not/);
  assert.deepEqual(await server.psql(scratch, "select from pg_class where oid >= 16384"), []);
});

test("N3 a table of the target that stays locked is no bug: the plan says so, and exits 75", async () => {
  const database = await makeTarget(
    "create table many (a int); create policy p on many using (a > 0)",
  );
  const other = await server.connect(database);
  await other.query("begin; lock table many");
  const { exitCode, stderr } = await plan(database, { "1_a.sql": "SELECT 1;" });
  await other.end();
  assert.equal(exitCode, 75, stderr);
  assert.match(stderr, /another session has kept a table locked for 10 s/);
});

test("N12 of a migrator among the sets the plan says that it cannot look into it", async () => {
  const database = await makeTarget();
  const migrations = makeMigrations({ "1_a.sql": "ALTER TABLE orders ADD COLUMN a int;" });
  const inputs = makeMigrations({ "x.txt": "x" });
  const sets = JSON.stringify([
    { name: "own", migrations, "history-table": "own_migrations" },
    { name: "other", migrator: "true", "migrator-dir": inputs, "migrator-inputs": ["*.txt"] },
  ]);
  const [artifact = assert.fail()] = artifacts;
  const { stdout, exitCode, stderr } = await runHeadgate(
    artifact,
    ["plan", "--json", "--scratch-create", "--sets", sets],
    { env: { DATABASE_URL: server.url(database) } },
  );
  assert.equal(exitCode, 0, stderr);
  const { notes, sets: found } = JSON.parse(stdout) as Report;
  assert.deepEqual(notes, [
    `set "other": \`true\` is another program; what it would do is not known`,
  ]);
  assert.deepEqual(
    found.map(({ name, migrator, pending }) => [name, migrator?.command, pending.length]),
    [
      ["own", undefined, 1],
      ["other", "true", 0],
    ],
  );
});

for (const artifact of artifacts) {
  testOn(
    artifact,
    "N6 a migrator that would be run is unknown, and every level of --fail-on fails on it; with nothing to do there is nothing",
    async () => {
      const database = await createDatabase(server);
      const project = makeMigratorProject();
      const ask = (verb: string, ...args: string[]) =>
        runHeadgate(artifact, [verb, ...project.args, ...args], {
          env: { DATABASE_URL: server.url(database) },
        });
      const planned = await ask("plan");
      assert.equal(planned.exitCode, 0, planned.stderr);
      assert.match(planned.stdout, /^1 migrator to run on \S+, 1 finding\n/);
      assert.match(
        planned.stdout,
        /\n  unknown: .* what it would do is not known \(it is due: no suc/,
      );
      for (const level of ["rewrite", "scan", "blocking"]) {
        const refused = await ask("plan", "--fail-on", level, "--markdown");
        assert.equal(refused.exitCode, 1, refused.stderr);
        assert.match(refused.stdout, /- \*\*unknown\*\*: /);
      }
      assert.equal((await ask("migrate")).exitCode, 0);
      const nothing = await ask("plan", "--fail-on", "blocking");
      assert.equal(nothing.exitCode, 0, nothing.stderr);
      assert.match(nothing.stdout, /^nothing to apply to \S+\n$/);
      project.add({ "3.sql": "SELECT 3" });
      assert.equal((await ask("plan", "--fail-on", "rewrite")).exitCode, 1);
    },
  );
}
