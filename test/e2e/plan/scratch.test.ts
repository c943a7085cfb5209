import assert from "node:assert/strict";
import { test } from "node:test";
import { readArguments } from "../../../src/cli.ts";
import { type Config, readConfig } from "../../../src/config.ts";
import { HeadgateError, Stopped } from "../../../src/errors.ts";
import type { Context } from "../../../src/look.ts";
import { lookWhenReady } from "../../../src/look.ts";
import type { Session } from "../../../src/postgres/session.ts";
import type { ScratchRequest } from "../../../src/requests/scratch.ts";
import { readScratch } from "../../../src/requests/scratch.ts";
import { redactor } from "../../../src/report/redact.ts";
import { withScratch } from "../../../src/scratch/with-scratch.ts";
import { eventually } from "../../helpers/eventually.ts";
import { useServer } from "../../helpers/use-server.ts";
import { freePort } from "../../helpers/port.ts";
import { createDatabase } from "../../helpers/postgres.ts";

const server = await useServer({ own: true });

/** Something of every kind that a database can hold. */
const everything = `
  create schema more; create extension pg_trgm; create extension hstore schema more;
  create type shell; create type mood as enum ('sad'); create domain positive as int check (value > 0); create type pair as (a int, b int);
  create type spans as range (subtype = float8);
  create sequence counter; create table t (id serial primary key, n int generated always as identity, m mood);
  create table more.parts (a int) partition by range (a); create table part partition of more.parts default;
  create view v as select * from t; create materialized view mv as select * from v;
  create function f() returns int language sql as 'select 1';
  create procedure p() language sql as 'select 1';
  create aggregate total (int) (sfunc = int4pl, stype = int);
  create operator === (leftarg = int, rightarg = int, procedure = int4eq);
  create operator class odd for type int using btree as operator 1 <;
  create collation plain from "C"; create cast (mood as int) with inout;
  create text search configuration words (copy = simple);
  create statistics st on id, n from t; create publication pub for table t;
  create foreign data wrapper nowhere; create server elsewhere foreign data wrapper nowhere;
  create foreign table far (a int) server elsewhere;
  create function e() returns event_trigger language plpgsql as 'begin end'; create event trigger et on ddl_command_end execute function e();
  select lo_create(0)`;

type Line = { facts: Record<string, unknown>; event: string };

/** A context as the front door makes it, and what it logs. */
function contextOf(
  database: string,
  scratch: ScratchRequest | undefined,
  signal = new AbortController().signal,
  env: Record<string, string> = {},
): { context: Context; lines: Line[] } {
  const lines: Line[] = [];
  const keep = (facts: object, event: string): void =>
    void lines.push({ facts: { ...facts }, event });
  const settings = { DATABASE_URL: server.url(database), ...env };
  const read = readConfig(readArguments(["migrate"]), settings, new Set());
  const config: Config = scratch === undefined ? read : { ...read, scratch };
  const log = { debug: keep, info: keep, warn: keep, error: keep };
  const context = {
    config,
    log,
    signal,
    environment: () => ({}),
    redact: (text: string) => text,
    ...{ print: () => 0, summarize: () => undefined },
  };
  return { context, lines };
}

function named(url: string): ScratchRequest {
  const given = {
    text: (name: string) => (name === "scratch-url" ? url : undefined),
    isOn: () => false,
    nameOf: (name: string) => `--${name}`,
    choice: () => undefined,
    given: () => undefined,
  };
  const mistakes: string[] = [];
  const { scratch } = readScratch(given, mistakes, new Set());
  assert.deepEqual(mistakes, []);
  return scratch as ScratchRequest;
}

async function onTarget<T>(context: Context, work: (target: Session) => Promise<T>): Promise<T> {
  const { session } = await lookWhenReady(context, { mustWrite: false });
  try {
    return await work(session);
  } finally {
    session.end();
  }
}

const failsWith = (exitCode: number, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof HeadgateError, String(error));
  assert.equal(error.exitCode, exitCode, error.message);
  assert.match([error.message, ...error.problems, error.fix].join("\n"), pattern);
  return true;
};

