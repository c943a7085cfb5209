/** How another tool keeps its history. */
export type Tool = {
  /** Its table unless it is configured otherwise, found by the search path. */
  readonly table: string;
  /**
   * A query of the table for: `version` and `name` of each entry, one of them perhaps null; `problem`, why it is none
   * to build on; `is_newest`, whether all before it is meant as well.
   */
  readonly query: string;
};

/**
 * The tables as the tools create them: alembic 1.20, knex 3.3, prisma-engines, flyway 12, golang-migrate 4,
 * dbmate 2, node-pg-migrate 9.
 */
const tools = {
  alembic: {
    table: "alembic_version",
    query: `select version_num as version, null as name, true as is_newest,
      case when count(*) over () > 1 then 'is one of several heads; merge them with alembic first' end as problem
    from alembic_version order by 1`,
  },
  knex: {
    table: "knex_migrations",
    query: `select null as version, name, false as is_newest, null as problem, id from knex_migrations
    union all select null, 'knex_migrations_lock', false, 'is locked; a run of knex is under way or has died', index
      from knex_migrations_lock where is_locked <> 0 order by id`,
  },
  prisma: {
    table: "_prisma_migrations",
    query: `select null as version, migration_name as name, false as is_newest,
      case when finished_at is null then 'was started and has not finished' end as problem
    from _prisma_migrations where rolled_back_at is null order by started_at, migration_name`,
  },
  flyway: {
    table: "flyway_schema_history",
    // Without a version are repeatable migrations, which are no part of the order. Undone and deleted ones are not there.
    query: `select version, case when type <> 'BASELINE' then description end as name, type = 'BASELINE' as is_newest,
      case when not success then 'has failed' end as problem
    from flyway_schema_history h
    where type not in ('SCHEMA', 'DELETE') and type not like 'UNDO%' and (version is not null or not success)
      and not exists (select from flyway_schema_history u where u.version = h.version
        and u.installed_rank > h.installed_rank and (u.type = 'DELETE' or u.type like 'UNDO%'))
    order by installed_rank`,
  },
  "golang-migrate": {
    table: "schema_migrations",
    query: `select version::text, null as name, true as is_newest,
      case when dirty then 'is dirty: the migration has failed half-way' end as problem from schema_migrations`,
  },
  dbmate: {
    table: "schema_migrations",
    query: `select version::text, null as name, false as is_newest,
      case when pg_catalog.to_jsonb(m) ? 'dirty' then 'is golang-migrate''s, not dbmate''s' end as problem
    from schema_migrations m order by version`,
  },
  "node-pg-migrate": {
    table: "pgmigrations",
    query: `select null as version, name, false as is_newest, null as problem from pgmigrations order by run_on, id`,
  },
} as const satisfies { readonly [name: string]: Tool };

export type ToolName = keyof typeof tools;

export const toolNames = Object.keys(tools) as readonly ToolName[];

export const toolOf = (name: ToolName): Tool => tools[name];
