/** The demo's image with a migrator of another tool instead of SQL files; only the preset is named in it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { temporaryFolder } from "../helpers/cleanup.ts";

/** What the demo's server asks for, made by a tool: it tells how many migrations there are. */
const statements = [
  "CREATE TABLE migrations (id int)",
  "INSERT INTO migrations VALUES (1)",
  "CREATE TABLE notes (id int, text text, author text, created_at timestamptz)",
];

const revision = (
  id: string,
  before: string,
  sql: readonly string[],
): string => `from alembic import op
revision = "${id}"
down_revision = ${before}
def upgrade():
${sql.map((text) => `    op.execute(${JSON.stringify(text)})\n`).join("")}
def downgrade():
    pass
`;

const readUrl = `import os; config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"].replace("%", "%%"))`;

type Recipe = { readonly files: { readonly [name: string]: string }; readonly steps: string };

const alembicSteps = `RUN apt-get update && apt-get install --yes --no-install-recommends alembic python3-psycopg2
RUN alembic init alembic && echo '${readUrl}' > line && sed -i '/^config = context.config$/r line' alembic/env.py`;
const firstRevision = {
  "project/alembic/versions/0001_notes.py": revision("0001", "None", statements),
};

const recipes = {
  alembic: { files: firstRevision, steps: alembicSteps },
  "alembic-broken": {
    files: {
      ...firstRevision,
      "project/alembic/versions/0002_broken.py": revision("0002", '"0001"', [
        "ALTER TABLE nots ADD COLUMN likes int",
      ]),
    },
    steps: alembicSteps,
  },
  knex: {
    files: {
      "project/knexfile.js": `module.exports = { client: "pg", connection: process.env.DATABASE_URL };\n`,
      "project/migrations/20260101000001_notes.js": `exports.up = async (knex) => {
  for (const sql of ${JSON.stringify(statements)}) await knex.raw(sql);
};
exports.down = () => undefined;
`,
    },
    steps: "RUN npm install --no-save knex@3.3.0 pg@8 && rm -rf migrations",
  },
} as const satisfies { readonly [name: string]: Recipe };

/** Builds `TARGET` from the demo's image. */
export async function buildMigratorImage(
  name: keyof typeof recipes,
  base: string,
  target: string,
): Promise<void> {
  const context = temporaryFolder("headgate-migrator-image-");
  const { files, steps } = recipes[name];
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(context, path)), { recursive: true });
    writeFileSync(join(context, path), text);
  }
  const preset = name.replace(/-.*/, "");
  writeFileSync(
    join(context, "Dockerfile"),
    `FROM ${base}\nUSER root\n${steps}\nCOPY project .\nENV HEADGATE_MIGRATOR=${preset}\nUSER 1000:1000\n`,
  );
  await execa("docker", ["build", "--quiet", "--tag", target, context]);
}