const countObjects = async (database: string): Promise<unknown> =>
  server.psql(
    database,
    `select (select count(*)::int from pg_class where oid >= 16384) as relations, (select count(*)::int from pg_proc where oid >= 16384) as routines,
    (select count(*)::int from pg_type where oid >= 16384) as types, (select count(*)::int from pg_extension) as extensions,
    (select count(*)::int from pg_namespace where oid >= 16384) as schemas, (select count(*)::int from pg_largeobject_metadata) as objects,
    (select count(*)::int from pg_publication) + (select count(*) from pg_event_trigger) + (select count(*) from pg_foreign_data_wrapper)
      + (select count(*) from pg_operator where oid >= 16384) + (select count(*) from pg_cast where oid >= 16384)
      + (select count(*) from pg_collation where oid >= 16384) + (select count(*) from pg_ts_config where oid >= 16384)
      + (select count(*) from pg_opfamily where oid >= 16384) as others`,
  );

const scratches = async (): Promise<string[]> => {
  const rows = await server.psql<{ name: string }>(
    "postgres",
    "select datname as name from pg_database where datname ~ '^headgate_scratch_' order by 1",
  );
  return rows.map(({ name }) => name);
};

test("N1 a scratch database that was named is as empty afterwards as it was before, whatever was made in it", async () => {
  const scratch = await createDatabase(server, "scratch");
  // As a provider's image has it: an extension belongs to the place.
  await server.psql(scratch, "create extension citext");
  const asFound = await countObjects(scratch);
  const { context, lines } = contextOf(await createDatabase(server), named(server.url(scratch)));
  await onTarget(context, async (target) => {
    const answer = await withScratch(context, target, async (session) => {
      await session.query(everything, context.signal);
      assert.notDeepEqual(await countObjects(scratch), asFound);
      return "done";
    });
    assert.equal(answer, "done");
    assert.deepEqual(await countObjects(scratch), asFound);
    // Also when its use fails, and in the middle of a transaction.
    await assert.rejects(
      withScratch(context, target, async (session) => {
        await session.query(everything, context.signal);
        await session.query("begin; drop table t cascade; set role pg_monitor", context.signal);
        throw new Error("broken");
      }),
      /broken/,
    );
  });
  assert.deepEqual(await countObjects(scratch), asFound);
  assert.deepEqual(lines, []);
});

test("N1 a scratch database that holds anything is refused, with what was found, and stays as it is", async () => {
  const scratch = await createDatabase(server, "scratch");
  await server.psql(
    scratch,
    "create table precious (id int); create function f() returns int language sql as 'select 1'",
  );
  const { context } = contextOf(await createDatabase(server), named(server.url(scratch)));
  await onTarget(context, (target) =>
    assert.rejects(
      withScratch(context, target, () => assert.fail("used")),
      failsWith(64, /not empty.*\n(?:.*\n)*table public\.precious|function public\.f\(\)/),
    ),
  );
  assert.equal((await server.psql(scratch, "select from precious")).length, 0);
});

test("N1 the database to migrate is never its own scratch, by whatever name it goes", async () => {
  const database = await createDatabase(server);
  for (const url of [server.url(database), server.url(database, { host: "localhost" })]) {
    const { context } = contextOf(database, named(url));
    await onTarget(context, (target) =>
      assert.rejects(
        withScratch(context, target, () => assert.fail("used")),
        failsWith(64, /is the database to migrate itself/),
      ),
    );
  }
});

test("N1 a scratch database that cannot be reached is one clear error with exit code 69", async () => {
  const port = await freePort();
  const url = `postgres://someone:long-secret@127.0.0.1:${port}/scratch`;
  const { context } = contextOf(await createDatabase(server), named(url), undefined, {
    HEADGATE_WAIT_TIMEOUT: "300ms",
  });
  await onTarget(context, (target) =>
    assert.rejects(
      withScratch(context, target, () => assert.fail("used")),
      failsWith(69, new RegExp(`^the scratch database: .*connection refused at 127.0.0.1:${port}`)),
    ),
  );
});

test("N1 two runs do not share one scratch database", async () => {
  const scratch = await createDatabase(server, "scratch");
  const { context } = contextOf(await createDatabase(server), named(server.url(scratch)));
  await onTarget(context, (target) =>
    withScratch(context, target, () =>
      assert.rejects(
        withScratch(context, target, () => assert.fail("used")),
        failsWith(75, /in use by another headgate/),
      ),
    ),
  );
});

