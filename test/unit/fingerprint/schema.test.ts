import assert from "node:assert/strict";
import { test } from "node:test";
import { beforeCatalogQuery, catalogQuery } from "../../../src/fingerprint/catalog.ts";
import {
  compareSchemas,
  describeDifference,
  fingerprintOf,
  type SchemaObject,
  toObjects,
} from "../../../src/fingerprint/schema.ts";
import { createDatabase } from "../../helpers/postgres.ts";
import { useServer } from "../../helpers/use-server.ts";

const server = await useServer({ own: true });

async function schemaOf(
  database: string,
  ...ownTables: string[][]
): Promise<readonly SchemaObject[]> {
  const sql = `begin read only; ${beforeCatalogQuery(ownTables)}; ${catalogQuery}`;
  const [row] = await server.psql<{ objects: unknown }>(database, sql);
  return toObjects(row?.objects);
}

/** One of everything. */
const everything = [
  `create schema app`,
  `create type app.mood as enum ('sad', 'glad')`,
  `create domain app.short as text default 'x' check (length(value) < 9)`,
  `create type app.pair as (a int, b text)`,
  `create type app.span as range (subtype = float8)`,
  `create sequence app.numbers as int start 5 increment 2`,
  `create function app.twice(n int) returns int language sql immutable as 'select n * 2'`,
  `create aggregate app.total(int) (sfunc = int4pl, stype = int, initcond = '0')`,
  `create table app.people (id int generated always as identity primary key, name text not null default 'x', born date,
    mood app.mood, doubled int generated always as (app.twice(3)) stored, constraint grown check (born < '2020-01-01'))`,
  `create table app.pets (id serial, owner int references app.people, name app.short, unique (name))`,
  `create table app.events (at timestamptz not null, what text) partition by range (at)`,
  `create table app.events_2026 partition of app.events for values from ('2026-01-01Z') to ('2027-01-01Z')`,
  `create table app.dogs (good boolean) inherits (app.pets)`,
  `create index people_by_name on app.people (lower(name)) where born is not null`,
  `create view app.names as select name from app.people`,
  `create materialized view app.ages as select born from app.people`,
  `create function app.note() returns trigger language plpgsql as 'begin return new; end'`,
  `create trigger noted before insert on app.people for each row execute function app.note()`,
  `create rule quiet as on delete to app.pets do instead nothing`,
  `alter table app.people enable row level security`,
  `create policy own on app.people for select to public using (id > 0)`,
  `create statistics app.related on id, name from app.people`,
  `create extension if not exists plpgsql`,
];

/** A change, and what is said of it; what undoes it brings the fingerprint back. */
const changes: readonly [change: string, undo: string, ...expected: RegExp[]][] = [
  [`create schema more`, `drop schema more`, /^schema more is new$/],
  [
    `alter table app.people add column email text`,
    `alter table app.people drop column email`,
    /^column app\.people\.email is new: text$/,
  ],
  [
    `alter table app.people alter born set not null`,
    `alter table app.people alter born drop not null`,
    /^column app\.people\.born was "date", is "date not null"$/,
  ],
  [
    `alter table app.people alter name set default 'y'`,
    `alter table app.people alter name set default 'x'`,
    /^column app\.people\.name was "text not null default 'x'::text", is "text not null default 'y'::text"$/,
  ],
  [
    `alter table app.pets alter owner type bigint`,
    `alter table app.pets alter owner type int`,
    /^column app\.dogs\.owner was "integer", is "bigint"$/,
    /^column app\.pets\.owner was/,
  ],
  [
    `alter table app.people alter name set storage external`,
    `alter table app.people alter name set storage extended`,
    /^column app\.people\.name .*storage e/,
  ],
  [
    `alter table app.people add constraint adult check (born < '2008-01-01') not valid`,
    `alter table app.people drop constraint adult`,
    /^constraint adult on app\.people is new: CHECK .*NOT VALID$/,
  ],
  [
    `drop index app.people_by_name`,
    `create index people_by_name on app.people (lower(name)) where born is not null`,
    /^index app\.people_by_name is gone$/,
  ],
  [
    `update pg_index set indisvalid = false where indexrelid = 'app.people_by_name'::regclass`,
    `update pg_index set indisvalid = true where indexrelid = 'app.people_by_name'::regclass`,
    /^index app\.people_by_name was .*INVALID"$/,
  ],
  [
    `alter table app.people set (fillfactor = 50)`,
    `alter table app.people reset (fillfactor)`,
    /^relation app\.people was "table row security", is "table row security with \(fillfactor=50\)"$/,
  ],
  [
    `alter table app.pets set unlogged`,
    `alter table app.pets set logged`,
    /^relation app\.pets was "table", is "table unlogged"$/,
    // Since PostgreSQL 15 a sequence goes with its table.
    ...[/app\.pets_id_seq was "sequence", is "sequence unlogged"/],
  ],
  [
    `alter table app.events detach partition app.events_2026`,
    `alter table app.events attach partition app.events_2026 for values from ('2026-01-01Z') to ('2027-01-01Z')`,
    /^inheritance app\.events_2026 of app\.events is gone$/,
    /^relation app\.events_2026 was "table FOR VALUES/,
  ],
  [
    `alter type app.mood add value 'calm' before 'glad'`,
    `drop view if exists app.names; drop materialized view app.ages; alter table app.people drop column mood; drop type app.mood;
     create type app.mood as enum ('sad', 'glad'); alter table app.people add mood app.mood;
     create view app.names as select name from app.people; create materialized view app.ages as select born from app.people`,
    /^type app\.mood was "enum \('sad', 'glad'\)", is "enum \('sad', 'calm', 'glad'\)"$/,
  ],
  [
    `alter domain app.short set default 'z'`,
    `alter domain app.short set default 'x'`,
    /^type app\.short was "domain text default 'x'::text", is/,
  ],
  [
    `alter sequence app.numbers increment 3`,
    `alter sequence app.numbers increment 2`,
    /^sequence app\.numbers was ".*increment 2 .*", is ".*increment 3 /,
  ],
  [
    `alter sequence app.numbers owned by app.pets.id`,
    `alter sequence app.numbers owned by none`,
    /^sequence app\.numbers was .*owned by app\.pets\.id"$/,
  ],
  [
    `create or replace function app.twice(n int) returns int language sql immutable as 'select n + n'`,
    `create or replace function app.twice(n int) returns int language sql immutable as 'select n * 2'`,
    /^function app\.twice\(integer\) was ".*n \* 2.*", is ".*n \+ n/,
  ],
  [
    `drop aggregate app.total(int)`,
    `create aggregate app.total(int) (sfunc = int4pl, stype = int, initcond = '0')`,
    /^function app\.total\(integer\) is gone$/,
  ],
  [
    `create or replace view app.names as select lower(name) as name from app.people`,
    `create or replace view app.names as select name from app.people`,
    /^view app\.names was/,
  ],
  [
    `alter table app.people disable trigger noted`,
    `alter table app.people enable trigger noted`,
    /^trigger noted on app\.people was .*disabled"$/,
  ],
  [
    `create or replace rule quiet as on delete to app.pets do also nothing`,
    `create or replace rule quiet as on delete to app.pets do instead nothing`,
    /^rule quiet on app\.pets was/,
  ],
  [
    `alter policy own on app.people using (id > 1)`,
    `alter policy own on app.people using (id > 0)`,
    /^policy own on app\.people was .*> 0.*> 1/,
  ],
  [
    `drop statistics app.related`,
    `create statistics app.related on id, name from app.people`,
    /^statistics app\.related is gone$/,
  ],
  [
    `alter table app.pets add constraint own_id primary key (id)`,
    `alter table app.pets drop constraint own_id; alter table app.pets alter id set not null`,
    /^constraint own_id on app\.pets is new: PRIMARY KEY \(id\)$/,
    /^index app\.own_id is new: CREATE UNIQUE INDEX/,
  ],
];

