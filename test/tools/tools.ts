import { drizzle, knex, nodePgMigrate, typeorm } from "./node-tools.ts";
import { alembic, django } from "./python-tools.ts";
import { dbmate, sqitch } from "./sql-tools.ts";
import type { Tool } from "./tool.ts";

/** Those whose preset is tested. */
export const tools: readonly Tool[] = [
  ...[alembic, django, sqitch, dbmate],
  ...[knex, nodePgMigrate, typeorm, drizzle],
];