test("N1 a scratch database that headgate creates has the target's encoding and locale, and is gone at the end, also after a failure", async () => {
  const database = await createDatabase(server);
  const { context, lines } = contextOf(database, { kind: "created" });
  await onTarget(context, async (target) => {
    const facts = await withScratch(context, target, async (session) => {
      const [name = ""] = await scratches();
      assert.match(name, /^headgate_scratch_[0-9a-f]{16}$/);
      const [row] = await session.query(
        `select count(distinct (encoding, datcollate, datctype, pg_catalog.to_jsonb(d) -> 'datlocprovider')) as kinds, current_database() as name
        from pg_database d where datname in ('${database}', current_database())`,
        context.signal,
      );
      return { ...row?.rows[0], expected: name };
    });
    assert.deepEqual(facts, { kinds: "1", name: facts.expected, expected: facts.expected });
    assert.deepEqual(await scratches(), []);
    await assert.rejects(
      withScratch(context, target, () => Promise.reject(new Error("broken"))),
      /broken/,
    );
  });
  assert.deepEqual(await scratches(), []);
  assert.deepEqual(lines, []);
});

test("N1 after a signal to stop, what was created is dropped and what was named is emptied", async () => {
  const scratch = await createDatabase(server, "scratch");
  for (const request of [{ kind: "created" } as const, named(server.url(scratch))]) {
    const stop = new AbortController();
    const { context } = contextOf(await createDatabase(server), request, stop.signal);
    await onTarget(context, async (target) => {
      const used = withScratch(context, target, async (session) => {
        await session.query(everything, context.signal);
        await session.query("select pg_sleep(60)", context.signal);
      });
      await eventually("it sleeps", async () => {
        const rows = await server.psql(
          "postgres",
          "select from pg_stat_activity where query = 'select pg_sleep(60)'",
        );
        return rows.length === 1;
      });
      const started = performance.now();
      stop.abort(new Stopped("SIGTERM"));
      await assert.rejects(used, Stopped);
      assert.ok(performance.now() - started < 2500, `${performance.now() - started} ms`);
    });
  }
  assert.deepEqual(await scratches(), []);
  assert.deepEqual(await server.psql(scratch, "select from pg_class where oid >= 16384"), []);
});

test("N1 the scratch databases of killed runs are dropped, but none that is young or in use", async () => {
  const now = Math.floor(Date.now() / 1000);
  const nameAt = (seconds: number, rest: string): string =>
    `headgate_scratch_${seconds.toString(16).padStart(8, "0")}${rest}`;
  const old = nameAt(now - 700, "00000001");
  const used = nameAt(now - 700, "00000002");
  const young = nameAt(now - 60, "00000003");
  const foreign = "headgate_scratch_of_somebody";
  for (const name of [old, used, young, foreign]) {
    await server.psql("postgres", `create database ${name}`);
  }
  const user = await server.connect(used);
  const { context, lines } = contextOf(await createDatabase(server), { kind: "created" });
  await onTarget(context, (target) => withScratch(context, target, () => Promise.resolve()));
  assert.deepEqual(await scratches(), [used, young, foreign].toSorted());
  assert.deepEqual(
    lines.map(({ facts }) => facts["database"]),
    [old],
  );
  await user.end();
  for (const name of [used, young, foreign]) await server.psql("postgres", `drop database ${name}`);
});

test("N1 who may not create databases is told what to do", async () => {
  const database = await createDatabase(server);
  await server.psql("postgres", "create role lesser login password 'long-secret'");
  const { context } = contextOf(database, { kind: "created" }, undefined, {
    DATABASE_URL: server.url(database, { user: "lesser", password: "long-secret" }),
  });
  await onTarget(context, (target) =>
    assert.rejects(
      withScratch(context, target, () => assert.fail("used")),
      failsWith(77, /lesser may not create databases\n.*createdb/),
    ),
  );
});

test("N1 the options of the scratch database are checked, and its password is a secret", () => {
  const secrets = new Set<string>();
  const read = (texts: Record<string, string>, isOn = false): string[] => {
    const mistakes: string[] = [];
    const given = {
      text: (name: string) => texts[name],
      isOn: () => isOn,
      nameOf: (name: string) => `--${name}`,
      choice: () => undefined,
      given: () => undefined,
    };
    readScratch(given, mistakes, secrets);
    return mistakes;
  };
  const url = "postgres://user:hunter2-hunter2@host/scratch";
  assert.deepEqual(read({ "scratch-url": url }), []);
  assert.equal(redactor(secrets)("it is hunter2-hunter2"), "it is [redacted]");
  assert.deepEqual(read({ "scratch-url": url }, true), [
    "choose one of --scratch-url and --scratch-create",
  ]);
  assert.match(
    read({ "scratch-url": "mysql://x" })[0] ?? "",
    /^--scratch-url has the scheme mysql/,
  );
  assert.match(
    read({ "scratch-url": "postgres:///x" })[0] ?? "",
    /^--scratch-url: no database host/,
  );
});
