import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Tool, padded, write } from "./tool.ts";

const list = (statements: readonly string[]): string => JSON.stringify(statements, null, 2);

export const knex: Tool = {
  preset: "knex",
  init: (folder) =>
    write(
      folder,
      "knexfile.js",
      'module.exports = { client: "pg", connection: process.env.DATABASE_URL };\n',
    ),
  write: (folder, number, { up, down, inTransaction = true }) =>
    write(
      folder,
      `migrations/2026010100${padded(number)}_step.js`,
      `exports.up = async (knex) => {
  for (const sql of ${list(up)}) await knex.raw(sql);
};
exports.down = (knex) => knex.raw(${JSON.stringify(down ?? "SELECT 1")});
exports.config = { transaction: ${inTransaction} };
`,
    ),
  down: ["node_modules/.bin/knex", "migrate:down"],
  refusesAhead: true,
};

export const nodePgMigrate: Tool = {
  preset: "node-pg-migrate",
  init: () => undefined,
  write: (folder, number, { up, down, inTransaction = true }) =>
    write(
      folder,
      `migrations/176720000${padded(number)}_step.js`,
      `exports.up = (pgm) => {
  ${inTransaction ? "" : "pgm.noTransaction();"}
  for (const sql of ${list(up)}) pgm.sql(sql);
};
exports.down = (pgm) => pgm.sql(${JSON.stringify(down ?? "SELECT 1")});
`,
    ),
  down: ["node_modules/.bin/node-pg-migrate", "down"],
  refusesAhead: false,
};

export const typeorm: Tool = {
  preset: "typeorm",
  init: (folder) =>
    write(
      folder,
      "dist/data-source.js",
      `const { DataSource } = require("typeorm");
module.exports = {
  default: new DataSource({
    type: "postgres",
    url: process.env.DATABASE_URL,
    migrations: ["dist/migrations/*.js"],
  }),
};
`,
    ),
  write: (folder, number, { up, down }) => {
    const name = `Step176720000${padded(number)}`;
    write(
      folder,
      `dist/migrations/${name}.js`,
      `module.exports.${name} = class {
  name = "${name}";
  async up(queryRunner) {
    for (const sql of ${list(up)}) await queryRunner.query(sql);
  }
  async down(queryRunner) {
    await queryRunner.query(${JSON.stringify(down ?? "SELECT 1")});
  }
};
`,
    );
  },
  down: ["node_modules/.bin/typeorm", "migration:revert", "-d", "dist/data-source.js"],
  refusesAhead: false,
};

const journal = "drizzle/meta/_journal.json";

export const drizzle: Tool = {
  preset: "drizzle",
  init: (folder) => {
    write(
      folder,
      "drizzle.config.js",
      `module.exports = {
  dialect: "postgresql",
  out: "./drizzle",
  dbCredentials: { url: process.env.DATABASE_URL },
};
`,
    );
    write(
      folder,
      journal,
      JSON.stringify({ version: "7", dialect: "postgresql", entries: [] }, null, 2),
    );
  },
  write: (folder, number, { up }) => {
    const tag = `${padded(number - 1)}_step`;
    write(folder, `drizzle/${tag}.sql`, up.join(";--> statement-breakpoint\n"));
    const known = JSON.parse(readFileSync(join(folder, journal), "utf8")) as { entries: object[] };
    const when = 1_767_200_000_000 + number;
    known.entries.push({ idx: number - 1, version: "7", when, tag, breakpoints: true });
    write(folder, journal, JSON.stringify(known, null, 2));
  },
  refusesAhead: false,
};