test("O1 each kind of change to a schema is named, and undoing it brings the fingerprint back", async () => {
  const database = await createDatabase(server);
  await server.psql(database, everything.join(";\n"));
  const original = await schemaOf(database);
  assert.deepEqual(
    [...new Set(original.map(({ kind }) => kind))].toSorted(),
    // prettier-ignore
    ["column", "constraint", "extension", "function", "index", "inheritance", "policy", "relation", "rule", "schema", "sequence", "statistics", "trigger", "type", "view"],
  );
  for (const [change, undo, ...expected] of changes) {
    await server.psql(database, change);
    const changed = await schemaOf(database);
    const lines = compareSchemas(original, changed).map(describeDifference);
    const wanted = expected.filter((line) => server.major >= 15 || !String(line).includes("_seq"));
    assert.equal(lines.length, wanted.length, `${change}: ${lines.join("\n")}`);
    for (const [index, line] of wanted.entries()) assert.match(lines[index] ?? "", line, change);
    assert.notEqual(fingerprintOf(changed), fingerprintOf(original), change);
    await server.psql(database, undo);
    const undone = await schemaOf(database);
    assert.deepEqual(compareSchemas(original, undone), [], undo);
    assert.equal(fingerprintOf(undone), fingerprintOf(original), undo);
  }
});

test("O1 two databases with the same schema have one fingerprint, whatever else is different about them", async () => {
  const [first, second] = [await createDatabase(server), await createDatabase(server)];
  await server.psql(first, everything.join(";\n"));
  await server.psql(
    second,
    `create schema app; create table app.in_the_way (id serial); ${everything.slice(1).join(";\n")};
     drop table app.in_the_way; comment on schema app is 'the application';
     create role reader_of_${second}; grant usage on schema app to reader_of_${second};
     insert into app.pets (name) values ('Rex'); analyze;
     create temp table passing (id int)`,
  );
  await server.psql(
    second,
    `alter database ${second} set timezone = 'Asia/Tokyo'; alter database ${second} set search_path = app;
     alter database ${second} set datestyle = 'SQL, DMY'; alter database ${second} set quote_all_identifiers = on`,
  );
  const [one, two] = [await schemaOf(first), await schemaOf(second)];
  assert.deepEqual(compareSchemas(one, two), []);
  assert.equal(fingerprintOf(one), fingerprintOf(two));
});

test("O1 a table that does not count is left out with all that belongs to it", async () => {
  const database = await createDatabase(server);
  const before = await schemaOf(database);
  await server.psql(
    database,
    `create table notes (id serial primary key, text text check (text <> '')); create index on notes (text)`,
  );
  assert.deepEqual(
    compareSchemas(before, await schemaOf(database, ["notes"], ["public", "nowhere"])),
    [],
  );
  assert.notDeepEqual(compareSchemas(before, await schemaOf(database)), []);
});
